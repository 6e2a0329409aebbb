"""What is left of a session in its cluster: looked for when it ends, removed where a killed run left it.

This module knows the kinds that a session is made of and may apply. It never removes what
doesn't carry the session's label.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import replace
from typing import Final

import anyio

from gitops_run.adapters.cluster.connection import ConflictError, Connection, Json, connect
from gitops_run.adapters.cluster.draining import drain
from gitops_run.adapters.cluster.facts import read_facts, tombstone_path
from gitops_run.adapters.cluster.hindrances import read_hindrances
from gitops_run.adapters.cluster.paths import (
    KUSTOMIZATIONS,
    RBAC,
    RELEASES,
    SOURCES,
    applier_path,
    namespace_path,
    path_of,
    plural_of,
    release_path,
    source_path,
    version_path,
)
from gitops_run.adapters.cluster.reflector import reflect_one
from gitops_run.errors import BackendError, GuardError, NotFound, TransientError, WaitTimeout
from gitops_run.model.names import (
    INGRESS_POLICY,
    QUOTA,
    REQUEST_DEFAULTS,
    SESSION_LABEL,
    SessionName,
    cluster_binding_name,
)
from gitops_run.model.rights.access import (
    APPLICABLE,
    FLUX_HELM_GROUP,
    FLUX_KUSTOMIZE_GROUP,
)
from gitops_run.model.session.hindrance import Hindrance
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.receipt import ReceiptLine
from gitops_run.model.session.spec import ClusterFacts
from gitops_run.model.session.tombstone import TOMBSTONE_NAMESPACE, Tombstone, tombstone_manifest
from gitops_run.model.stack.events import PendingObject

GONE_WITHIN_S: Final = 60.0
_BOUNDS: Final = ("ResourceQuota", "LimitRange")
_CLUSTER_BINDING: Final = "ClusterRoleBinding"
"""The makers' role of an earlier platform doesn't name it: who may not list it has made none."""
MADE_IN_A_NAMESPACE: Final = (
    *(("v1", kind) for kind in _BOUNDS),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("apps/v1", "StatefulSet"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("v1", "ServiceAccount"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    (SOURCES, "Bucket"),
    (KUSTOMIZATIONS, "Kustomization"),
    (RELEASES, "HelmRelease"),
)
"""What a session declares, first what is needed by what comes later."""
_BOUND_OBJECTS: Final = (
    ("v1", "ResourceQuota", QUOTA),
    ("v1", "LimitRange", REQUEST_DEFAULTS),
    ("networking.k8s.io/v1", "NetworkPolicy", INGRESS_POLICY),
)


class SessionCluster:
    """Ask and clean the cluster of one session, before it and after it."""

    def __init__(self, key: SessionKey) -> None:
        self._key = key

    async def facts(self) -> ClusterFacts:
        """Ask what the session needs to know of the cluster. Raises as read_facts."""
        return await read_facts(self._key)

    async def remains(self) -> tuple[ReceiptLine, ...]:
        """Ask for everything that a session has in the cluster. Raises TransientError.

        What this user may not see counts as gone where the namespace is: that goes last, and empty.
        """
        name, namespace = self._key.name, self._key.namespace
        async with self._connected() as connection:
            *within, around = await asyncio.gather(
                _is_gone(connection, f"Kustomization {name}", applier_path(namespace, name.text)),
                _is_gone(connection, f"HelmRelease {name}", release_path(namespace, name.text)),
                _is_gone(connection, f"Bucket {name}", source_path(namespace, name.text)),
                _are_gone(connection, name, namespace),
                *(
                    _is_gone(
                        connection, f"{kind} {bound}", path_of(version, plural_of(kind), namespace, bound)
                    )
                    for version, kind, bound in _BOUND_OBJECTS
                ),
                _is_gone(connection, f"Namespace {namespace}", namespace_path(namespace)),
            )
            if around.is_gone:
                within = [ReceiptLine(what=one.what, is_gone=True) if one.unseen else one for one in within]
            return (*within, around)

    async def remains_elsewhere(self) -> tuple[ReceiptLine, ...]:
        """Ask for everything that a session with isolation cluster has outside of its namespace.

        Raises TransientError.
        """
        name, namespace = self._key.name, self._key.namespace
        binding = cluster_binding_name(namespace)
        async with self._connected() as connection:
            paths = await _listable(connection)
            what = f"the objects that {name} applied in the whole cluster"
            return (
                await _none_of(connection, what, paths, _applied_labels(name, namespace)),
                await _is_gone(
                    connection,
                    f"{_CLUSTER_BINDING} {binding}",
                    path_of(RBAC, plural_of(_CLUSTER_BINDING), name=binding),
                ),
            )

    async def labelled(self) -> tuple[PendingObject, ...]:
        """List what has the session's label, in the order in which it is made. Raises TransientError.

        The sync's Lease is left out: it goes with the namespace.
        """
        name, namespace = self._key.name, self._key.namespace
        async with self._connected() as connection:
            around = await _labelled(connection, name, "v1", "Namespace", "")
            bindings = await _labelled(connection, name, RBAC, _CLUSTER_BINDING, "")
            within = [
                await _labelled(connection, name, api_version, kind, namespace)
                for api_version, kind in MADE_IN_A_NAMESPACE
            ]
            names = (namespace, cluster_binding_name(namespace))
            here = (found for found in (*around, *bindings) if found.name in names)
            return (*here, *(found for listed in within for found in listed))

    async def remove(self, leftovers: Sequence[PendingObject]) -> None:
        """Delete what a killed run may have made, and wait until it is gone.

        Raises GuardError on an object that isn't this session's, WaitTimeout where one stays for a minute.
        """
        async with self._connected() as connection:
            await remove_leftovers(connection, (SESSION_LABEL, self._key.name.text), leftovers)

    async def leave_word(self, stone: Tombstone) -> None:
        """Leave a tombstone, in the place of an earlier one. Raises BackendError where that isn't allowed."""
        collection = f"/api/v1/namespaces/{TOMBSTONE_NAMESPACE}/configmaps"
        manifest = tombstone_manifest(stone)
        async with self._connected() as connection:
            try:
                await connection.create(collection, manifest)
            except ConflictError:
                await connection.patch(tombstone_path(stone.namespace), {"data": manifest["data"]})

    async def forget_word(self) -> None:
        """Remove the session's tombstone; that there is none is fine."""
        async with self._connected() as connection:
            with suppress(NotFound):
                await connection.delete(tombstone_path(self._key.namespace))

    async def drain(self) -> None:
        """Stop the session's writer, and resume what was suspended. Raises as drain."""
        await drain(self._key)

    async def hindrances(self) -> tuple[Hindrance, ...]:
        """Find what holds the session's end up. Raises TransientError."""
        async with self._connected() as connection:
            return await read_hindrances(connection, self._key)

    def _connected(self) -> AbstractAsyncContextManager[Connection]:
        return connect(self._key.kubeconfig, self._key.context)


