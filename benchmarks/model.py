"""A model of the algorithm that the former GitOps Run had, not that tool itself: a timed replay of its steps.

For each save it emptied the bucket, uploaded every file one after another, asked the Bucket and then the
Kustomization to reconcile, and for each polled first that the request was handled, then that it was Ready.
Source: weave-gitops of 2023, cmd/gitops/beta/run and pkg/run/watch/setup_dev_ks.go. Left out, in its
favour: the tunnel to the bucket, the validation of all files, and the health check's own waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio

from benchmarks.session import Session
from benchmarks.store import open_store
from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.paths import applier_path, source_path
from gitops_run.adapters.store.objects import always
from gitops_run.flows.ports import Store
from gitops_run.model.flux.conditions import to_applier_status, to_source_status
from gitops_run.model.names import RECONCILE_ANNOTATION, STORE_PREFIX

TICK_S = 0.68
"""Changes were looked for at each tick: a save waits for half of one, on average."""
POLL_S = 1.5


def model(session: Session, times: int) -> list[float]:
    """Bring an edit to the cluster by that algorithm, again and again. Returns milliseconds.

    The session's sync must be stopped; the next one puts the store right.
    """
    return anyio.run(_model, session, times)


async def _model(session: Session, times: int) -> list[float]:
    found = []
    async with open_store(session) as (connection, key, store):
        source, applier = (path(key.namespace, session.name) for path in (source_path, applier_path))
        for _ in range(times):
            began = time.monotonic()
            session.edit()
            await anyio.sleep(TICK_S / 2)
            await _upload_all(store, session.root)
            await _reconcile(connection, source, to_source_status)
            await _reconcile(connection, applier, to_applier_status)
            found.append((time.monotonic() - began) * 1000)
    return found


async def _upload_all(store: Store, root: Path) -> None:
    await store.delete([stored.key for stored in await store.list()], always)
    for path in _files(root):
        await store.put_many({f"{STORE_PREFIX}{path.relative_to(root)}": path.read_bytes()}, always)


def _files(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*")) if path.is_file())


async def _reconcile(connection: Connection, path: str, to_status: Callable[[dict[str, Any]], Any]) -> None:
    """Ask for a reconciliation, poll until it was handled, then until it is ready."""
    token = f"model-{time.time_ns()}"
    await connection.patch(path, {"metadata": {"annotations": {RECONCILE_ANNOTATION: token}}})
    await _poll(connection, path, lambda live: to_status(live).handled == token)
    await _poll(connection, path, lambda live: to_status(live).ready == "True")


async def _poll(connection: Connection, path: str, holds: Callable[[dict[str, Any]], bool]) -> None:
    await anyio.sleep(POLL_S)  # it slept before its first look
    while not holds(await connection.get(path)):  # noqa: ASYNC110 - polling is what is measured
        await anyio.sleep(POLL_S)
