"""Which kinds a cluster has, and where their objects are: asked when first met, asked again when unknown."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.adapters.cluster.paths import group_path
from gitops_run.errors import NotFound
from gitops_run.model.objects.identity import ObjectRef, Resource


class Discovery:
    """Know the kinds of one cluster."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[str, str], Mapping[str, Resource]] = {}
        self._lock = anyio.Lock()

    async def find(self, ref: ObjectRef) -> Resource | None:
        """Find an object's kind; None where the cluster doesn't have it, now."""
        key = (ref.group, ref.version)
        found = self._known.get(key, {}).get(ref.kind)
        if found is None:
            async with self._lock:
                found = self._known.get(key, {}).get(ref.kind) or await self._asked(ref)
        return found

    async def _asked(self, ref: ObjectRef) -> Resource | None:
        try:
            listing = await self._connection.get(group_path(ref.group, ref.version))
        except NotFound:
            return None
        self._known[ref.group, ref.version] = _resources(listing)
        return self._known[ref.group, ref.version].get(ref.kind)


def _resources(listing: Json) -> Mapping[str, Resource]:
    return {
        entry["kind"]: Resource(plural=entry["name"], is_namespaced=entry["namespaced"])
        for entry in listing["resources"]
        if "/" not in entry["name"]
    }


def served_kinds(listing: Json) -> frozenset[str]:
    """Read which kinds a version of an API has from its listing, which may be empty."""
    return frozenset(resource["kind"] for resource in listing.get("resources", ()))
