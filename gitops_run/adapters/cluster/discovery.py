"""Which kinds the API server has, and where the objects of a kind lie; asked once for each kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gitops_run.adapters.cluster.connection import Connection
from gitops_run.errors import BackendError, NotFound, TransientError
from gitops_run.model.objects import ObjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Name a kind as the API's paths do. root: of its group and version."""

    root: str
    name: str
    is_namespaced: bool

    def collection(self, namespace: str) -> str:
        """Write the path of all objects of this kind in a namespace, or of all where it knows none."""
        where = f"namespaces/{namespace}/" if self.is_namespaced else ""
        return f"{self.root}/{where}{self.name}"


class Kinds:
    """Look kinds up. A kind that isn't there is asked for again: it may be installed meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, Mapping[str, Resource]] = {}

    async def find(self, ref: ObjectRef) -> Resource | None:
        """Find the kind of an object; None where the API server doesn't have it or doesn't say."""
        root = f"/apis/{ref.group}/{ref.version}" if ref.group else f"/api/{ref.version}"
        if ref.kind not in self._known.get(root, {}):
            self._known[root] = await self._listed(root)
        return self._known[root].get(ref.kind)

    async def _listed(self, root: str) -> Mapping[str, Resource]:
        try:
            listing = await self._connection.get(root)
        except TransientError:
            raise
        except (NotFound, BackendError):
            return {}
        return {
            entry["kind"]: Resource(root=root, name=entry["name"], is_namespaced=entry["namespaced"])
            for entry in listing["resources"]
            if "/" not in entry["name"]
        }
