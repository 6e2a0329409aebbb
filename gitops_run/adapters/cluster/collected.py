"""What gc looks at in a cluster: every session, what carries a session's label, and words of ended ones."""

from __future__ import annotations

import asyncio
from typing import Final

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.adapters.cluster.listing import list_states
from gitops_run.adapters.cluster.paths import RBAC
from gitops_run.adapters.cluster.remains import MADE_IN_A_NAMESPACE, collection_of, remove_leftovers
from gitops_run.errors import BackendError, NotFound, TransientError
from gitops_run.model.names import MANAGED_BY_LABEL, MANAGER, SESSION_LABEL
from gitops_run.model.session.tombstone import TOMBSTONE_LABEL, TOMBSTONE_NAMESPACE, read_tombstone
from gitops_run.model.stack.collection import Finding, Listing
from gitops_run.model.stack.events import PendingObject

_KINDS: Final = (*MADE_IN_A_NAMESPACE, ("coordination.k8s.io/v1", "Lease"), (RBAC, "ClusterRoleBinding"))


async def list_for_gc(connection: Connection, stored: tuple[str, ...]) -> tuple[Listing, tuple[str, ...]]:
    """List what gc decides by, and name the kinds that this user may not list. stored: as in Listing.

    Raises BackendError where this user may not see every session with its saves: one whose saves are hidden
    would look idle.
    """
    stones_path = f"/api/v1/namespaces/{TOMBSTONE_NAMESPACE}/configmaps"
    states, system, stones, listings = await asyncio.gather(
        list_states(connection, is_complete=True),
        connection.get("/api/v1/namespaces/kube-system"),
        connection.find(stones_path, {"labelSelector": TOMBSTONE_LABEL}),
        asyncio.gather(*(_labelled(connection, api_version, kind) for api_version, kind in _KINDS)),
    )
    labelled: dict[str, list[PendingObject]] = {}
    unseen = []
    for (api_version, kind), listing in zip(_KINDS, listings, strict=True):
        if listing is None:
            unseen.append(kind)
            continue
        for item in listing.get("items") or ():
            metadata = item["metadata"]
            found = PendingObject(
                api_version=api_version,
                kind=kind,
                namespace=metadata.get("namespace", ""),
                name=metadata["name"],
            )
            labelled.setdefault(metadata["labels"][SESSION_LABEL], []).append(found)
    words = [stone for item in stones.get("items") or () if (stone := read_tombstone(item))]
    listed = Listing(
        uid=system["metadata"]["uid"], states=states, labelled=labelled, tombstones=words, stored=stored
    )
    return listed, tuple(unseen)


async def remove_orphans(connection: Connection, finding: Finding) -> None:
    """Delete the objects of a finding that still carry its session's label. Raises as remove_leftovers."""
    await remove_leftovers(connection, (SESSION_LABEL, finding.session), finding.objects)


async def _labelled(connection: Connection, api_version: str, kind: str) -> Json | None:
    """List a kind's objects with a session's label; None where this user may not."""
    of_kind = PendingObject(api_version=api_version, kind=kind, namespace="", name="")
    selector = {"labelSelector": f"{SESSION_LABEL},{MANAGED_BY_LABEL}={MANAGER}"}
    try:
        return await connection.get(collection_of(of_kind), selector)
    except TransientError:
        raise
    except NotFound:
        return {}
    except BackendError:
        return None
