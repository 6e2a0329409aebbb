"""The first step of a session's end: its writer stops, and Flux is free to remove what it applied.

`pulumi destroy` takes it through the resource Drain, and `down --from-cluster` takes it directly. A suspended
Kustomization or HelmRelease would be deleted and leave its objects. A Bucket with a fence stays suspended:
its store may hold half a save, which Flux must not fetch, and a suspended Bucket is deleted like any other.
Sources: kustomize-controller 1.9 and helm-controller 1.6, internal/controller.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import anyio

from gitops_run.adapters.cluster.connection import ConflictError, Connection, Json, connect
from gitops_run.adapters.cluster.lease import RENEW_S, Holder
from gitops_run.adapters.cluster.paths import (
    applier_path,
    lease_path,
    namespace_path,
    release_path,
    source_path,
)
from gitops_run.adapters.cluster.sessions import present
from gitops_run.adapters.cluster.states import is_over
from gitops_run.errors import WaitTimeout
from gitops_run.model.names import ENDING_ANNOTATION, FENCE_ANNOTATION
from gitops_run.model.session.key import SessionKey

DRAIN_S: Final = 60.0
OUTWAIT_S: Final = RENEW_S + 2.0
"""Within this a writer has renewed its Lease, and so has heard that it lost it."""
_LOOK_S: Final = 0.1
_RESUME: Final = {"spec": {"suspend": False}}


async def drain(key: SessionKey, *, cluster: str = "", within_s: float = DRAIN_S) -> None:
    """Stop a session's writer, and resume what was suspended. What isn't there needs nothing.

    cluster: the UID of the cluster's kube-system namespace; another cluster of the same context is left
    alone, and "" stands for any. Raises WaitTimeout, and as connect and Connection do.
    """
    try:
        with anyio.fail_after(within_s):
            async with connect(key.kubeconfig, key.context) as connection:
                if await _is_other(connection, cluster):
                    return
                await _stop_writer(connection, key)
                await _resume(connection, key)
    except TimeoutError as error:
        raise WaitTimeout(
            f"session {key.name} could not be drained within {within_s:.0f} s",
            hint="see whether the cluster answers, and run the same command again",
        ) from error


async def _is_other(connection: Connection, cluster: str) -> bool:
    """Say whether this is another cluster; one whose UID this user may not read may be the right one."""
    system = await connection.find(namespace_path("kube-system"))
    return bool(cluster and system) and system["metadata"]["uid"] != cluster


async def _stop_writer(connection: Connection, key: SessionKey) -> None:
    """Take the Lease, so that a live sync ends, and wait until it has."""
    path = lease_path(key.namespace, key.name.text)
    while live := await present(connection, path):
        try:
            await connection.replace(path, _taken(live))
        except ConflictError:
            continue
        if _is_held(live):
            await _outwait(Holder(live["spec"]["holderIdentity"]))
        return


def _taken(live: Json) -> Json:
    """Write the Lease of a session that is being ended, which says so to its last holder."""
    metadata, spec = live["metadata"], live.get("spec") or {}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    annotations = {**(metadata.get("annotations") or {}), ENDING_ANNOTATION: now}
    held = {"holderIdentity": Holder.of_this_process().text, "acquireTime": now, "renewTime": now}
    return {**live, "metadata": {**metadata, "annotations": annotations}, "spec": {**spec, **held}}


def _is_held(live: Json) -> bool:
    """Say whether a sync held the Lease when it was read, and not another drain."""
    spec = live.get("spec") or {}
    holder = str(spec.get("holderIdentity") or "")
    is_ending = ENDING_ANNOTATION in (live["metadata"].get("annotations") or {})
    is_lapsed = is_over(str(spec.get("renewTime") or "")) or Holder(holder).is_dead
    return bool(holder) and not is_ending and not is_lapsed


async def _outwait(holder: Holder) -> None:
    with anyio.move_on_after(OUTWAIT_S):
        while not holder.is_dead:  # noqa: ASYNC110 - nobody announces the end of another process
            await anyio.sleep(_LOOK_S)


async def _resume(connection: Connection, key: SessionKey) -> None:
    """Set suspend to false where somebody has suspended the session."""
    namespace, name = key.namespace, key.name.text
    for path in (applier_path(namespace, name), release_path(namespace, name), source_path(namespace, name)):
        live = await present(connection, path)
        is_fenced = FENCE_ANNOTATION in ((live.get("metadata") or {}).get("annotations") or {})
        if live and live["spec"].get("suspend") and not is_fenced:
            await connection.patch(path, _RESUME)