async def remove_leftovers(
    connection: Connection, label: tuple[str, str], leftovers: Sequence[PendingObject]
) -> None:
    """Delete what a killed run may have made, last things first, and wait until it is gone.

    label: name and value of what the run puts on everything. Raises as SessionCluster.remove.
    """
    for leftover in reversed(leftovers):
        try:
            with anyio.fail_after(GONE_WITHIN_S):
                await _remove(connection, label, leftover)
        except TimeoutError as error:
            raise WaitTimeout(
                f"{leftover.kind} {leftover.name} is still there after {GONE_WITHIN_S:.0f} s",
                hint=f"to see what blocks its deletion: kubectl get {leftover.kind} {leftover.name} -o yaml",
            ) from error


async def _remove(connection: Connection, label: tuple[str, str], leftover: PendingObject) -> None:
    collection = collection_of(leftover)
    key, value = label
    try:
        live = await connection.get(f"{collection}/{leftover.name}")
        if (live["metadata"].get("labels") or {}).get(key) != value:
            raise GuardError(
                f"{leftover.kind} {leftover.name} already exists, and does not belong to {value}",
                hint="choose another session name, or remove it yourself",
            )
        await connection.delete(f"{collection}/{leftover.name}")
    except NotFound:
        return
    async with aclosing(reflect_one(connection, collection, leftover.name)) as states:
        async for still_there in states:
            if not still_there:
                return


