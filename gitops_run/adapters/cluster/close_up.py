"""Read the objects of one session with the rights of whoever looks: each kind with one request.

What this user may not list is named with the right that it takes. Of kinds that are ready because they exist,
Secrets among them, only metadata is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from gitops_run.adapters.cluster.connection import Connection, Json, refusal
from gitops_run.adapters.cluster.details import read_details
from gitops_run.adapters.cluster.discovery import Discovery
from gitops_run.adapters.cluster.paths import collection_path, path_of, pod_path
from gitops_run.adapters.cluster.record import read_record
from gitops_run.adapters.cluster.request import Request
from gitops_run.errors import BackendError, TransientError
from gitops_run.model.health.pod_troubles import Surroundings, explained_health
from gitops_run.model.health.rules import absent_health, has_health
from gitops_run.model.names import STORE_SERVER
from gitops_run.model.objects.identity import ObjectRef, Resource
from gitops_run.model.rights.right import Right
from gitops_run.model.session.key import SessionKey
from gitops_run.model.state.close_up import CloseUp, SeenObject, SeenPod
from gitops_run.model.text.echoes import without_values
from gitops_run.model.text.problem import printable

_METADATA: Final = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
_PODS: Final = "pods"
_EVENTS: Final = "events"
_REPLICA_SETS: Final = "replicasets"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """Hold the objects of one kind, or the right that was missing to list them."""

    items: tuple[Json, ...] = ()
    missing: Right | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """Say where objects of one kind lie."""

    path: str
    right: Right
    kind: str
    api_version: str
    has_health: bool = True
    refs: list[ObjectRef] = field(default_factory=list)


async def read_close_up(connection: Connection, discovery: Discovery, key: SessionKey) -> CloseUp:
    """Read record, details, objects and pods of a session. Raises TransientError."""
    record, details = await asyncio.gather(
        read_record(connection, key.namespace), read_details(connection, key)
    )
    kinds, unknown = await _kinds_of(discovery, details.inventory, key.namespace)
    around = [_around(kind, key.namespace) for kind in (_PODS, _REPLICA_SETS, _EVENTS)]
    *listed, pods, replica_sets, events = await asyncio.gather(
        *(_list(connection, one) for one in (*kinds, *around))
    )
    surroundings = Surroundings(pods=pods.items, replica_sets=replica_sets.items, events=events.items)
    seen = [
        *(one for kind, found in zip(kinds, listed, strict=True) for one in _seen(kind, found, surroundings)),
        *(SeenObject(ref=ref, message="the cluster doesn't know its kind") for ref in unknown),
    ]
    own_pods = tuple(live for live in pods.items if not _is_store(live))
    known = {one.uid for one in seen}
    makers = _makers(replica_sets.items)
    seen += [_pod(live, makers, surroundings) for live in own_pods if live["metadata"]["uid"] not in known]
    every = zip((*(kind.kind for kind in kinds), _PODS, _EVENTS), (*listed, pods, events), strict=True)
    return CloseUp(
        record=record,
        details=details,
        objects=tuple(seen),
        pods=tuple(_seen_pod(live) for live in own_pods),
        missing={name: found.missing for name, found in every if found.missing},
    )


async def _kinds_of(
    discovery: Discovery, inventory: Iterable[ObjectRef], namespace: str
) -> tuple[list[_Kind], list[ObjectRef]]:
    """Group objects by the collection that they lie in; and list those whose kind isn't served."""
    found: dict[str, _Kind] = {}
    unknown = []
    for ref in inventory:
        resource = await _resource(discovery, ref)
        if resource is None:
            unknown.append(ref)
            continue
        path = collection_path(ref, resource, namespace)
        where = (ref.namespace or namespace) if resource.is_namespaced else ""
        right = Right(verb="list", resource=resource.plural, group=ref.group, namespace=where)
        kind = _Kind(
            path=path,
            right=right,
            kind=ref.kind,
            api_version=ref.api_version,
            has_health=has_health(ref),
        )
        found.setdefault(path, kind).refs.append(ref)
    return list(found.values()), unknown


