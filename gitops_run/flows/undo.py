"""Bring an earlier snapshot back where nobody syncs: one save of the loop whose files are the kept ones.

Nothing here decides what may be pushed or what is applied: that is the loop's, as for every save.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

import anyio

from gitops_run.errors import NotFound, ReconcileFailed, WaitTimeout, ungrouped
from gitops_run.flows.ports import Emit
from gitops_run.flows.sync import Ports, SaveLoop, SyncSettings
from gitops_run.model.state.events import (
    Event,
    ObjectsAwaited,
    SaveApplied,
    SaveBroken,
    SaveFailed,
    SaveSuspended,
)
from gitops_run.model.state.history import UndoRequest, short
from gitops_run.model.tree.snapshot import Snapshot

UNDO_S: Final = 60.0
_Outcome = SaveApplied | SaveBroken | SaveFailed | SaveSuspended | ObjectsAwaited


class _NobodySaves:
    """Be a root that is as it once was, and stays so."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    async def batches(self) -> AsyncIterator[frozenset[str]]:
        """Yield nothing: nobody saves."""
        await anyio.sleep_forever()
        yield frozenset()

    async def snapshot(self, touched: frozenset[str] = frozenset()) -> Snapshot:
        """Take the state of then."""
        del touched
        return self._snapshot


class _Listener:
    """Pass the loop's events on, and keep what came of the save."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.outcome: _Outcome | None = None
        self.came = anyio.Event()

    def hear(self, event: Event) -> None:
        """Hear an event of the loop."""
        if isinstance(event, _Outcome):
            self.outcome = event
            self.came.set()
        self._emit(event)


async def undo(ports: Ports, settings: SyncSettings, revision: str) -> None:
    """Push a snapshot of the history, and wait until Flux has applied it. The lease must be held.

    revision: whole. Raises NotFound where it isn't kept, ReconcileFailed where it
    can't be applied, WaitTimeout after UNDO_S.
    """
    snapshot = await ports.history.snapshot(revision)
    listener = _Listener(ports.emit)
    ports = replace(ports, files=_NobodySaves(snapshot), emit=listener.hear)
    loop = SaveLoop(ports, settings, undo=UndoRequest(revision=revision))
    with anyio.move_on_after(UNDO_S), ungrouped():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(loop.run)
            await listener.came.wait()
            tasks.cancel_scope.cancel()
    _judge(listener.outcome, revision)


def _judge(outcome: _Outcome | None, revision: str) -> None:
    """Raise what became of the save, unless it was applied."""
    match outcome:
        case SaveApplied():
            return
        case SaveBroken():
            first = outcome.problems[0]
            raise ReconcileFailed(f"{short(revision)} can't be applied: {first}", hint=first.hint)
        case SaveFailed() | SaveSuspended():
            raise ReconcileFailed(f"{short(revision)} was not applied: {outcome.message}", hint=outcome.hint)
        case ObjectsAwaited():
            raise NotFound(
                f"{short(revision)} has nothing in {outcome.target}",
                hint="choose another one: gitops-run history NAME",
            )
        case None:
            raise WaitTimeout(
                f"{short(revision)} was not applied within {UNDO_S:.0f} s",
                hint="to see what is live, and why: gitops-run status NAME",
            )