async def _labelled(
    connection: Connection, name: SessionName, api_version: str, kind: str, namespace: str
) -> tuple[PendingObject, ...]:
    """List a kind's objects with the session's label; none where the cluster doesn't serve it.

    What this user may not list goes with the namespace.
    """
    of_kind = PendingObject(api_version=api_version, kind=kind, namespace=namespace, name="")
    selector = {"labelSelector": f"{SESSION_LABEL}={name}"}
    try:
        listing = await _look(connection, collection_of(of_kind), selector) or {"items": ()}
    except TransientError:
        raise
    except BackendError:
        if not namespace and kind != _CLUSTER_BINDING:
            raise
        return ()
    return tuple(replace(of_kind, name=item["metadata"]["name"]) for item in listing["items"])


def collection_of(leftover: PendingObject) -> str:
    """Write the API path of the list that an object is in; without a namespace, of those of all of them."""
    return path_of(leftover.api_version, plural_of(leftover.kind), leftover.namespace)


async def _is_gone(connection: Connection, what: str, path: str) -> ReceiptLine:
    try:
        is_there = await _look(connection, path) is not None
    except TransientError:
        raise
    except BackendError as error:
        return ReceiptLine(what=what, is_gone=False, unseen=error.message)
    return ReceiptLine(what=what, is_gone=not is_there)


async def _are_gone(connection: Connection, name: SessionName, namespace: str) -> ReceiptLine:
    """Look for what Flux applied for the session in its namespace."""
    paths = [
        path_of(f"{group}/v1" if group else "v1", resource, namespace)
        for group, resources in APPLICABLE
        for resource in resources
    ]
    what = f"the objects that {name} applied in {namespace}"
    return await _none_of(connection, what, paths, _applied_labels(name, namespace))


def _applied_labels(name: SessionName, namespace: str) -> tuple[Mapping[str, str], ...]:
    """Write the queries for what Flux applied for a session: it labels objects with the applier's name."""
    return tuple(
        {"labelSelector": f"{group}/name={name},{group}/namespace={namespace}"}
        for group in (FLUX_KUSTOMIZE_GROUP, FLUX_HELM_GROUP)
    )


async def _listable(connection: Connection) -> list[str]:
    """Write the paths of all kinds that the cluster lists, each in the version that it prefers."""
    groups = (await connection.get("/apis"))["groups"]
    versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
    listings = await asyncio.gather(*(_look(connection, version_path(version)) for version in versions))
    return [
        path_of(version, resource["name"])
        for version, listing in zip(versions, listings, strict=True)
        for resource in (listing or {}).get("resources", ())
        if "list" in resource["verbs"] and "/" not in resource["name"]
    ]


async def _none_of(
    connection: Connection, what: str, paths: Sequence[str], selectors: Sequence[Mapping[str, str]]
) -> ReceiptLine:
    """Report whether the collections of these paths hold nothing that one of the queries finds."""
    answers = await asyncio.gather(
        *(_look(connection, path, applied) for path in paths for applied in selectors), return_exceptions=True
    )
    listings, hidden = [], ""
    for answer in answers:
        if isinstance(answer, BackendError) and not isinstance(answer, TransientError):
            hidden = hidden or answer.message
        elif isinstance(answer, BaseException):
            raise answer
        elif answer is not None:
            listings.append(answer)
    found = [item["metadata"]["name"] for listing in listings for item in listing["items"]]
    if found:
        return ReceiptLine(what=f"{what}: {', '.join(found)}", is_gone=False)
    return ReceiptLine(what=what, is_gone=not hidden, unseen=hidden)


async def _look(connection: Connection, path: str, query: Mapping[str, str] | None = None) -> Json | None:
    """Get an object or a list; None where it, or its kind, isn't there."""
    try:
        return await connection.get(path, query)
    except NotFound:
        return None
