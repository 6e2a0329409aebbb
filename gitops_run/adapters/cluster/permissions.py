"""What a session's ServiceAccount may apply, read from the cluster once.

Knows the Role that Flux applies under and which kinds the API server has. An object that neither Flux nor
the Role would let pass is refused before it is uploaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.errors import NotFound
from gitops_run.model.objects import ObjectRef
from gitops_run.model.session import APPLIER


class RolePermissions:
    """Check objects against the session's Role. Kinds are asked for when they are first met."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self._allowed: frozenset[tuple[str, str]] | None = None
        self._kinds: dict[tuple[str, str], Mapping[str, tuple[str, bool]]] = {}

    async def refusal(self, refs: Iterable[ObjectRef]) -> Mapping[ObjectRef, str]:
        """Say for each object that may not be applied why not. A kind nobody knows is left to Flux."""
        if self._allowed is None:
            path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self._namespace}/roles/{APPLIER}"
            self._allowed = _resources(await self._connection.get(path))
        found = {}
        for ref in refs:
            reason = await self._reason(ref, self._allowed)
            if reason:
                found[ref] = reason
        return found

    async def _reason(self, ref: ObjectRef, allowed: frozenset[tuple[str, str]]) -> str:
        resource, is_namespaced = (await self._kinds_of(ref)).get(ref.kind, ("", True))
        if not resource:
            return ""
        if not is_namespaced:
            return "it belongs to the whole cluster, and a session applies within its own namespace only"
        if ref.namespace and ref.namespace != self._namespace:
            return (
                f"it lies in namespace {ref.namespace}, and the session may apply in {self._namespace} only"
            )
        if (ref.group, resource) not in allowed:
            return f"the session's ServiceAccount {APPLIER} has no right to apply {resource}"
        return ""

    async def _kinds_of(self, ref: ObjectRef) -> Mapping[str, tuple[str, bool]]:
        key = (ref.group, ref.version)
        if key not in self._kinds:
            path = f"/apis/{ref.group}/{ref.version}" if ref.group else f"/api/{ref.version}"
            try:
                self._kinds[key] = _kinds(await self._connection.get(path))
            except NotFound:
                return {}
        return self._kinds[key]


def _resources(role: Json) -> frozenset[tuple[str, str]]:
    return frozenset(
        (group, resource)
        for rule in role.get("rules") or ()
        for group in rule.get("apiGroups", ())
        for resource in rule.get("resources", ())
    )


def _kinds(listing: Json) -> Mapping[str, tuple[str, bool]]:
    return {
        entry["kind"]: (entry["name"], entry["namespaced"])
        for entry in listing["resources"]
        if "/" not in entry["name"]
    }
