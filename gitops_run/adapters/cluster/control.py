"""What people ask of a session's objects: suspend and resume what applies it, and move its end.

Writes spec.suspend of the Kustomization or HelmRelease and annotations, nothing else. The admission policies
let the session's owner do the same.
"""

from __future__ import annotations

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.adapters.cluster.paths import applier_path, release_path, source_path
from gitops_run.errors import NotFound
from gitops_run.model.names import (
    EXTENDED_ANNOTATION,
    RESUMED_AT_ANNOTATION,
    SUSPENDED_AT_ANNOTATION,
    SUSPENDED_BY_ANNOTATION,
    SUSPENDED_REASON_ANNOTATION,
)
from gitops_run.model.state.session_state import SessionState, Suspension


async def who_asks(connection: Connection) -> str:
    """Name the user of this connection, as the cluster does."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    me = await connection.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    return str(me["status"]["userInfo"]["username"])


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
    await _patch_appliers(connection, state, is_suspended=True, annotations=said)


async def resume(connection: Connection, state: SessionState, now: str) -> None:
    """Resume what applies a session; Flux then applies what is stored. Raises as suspend."""
    said = {
        SUSPENDED_BY_ANNOTATION: None,
        SUSPENDED_REASON_ANNOTATION: None,
        SUSPENDED_AT_ANNOTATION: None,
        RESUMED_AT_ANNOTATION: now,
    }
    await _patch_appliers(connection, state, is_suspended=False, annotations=said)


async def _patch_appliers(
    connection: Connection, state: SessionState, *, is_suspended: bool, annotations: Json
) -> None:
    body = {"metadata": {"annotations": annotations}, "spec": {"suspend": is_suspended}}
    if not state.targets:
        raise NotFound(
            f"session {state.name} has no Kustomization and no HelmRelease that you may see",
            hint="create it again: gitops-run up NAME",
        )
    for target in state.targets:
        kind, _, name = target.object.partition(" ")
        path = release_path if kind == "HelmRelease" else applier_path
        await connection.patch(path(state.namespace, name), body)
