"""Which kinds a cluster has, and where their objects are: asked when first met, asked again when unknown."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import anyio

from gitops_run.adapters.cluster.connection import Connection, Json
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
            listing = await self._connection.get(_group_path(ref))
        except NotFound:
            return None
        self._known[ref.group, ref.version] = _resources(listing)
        return self._known[ref.group, ref.version].get(ref.kind)


def object_path(ref: ObjectRef, resource: Resource, namespace: str) -> str:
    """Write an object's path. namespace: of an object that names none, but needs one."""
    return f"{collection_path(ref, resource, namespace)}/{quote(ref.name, safe='')}"


def collection_path(ref: ObjectRef, resource: Resource, namespace: str) -> str:
    """Write the path of all objects of a kind that lie where this one does."""
    where = f"/namespaces/{quote(ref.namespace or namespace, safe='')}" if resource.is_namespaced else ""
    return f"{_group_path(ref)}{where}/{resource.plural}"


def _group_path(ref: ObjectRef) -> str:
    group, version = quote(ref.group, safe=""), quote(ref.version, safe="")
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def _resources(listing: Json) -> Mapping[str, Resource]:
    return {
        entry["kind"]: Resource(plural=entry["name"], is_namespaced=entry["namespaced"])
        for entry in listing["resources"]
        if "/" not in entry["name"]
    }