async def _resource(discovery: Discovery, ref: ObjectRef) -> Resource | None:
    try:
        return await discovery.find(ref)
    except TransientError:
        raise
    except BackendError:
        return None


def _around(plural: str, namespace: str) -> _Kind:
    group, api_version, kind = {
        _PODS: ("", "v1", "Pod"),
        _EVENTS: ("", "v1", "Event"),
        _REPLICA_SETS: ("apps", "apps/v1", "ReplicaSet"),
    }[plural]
    path = path_of(api_version, plural, namespace)
    right = Right(verb="list", resource=plural, group=group, namespace=namespace)
    return _Kind(path=path, right=right, kind=kind, api_version=api_version)


async def _list(connection: Connection, kind: _Kind) -> _Listed:
    request = Request(method="GET", path=kind.path, headers={} if kind.has_health else _METADATA)
    status, answer = await connection.ask(request)
    if status in (HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED):
        return _Listed(missing=kind.right)
    if status == HTTPStatus.NOT_FOUND:
        return _Listed()
    if status >= HTTPStatus.BAD_REQUEST:
        raise refusal(connection.context, status, str(answer.get("message", "")))
    # The API server leaves out of a list's members what they have in common.
    said = {"kind": kind.kind, "apiVersion": kind.api_version}
    return _Listed(items=tuple({**item, **said} for item in answer.get("items") or ()))


def _seen(kind: _Kind, found: _Listed, around: Surroundings) -> Iterator[SeenObject]:
    by_name = {item["metadata"]["name"]: item for item in found.items}
    for ref in kind.refs:
        live = by_name.get(ref.name)
        if found.missing:
            yield SeenObject(ref=ref, message=f"to see it, you need the right to {found.missing}")
        elif live is None:
            absent = absent_health(ref)
            yield SeenObject(ref=ref, health=absent.state.value, message=absent.message)
        elif not kind.has_health:
            yield _one(ref, live, "ready", "")
        else:
            health = explained_health(live, around)
            yield _one(ref, live, health.state.value, health.message)


def _one(ref: ObjectRef, live: Json, health: str, message: str, owner: str = "") -> SeenObject:
    return SeenObject(
        ref=ref,
        uid=live["metadata"].get("uid", ""),
        owner=owner,
        health=health,
        message=printable(without_values(message, is_any_secret=True)) if message else "",
        created=live["metadata"].get("creationTimestamp") or "",
    )


def _makers(replica_sets: Iterable[Json]) -> Mapping[str, str]:
    """Map the uid of each ReplicaSet to that of its Deployment."""
    return {live["metadata"]["uid"]: _owner(live) for live in replica_sets}


def _owner(live: Json) -> str:
    owners = live["metadata"].get("ownerReferences") or ()
    return next((str(one["uid"]) for one in owners if one.get("controller")), "")


def _pod(live: Json, makers: Mapping[str, str], around: Surroundings) -> SeenObject:
    metadata, owner = live["metadata"], _owner(live)
    ref = ObjectRef(group="", kind="Pod", namespace=metadata["namespace"], name=metadata["name"])
    health = explained_health(live, around)
    return _one(ref, live, health.state.value, health.message, makers.get(owner) or owner)


def _is_store(live: Json) -> bool:
    """Report whether a pod is the session's own S3 server, which is no part of what is applied."""
    return str(live["metadata"]["name"]) == f"{STORE_SERVER}-0"


def _seen_pod(live: Json) -> SeenPod:
    spec, status = live.get("spec") or {}, live.get("status") or {}
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    states = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return SeenPod(
        name=live["metadata"]["name"],
        phase=status.get("phase") or "",
        containers=tuple(one["name"] for one in containers),
        has_previous=any((one.get("restartCount") or 0) > 0 for one in states),
    )


async def list_pods(connection: Connection, namespace: str) -> tuple[SeenPod, ...]:
    """List the pods whose logs can be read. Raises BackendError where this user may not list them."""
    listed = await connection.get(pod_path(namespace))
    return tuple(_seen_pod(live) for live in listed.get("items") or () if not _is_store(live))
