"""One object as YAML for a person, and who is bound to what in a namespace."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import yaml

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.adapters.cluster.discovery import Discovery
from gitops_run.adapters.cluster.paths import RBAC, object_path, owner_path, path_of
from gitops_run.errors import NotFound
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.objects.shown import as_shown
from gitops_run.model.state.close_up import Bound, ObjectText
from gitops_run.model.state.details import to_details


async def read_object_text(
    connection: Connection, discovery: Discovery, ref: ObjectRef, namespace: str
) -> ObjectText:
    """Read an object and its events. namespace: of one that names none.

    Raises NotFound where there is none, BackendError where this user may not read it.
    """
    resource = await discovery.find(ref)
    if resource is None:
        raise NotFound(f"the cluster doesn't know the kind {ref.group_kind}")
    path = object_path(ref, resource, namespace)
    query = {"fieldSelector": f"involvedObject.kind={ref.kind},involvedObject.name={ref.name}"}
    live, events = await asyncio.gather(
        connection.get(path), connection.find(path_of("v1", "events", ref.namespace or namespace), query)
    )
    text = yaml.safe_dump(as_shown(live), sort_keys=False, allow_unicode=True, width=110)
    return ObjectText(text=text, events=to_details((), events.get("items") or ()).events)


async def read_bound(connection: Connection, namespace: str, roles: Iterable[str]) -> tuple[Bound, ...]:
    """List who is bound in a namespace, and who to these roles in all of them, as far as one may see it."""
    own, owner, everywhere = await asyncio.gather(
        connection.find(path_of(RBAC, "rolebindings", namespace)),
        connection.find(owner_path(namespace)),
        connection.find(path_of(RBAC, "clusterrolebindings")),
    )
    here = own.get("items") or ([owner] if owner else [])
    wanted = frozenset(roles)
    there = (one for one in everywhere.get("items") or () if one["roleRef"]["name"] in wanted)
    return (*_bound(here, "RoleBinding"), *_bound(there, "ClusterRoleBinding"))


def _bound(bindings: Iterable[Json], kind: str) -> Iterator[Bound]:
    for binding in bindings:
        for subject in binding.get("subjects") or ():
            where = f"{subject['namespace']}/" if subject.get("namespace") else ""
            yield Bound(
                subject=f"{subject['kind']} {where}{subject['name']}",
                role=binding["roleRef"]["name"],
                through=f"{kind} {binding['metadata']['name']}",
            )
