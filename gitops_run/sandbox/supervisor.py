"""The process that owns a sandbox's parts: starts them in order, watches them, starts a crashed one again.

This module runs as `python -m gitops_run.sandbox.supervisor NAME BASE LOCK`, in a session of its own; LOCK is
a file descriptor that is closed once the supervisor is recorded. Reports to its starter, by lines of JSON on
standard output, what happens until everything is ready; after that the journal in the sandbox's folder holds
it. It ends itself and every part on SIGTERM.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from http.client import HTTPException
from pathlib import Path
from subprocess import STDOUT

import anyio
from anyio import to_thread

from gitops_run.adapters.machine.host import record
from gitops_run.sandbox import first_use
from gitops_run.sandbox.journal import Journal, log_tail
from gitops_run.sandbox.node import machine
from gitops_run.sandbox.part import Part
from gitops_run.sandbox.parts import parts_of
from gitops_run.sandbox.processes import end
from gitops_run.sandbox.state import NodeKind, Sandbox, load
from gitops_run.sandbox.steps import Step, steps_of
from gitops_run.sandbox.store import ensure_administrator
from gitops_run.sandbox.web import ApiServer, is_healthy

_PROBE_EVERY_S = 0.05
_BUILT_EVERY_S = 0.5
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 30.0
_STEADY_AFTER_S = 60.0
_LATE_COLLECTION = {"GOGC": "400", "GOMEMLIMIT": "1500MiB"}
"""By default, Go's collector takes a fifth of the CPU time of a save. Collecting later costs memory: an API
server with fifty sessions holds twice as much. Near the limit it collects as by default."""
_PATIENCE_S = 4.0
_LOG_LIMIT_BYTES = 16_000_000
"""A log longer than this is truncated when its part is started."""


class Supervisor:
    """Keep the parts of one sandbox running until asked to stop."""

    def __init__(self, sandbox: Sandbox, journal: Journal) -> None:
        self._sandbox = sandbox
        self._journal = journal
        self._steps = steps_of(sandbox, ApiServer(sandbox))
        self._parts = parts_of(sandbox, ensure_administrator(sandbox.folder / "store"))
        names = [*(part.name for part in self._parts), *(step.name for step in self._steps)]
        self._ready = {name: anyio.Event() for name in names}
        self._late = {part.name for part in self._parts if not _is_built(sandbox, part)}
        self._all_ready = anyio.Event()

    async def run(self) -> None:
        """Start everything, then keep it running until SIGTERM or SIGINT; end every part."""
        try:
            await self._run_until_signal()
        finally:
            self._end_parts()
            self._journal.stopped()

    async def _run_until_signal(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with anyio.create_task_group() as group:
                for part in self._parts:
                    group.start_soon(self._keep_running, part)
                for step in self._steps:
                    group.start_soon(self._take, step)
                group.start_soon(self._tell_when_ready)
                if self._sandbox.node is NodeKind.SIMULATED and first_use.is_needed():
                    group.start_soon(self._build_ahead)
                async for _ in signals:
                    group.cancel_scope.cancel()
                    break

    async def _keep_running(self, part: Part) -> None:
        for name in part.after:
            await self._ready[name].wait()
        while not _is_built(self._sandbox, part):  # noqa: ASYNC110 - nobody announces it
            await anyio.sleep(_BUILT_EVERY_S)
        backoff = _FIRST_BACKOFF_S
        while True:
            began = time.monotonic()
            await self._run_once(part)
            if time.monotonic() - began > _STEADY_AFTER_S:
                backoff = _FIRST_BACKOFF_S
            await anyio.sleep(backoff)
            backoff = min(backoff * 2, _LONGEST_BACKOFF_S)

    async def _run_once(self, part: Part) -> None:
        """Run a part until it ends, and report how it ended."""
        path = self._sandbox.folder / "logs" / f"{part.name}.log"
        is_long = path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES
        with path.open("wb" if is_long else "ab") as log:
            log_start = log.tell()
            process = await anyio.open_process(
                part.argv,
                stdin=None,
                stdout=log,
                stderr=STDOUT,
                env={**_LATE_COLLECTION, **os.environ, **part.environment},
            )
        self._journal.started(part.name, record(process.pid))
        began = time.monotonic()
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch_health, part, began)
            code = await process.wait()
            group.cancel_scope.cancel()
        tail = log_tail(self._sandbox.folder, part.name, since=log_start)
        self._journal.crashed(part.name, code, tail)

    async def _watch_health(self, part: Part, began: float) -> None:
        while not await to_thread.run_sync(is_healthy, part):  # noqa: ASYNC110 - nobody announces it
            await anyio.sleep(_PROBE_EVERY_S)
        self._journal.ready(part.name, time.monotonic() - began)
        self._ready[part.name].set()

    async def _take(self, step: Step) -> None:
        for name in step.after:
            await self._ready[name].wait()
        began = time.monotonic()
        await to_thread.run_sync(step.begin)
        while not await to_thread.run_sync(_is_done, step):  # noqa: ASYNC110 - nobody announces it
            await anyio.sleep(_PROBE_EVERY_S)
        self._journal.ready(step.name, time.monotonic() - began)
        self._ready[step.name].set()

    async def _tell_when_ready(self) -> None:
        for name, event in self._ready.items():
            if name not in self._late:
                await event.wait()
        self._journal.all_ready()
        self._all_ready.set()

    async def _build_ahead(self) -> None:
        """Build, once everything else is ready, what was left out of the start; its log says how it went."""
        await self._all_ready.wait()
        with (self._sandbox.folder / "logs" / f"{first_use.NAME}.log").open("ab") as log:
            process = await anyio.open_process(first_use.AHEAD, stdin=None, stdout=log, stderr=STDOUT)
        self._journal.started(first_use.NAME, record(process.pid))
        self._journal.ready(first_use.NAME, 0)
        await process.wait()
        self._journal.ended(first_use.NAME)

    def _end_parts(self) -> None:
        """End those that use a part before the part itself: clients, the API server, etcd; then pods."""
        running = self._journal.processes()
        servers = [running.pop(name, None) for name in ("kube-apiserver", "etcd")]
        end(running.values(), _PATIENCE_S)
        for server in servers:
            end([server] if server else [], _PATIENCE_S)
        if self._sandbox.node is NodeKind.REAL:
            machine.restore(self._sandbox.folder)


def _is_built(sandbox: Sandbox, part: Part) -> bool:
    """Report whether the program of a part is there: what only charts need is built later."""
    program = sandbox.binaries.get(part.name)
    return program is None or program.exists()


def _is_done(step: Step) -> bool:
    try:
        return step.is_done()
    except (OSError, HTTPException):  # a server that is being started again
        return False


def main() -> None:
    """Supervise the sandbox that the arguments name; return at once if it is supervised already."""
    name, base, told_to_wait = sys.argv[1:]
    sandbox = load(name, Path(base))
    with (sandbox.folder / "run" / "supervisor.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        journal = Journal(sandbox.folder)
        journal.begin(record(os.getpid()))
        os.close(int(told_to_wait))  # from now on `stop` knows whom to end
        anyio.run(Supervisor(sandbox, journal).run)


if __name__ == "__main__":
    main()
