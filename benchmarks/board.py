"""What it costs to show 500 sessions to 100 readers, while their Leases are renewed 100 times a second.

The Leases are real ones, in the sandbox's API server. A process of its own follows them and reads the board,
so that nothing but it is measured: `python -m benchmarks.board KUBECONFIG CONTEXT`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from itertools import cycle, islice
from subprocess import PIPE
from typing import Any

import anyio
from anyio.abc import Process

from benchmarks.board_state import LeaseSeen, SessionState, reduce
from benchmarks.process import resident_mb
from benchmarks.session import Bench
from gitops_run.adapters.cluster.connection import Connection, Json, connect
from gitops_run.adapters.cluster.reflector import Gone, Listed, News, Seen, reflect
from gitops_run.flows.board import Board

SESSIONS = 500
READERS = 100
RENEWALS_PER_S = 100
RENEWED_S = 20.0
PATIENCE_S = 120.0
NAMESPACE = "board"
SELECTOR = {"labelSelector": "benchmark=board"}
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
HOLDER, LAST_HOLDER = "alice@laptop", "bob@desk"


def measure_board(bench: Bench) -> dict[str, Any]:
    """Renew Leases as fast as 500 syncs do, and have a process follow them."""
    return {"board": anyio.run(_renew_and_follow, bench.kubeconfig, bench.sandbox.context)}


async def _renew_and_follow(kubeconfig: str, context: str) -> dict[str, Any]:
    async with connect(kubeconfig, context) as connection, _leases(connection) as names:
        command = [sys.executable, "-m", "benchmarks.board", kubeconfig, context]
        async with await anyio.open_process(command, stdout=PIPE, stderr=None) as process:
            with anyio.fail_after(PATIENCE_S):
                await _line(process)
                await _renew(connection, names)
                await connection.patch(f"{LEASES}/{names[0]}", {"spec": {"holderIdentity": LAST_HOLDER}})
                found: dict[str, Any] = json.loads(await _line(process))
                return found


async def _line(process: Process) -> str:
    assert process.stdout is not None
    text = b""
    while not text.endswith(b"\n"):
        text += await process.stdout.receive()
    return text.decode()


@asynccontextmanager
async def _leases(connection: Connection) -> AsyncIterator[list[str]]:
    names = [f"session-{number}" for number in range(SESSIONS)]
    await connection.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    try:
        for name in names:
            metadata = {"name": name, "labels": {"benchmark": "board"}}
            await connection.create(LEASES, {"metadata": metadata, "spec": {"holderIdentity": HOLDER}})
        yield names
    finally:
        await connection.delete(f"/api/v1/namespaces/{NAMESPACE}")


async def _renew(connection: Connection, names: list[str]) -> None:
    began = anyio.current_time()

    async def renew(name: str) -> None:
        renewed = {"renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
        await connection.patch(f"{LEASES}/{name}", {"spec": renewed})

    async with anyio.create_task_group() as tasks:
        for number, name in enumerate(islice(cycle(names), round(RENEWED_S * RENEWALS_PER_S))):
            tasks.start_soon(renew, name)
            await anyio.sleep_until(began + (number + 1) / RENEWALS_PER_S)


class _Readers:
    """Read a board, half of them all of it and half one session each. taken: how often each got something."""

    def __init__(self, board: Board[str, LeaseSeen, SessionState]) -> None:
        self._board = board
        self.taken = [0] * READERS

    async def read(self, number: int) -> None:
        """Read until cancelled. The sessions of the odd ones are all the first one, which changes at last."""
        source = self._board.watch_one("session-0") if number % 2 else self._board.watch()
        async for _ in source:
            self.taken[number] += 1


async def follow(kubeconfig: str, context: str) -> None:
    """Follow the Leases until one has another holder; print a line when it begins, and the figures."""
    board = Board[str, LeaseSeen, SessionState](reduce)
    readers = _Readers(board)
    async with connect(kubeconfig, context) as connection, anyio.create_task_group() as tasks:
        async with aclosing(reflect(connection, LEASES, SELECTOR)) as all_news:
            post(board, await anext(all_news))
            for number in range(READERS):
                tasks.start_soon(readers.read, number)
            await anyio.wait_all_tasks_blocked()
            before, cpu_s, began = board.snapshot.number, time.process_time(), time.monotonic()
            rss_mb = resident_mb(os.getpid())
            print("following", flush=True)
            count = 0
            async for news in all_news:
                post(board, news)
                if board.snapshot.states["session-0"].holder == LAST_HOLDER:
                    break
                count += 1
            took_s, used_s = time.monotonic() - began, time.process_time() - cpu_s
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert readers.taken == [2] * READERS, "every reader is to get what was there, and the one change"
    figures = {
        "readers_100_cpu_percent": round(used_s / took_s * 100, 2),
        "news_per_renewal": (board.snapshot.number - before - 1) / count,
        "rss_500_mb": resident_mb(os.getpid()),
        "rss_growth_mb": resident_mb(os.getpid()) - rss_mb,
        "renewals_per_s": round(count / took_s),
    }
    print(json.dumps(figures), flush=True)


def post(board: Board[str, LeaseSeen, SessionState], news: News) -> None:
    """Bring what a watch tells onto the board."""
    match news:
        case Listed(items):
            for live in items:
                board.post(live["metadata"]["name"], lease_seen(live))
        case Seen(live):
            board.post(live["metadata"]["name"], lease_seen(live))
        case Gone(name=name):
            board.remove(name)


def lease_seen(live: Json) -> LeaseSeen:
    """Read a Lease."""
    spec = live["spec"]
    return LeaseSeen(holder=spec.get("holderIdentity") or "", renewed=spec.get("renewTime") or "")


if __name__ == "__main__":
    anyio.run(follow, *sys.argv[1:])
