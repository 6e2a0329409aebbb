"""What other processes of this developer ask a session's sync to bring back: a small file for each request.

A request counts for as long as the process that made it runs.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import watchfiles

from gitops_run.adapters.files.private_folder import history_errors, make_private, names_in, write_whole
from gitops_run.adapters.machine.host import parse_witness, witness
from gitops_run.adapters.machine.watching import until_cancelled
from gitops_run.errors import ungrouped
from gitops_run.model.state.history import ORDER_DIGITS, KeptSnapshot, UndoRequest

WATCH_STEP_MS: Final = 10
WATCH_GROUP_MS: Final = 30
LOOK_AGAIN_S: Final = 2.0


class UndoRequests:
    """Make and take requests. history: the folder. find: brings what is kept of a revision, if anything."""

    def __init__(self, history: Path, find: Callable[[str], KeptSnapshot | None]) -> None:
        self._history = history
        self._folder = history / "requests"
        self._find = find

    async def come(self) -> AsyncIterator[UndoRequest]:
        """Yield requests as they come. Never ends by itself. Raises BackendError where the disk refuses."""
        with history_errors(self._history):
            make_private(self._folder)
        with history_errors(self._history):
            for request in await anyio.to_thread.run_sync(self._take):
                yield request
            while True:
                async for request in self._watched():
                    yield request
                await anyio.sleep(LOOK_AGAIN_S)

    async def _watched(self) -> AsyncIterator[UndoRequest]:
        """Yield requests as they come; ends where the folder can't be watched (any more)."""
        # It also wakes up each few seconds, for what came before the watch was set.
        with (
            suppress(RuntimeError),
            ungrouped(RuntimeError),
        ):  # the system's limits, or a name in the folder that is not UTF-8
            stop = anyio.Event()
            watched = watchfiles.awatch(
                self._folder,
                step=WATCH_STEP_MS,
                debounce=WATCH_GROUP_MS,
                recursive=False,
                watch_filter=None,
                yield_on_timeout=True,
                stop_event=stop,
            )
            async for _ in until_cancelled(watched, stop):
                for request in await anyio.to_thread.run_sync(self._take):
                    yield request
        for request in await anyio.to_thread.run_sync(self._take):
            yield request

    @contextmanager
    def asking(self, revision: str) -> Iterator[None]:
        """Ask the process that syncs for a revision, for as long as this lasts."""
        request = self._folder / f"{time.time_ns():0{ORDER_DIGITS}d}-{secrets.token_hex(4)}.json"
        with history_errors(self._history):
            make_private(self._folder)
            write_whole(request, json.dumps({"revision": revision, **asdict(witness(os.getpid()))}).encode())
        try:
            yield
        finally:
            request.unlink(missing_ok=True)

    def _take(self) -> tuple[UndoRequest, ...]:
        """Take what is asked for, without what nobody waits for any more."""
        taken = []
        for name in sorted(names_in(self._folder)):
            path = self._folder / name
            if path.suffix != ".json":
                continue
            found = self._find(_read(path))
            path.unlink(missing_ok=True)
            if found is not None:
                taken.append(UndoRequest(revision=found.revision, taken=found.taken))
        return tuple(taken)


def _read(path: Path) -> str:
    """Read which revision is asked for; "" where whoever asked has ended, or the file says nothing."""
    try:
        asked = json.loads(path.read_text(encoding="utf-8"))
        return str(asked["revision"]) if parse_witness(asked).is_running else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""
