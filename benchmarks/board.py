"""What it costs to show 500 sessions to 100 readers, while their Leases are renewed 100 times a second.

Each session has a namespace, a Lease and a state, in the sandbox's API server. A process of its own watches
them as a page does, so that nothing but it is measured: `python -m benchmarks.board KUBECONFIG CONTEXT`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import cycle, islice
from subprocess import PIPE
from typing import Any

import anyio
from anyio.abc import Process

from benchmarks.process import resident_mb
from benchmarks.session import Bench
from gitops_run.adapters.cluster.connection import Connection, Json, connect
from gitops_run.api.watch import SessionWatch, watch_sessions
from gitops_run.model.names import LOOP_KEY, SESSION_LABEL, STATE_MAP
from gitops_run.model.state.summary import Summary
from gitops_run.model.state.texts import summary_text

STATE = summary_text(Summary(run=1, recent_ms=(300,) * 30))
SESSIONS = 500
READERS = 100
RENEWALS_PER_S = 100
RENEWED_S = 20.0
PATIENCE_S = 120.0
LAST_HOLDER = "bob@desk/1/x"
LABELS = {SESSION_LABEL: "web", "benchmark": "board"}


def measure_board(bench: Bench) -> dict[str, Any]:
    """Renew Leases as fast as 500 syncs do, and have a process follow them."""
    return {"board": anyio.run(_renew_and_follow, bench.kubeconfig, bench.sandbox.context)}


async def _renew_and_follow(kubeconfig: str, context: str) -> dict[str, Any]:
    async with connect(kubeconfig, context) as connection, _sessions(connection) as names:
        command = [sys.executable, "-m", "benchmarks.board", kubeconfig, context]
        async with await anyio.open_process(command, stdout=PIPE, stderr=None) as process:
            with anyio.fail_after(PATIENCE_S):
                await _line(process)
                await _renew(connection, names)
                await connection.patch(f"{_leases(names[0])}/web", {"spec": {"holderIdentity": LAST_HOLDER}})
                found: dict[str, Any] = json.loads(await _line(process))
                return found


async def _line(process: Process) -> str:
    assert process.stdout is not None
    text = b""
    while not text.endswith(b"\n"):
        text += await process.stdout.receive()
    return text.decode()


@asynccontextmanager
async def _sessions(connection: Connection) -> AsyncIterator[list[str]]:
    """Make what is seen of sessions; yield their namespaces."""
    names = [f"board-{number}" for number in range(SESSIONS)]
    limiter = anyio.CapacityLimiter(20)

    async def make(name: str) -> None:
        async with limiter:
            await connection.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": LABELS}})
            lease = {"metadata": {"name": "web", "labels": LABELS}, "spec": held("alice@laptop/1/x")}
            await connection.create(_leases(name), lease)
            state = {"metadata": {"name": STATE_MAP, "labels": LABELS}, "data": {LOOP_KEY: STATE}}
            await connection.create(f"/api/v1/namespaces/{name}/configmaps", state)

    try:
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(make, name)
        yield names
    finally:
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                for name in names:
                    tasks.start_soon(connection.delete, f"/api/v1/namespaces/{name}")


def _leases(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


def held(holder: str) -> Json:
    """Write what a Lease says that was renewed just now."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"holderIdentity": holder, "acquireTime": now, "renewTime": now}


async def _renew(connection: Connection, names: list[str]) -> None:
    began = anyio.current_time()

    async def renew(name: str) -> None:
        renewed = {"renewTime": held("")["renewTime"]}
        await connection.patch(f"{_leases(name)}/web", {"spec": renewed})

    async with anyio.create_task_group() as tasks:
        for number, name in enumerate(islice(cycle(names), round(RENEWED_S * RENEWALS_PER_S))):
            tasks.start_soon(renew, name)
            await anyio.sleep_until(began + (number + 1) / RENEWALS_PER_S)


class _Readers:
    """Read a board, half of them all of it and half one session each. taken: how often each got something."""

    def __init__(self, watch: SessionWatch) -> None:
        self._watch = watch
        self.taken = [0] * READERS

    async def read(self, number: int) -> None:
        """Read until cancelled. The odd ones read the first session, which changes at last."""
        source = self._watch.board.watch_one("board-0") if number % 2 else self._watch.sessions()
        async for _ in source:
            self.taken[number] += 1


async def follow(*place: str) -> None:
    """Follow the sessions until one has another writer; print a line when it begins, and the figures."""
    kubeconfig, context = place
    async with connect(kubeconfig, context) as connection, watch_sessions(connection) as watch:
        readers = _Readers(watch)
        async with anyio.create_task_group() as tasks:
            for number in range(READERS):
                tasks.start_soon(readers.read, number)
            await anyio.wait_all_tasks_blocked()
            before, cpu_s, began = watch.board.snapshot.number, time.process_time(), time.monotonic()
            print("following", flush=True)
            await anyio.sleep(RENEWED_S / 2)
            rss_mb = resident_mb(os.getpid())
            async for state in watch.board.watch_one("board-0"):
                if state and state.synced_by and state.synced_by.holder == LAST_HOLDER:
                    break
            took_s, used_s = time.monotonic() - began, time.process_time() - cpu_s
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert readers.taken == [2] * READERS, "every reader is to get what was there, and the one change"
    figures = {
        "readers_100_cpu_percent": round(used_s / took_s * 100, 2),
        "news_per_renewal": (watch.board.snapshot.number - before - 1) / (RENEWED_S * RENEWALS_PER_S),
        "rss_500_mb": resident_mb(os.getpid()),
        "rss_growth_mb": resident_mb(os.getpid()) - rss_mb,
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    anyio.run(follow, *sys.argv[1:])
