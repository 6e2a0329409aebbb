"""What people ask of a session's objects: suspend and resume what applies it, move its end, apply again.

Writes spec.suspend of the Kustomization or HelmRelease and annotations, nothing else. The admission policies
let the session's owner do the same.
"""

from __future__ import annotations

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.adapters.cluster.paths import applier_path, release_path, source_path
from gitops_run.errors import NotFound
from gitops_run.model.flux.requests import Request, to_annotations
from gitops_run.model.names import (
    EXTENDED_ANNOTATION,
    RECONCILE_ANNOTATION,
    REQUEST_ANNOTATION,
    REQUESTED_BY_ANNOTATION,
    RESET_ANNOTATION,
    RESUMED_AT_ANNOTATION,
    SUSPENDED_AT_ANNOTATION,
    SUSPENDED_BY_ANNOTATION,
    SUSPENDED_REASON_ANNOTATION,
)
from gitops_run.model.state.session_state import SessionState, Suspension


async def ask(connection: Connection, state: SessionState, request: Request) -> None:
    """Write a request onto a session's Bucket. Raises BackendError where a policy or a Role refuses."""
    body = {"metadata": {"annotations": to_annotations(request)}}
    await connection.patch(source_path(state.namespace, state.name), body)


async def withdraw(connection: Connection, state: SessionState) -> None:
    """Remove the request from a session's Bucket, so that nobody waits for its answer. Raises as ask."""
    body = {"metadata": {"annotations": {REQUEST_ANNOTATION: None, REQUESTED_BY_ANNOTATION: None}}}
    await connection.patch(source_path(state.namespace, state.name), body)


async def extend(connection: Connection, state: SessionState, until: str) -> None:
    """Move a session's end. until: RFC 3339. Raises BackendError where a policy or a Role refuses."""
    body = {"metadata": {"annotations": {EXTENDED_ANNOTATION: until}}}
    await connection.patch(source_path(state.namespace, state.name), body)


async def suspend(connection: Connection, state: SessionState, why: Suspension) -> None:
    """Suspend what applies a session. Raises NotFound where nothing does, and as extend."""
    said = {
        SUSPENDED_BY_ANNOTATION: why.by,
        SUSPENDED_REASON_ANNOTATION: why.reason,
        SUSPENDED_AT_ANNOTATION: why.at,
    }
    await _patch_appliers(connection, state, {"metadata": {"annotations": said}, "spec": {"suspend": True}})


async def resume(connection: Connection, state: SessionState, now: str) -> None:
    """Resume what applies a session; Flux then applies what is stored. Raises as suspend."""
    said = {
        SUSPENDED_BY_ANNOTATION: None,
        SUSPENDED_REASON_ANNOTATION: None,
        SUSPENDED_AT_ANNOTATION: None,
        RESUMED_AT_ANNOTATION: now,
    }
    await _patch_appliers(connection, state, {"metadata": {"annotations": said}, "spec": {"suspend": False}})


async def retry(connection: Connection, state: SessionState, token: str) -> None:
    """Ask Flux to fetch and apply what is stored once more. token: not used before. Raises as suspend.

    A HelmRelease forgets the failures by which it gave up. For a session that nobody syncs: to a sync, its
    own tokens say which fetch it waits for.
    """
    said = {RECONCILE_ANNOTATION: token}
    source = source_path(state.namespace, state.name)
    await connection.patch(source, {"metadata": {"annotations": said}})
    await _patch_appliers(connection, state, {"metadata": {"annotations": {**said, RESET_ANNOTATION: token}}})


async def _patch_appliers(connection: Connection, state: SessionState, body: Json) -> None:
    if not state.targets:
        raise NotFound(
            f"session {state.name} has no Kustomization and no HelmRelease that you may see",
            hint="create it again: gitops-run up NAME",
        )
    for target in state.targets:
        kind, _, name = target.object.partition(" ")
        path = release_path if kind == "HelmRelease" else applier_path
        await connection.patch(path(state.namespace, name), body)
