"""Fold a sync's events into the session's record, and publish it for everybody who may see the session.

Never holds up a save: writing is a task of its own, and a failed write is reported once. The small state is
written soon after something is decided, the record seldom: each write costs the cluster its size.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import anyio

from gitops_run.errors import BackendError, GitOpsRunError, LockedError, NotFound, TransientError
from gitops_run.flows.ports import Emit
from gitops_run.model.state.envelope import Envelope
from gitops_run.model.state.events import (
    HealthChanged,
    RecordFailed,
    RequestAnswered,
    SaveApplied,
    SaveBroken,
    SaveFailed,
    SaveHealthy,
    SavePartlyHealthy,
    SaveSuspended,
    SaveUnchanged,
    SaveUndecided,
    ServiceFailed,
    SessionExpiring,
    SessionIdle,
    SnapshotKept,
    StoreDiffered,
    SyncStarted,
    TreeIsLive,
    WorkTreeSeen,
)
from gitops_run.model.state.record import Record, begin_run, fold
from gitops_run.model.state.summary import Summary, summarize
from gitops_run.model.state.texts import record_text, summary_text
from gitops_run.model.store.permit import Permit

STATE_EVERY_S: Final = 0.5
RECORD_EVERY_S: Final = 5.0
_WORTH_WRITING: Final = (
    SyncStarted
    | SaveBroken
    | SaveUnchanged
    | TreeIsLive
    | SaveApplied
    | SaveFailed
    | SaveSuspended
    | SaveUndecided
    | SaveHealthy
    | SavePartlyHealthy
    | HealthChanged
    | ServiceFailed
    | StoreDiffered
    | SnapshotKept
    | WorkTreeSeen
    | RequestAnswered
    | SessionExpiring
    | SessionIdle
)


class Publishes(Protocol):
    """Where a session's state and record are kept for others."""

    async def write_state(self, text: str) -> None:
        """Write what a row shows. Raises BackendError."""
        ...

    async def write_record(self, text: str) -> None:
        """Write the record. Raises BackendError."""
        ...


class WorkTrees(Protocol):
    """What git says of the root."""

    async def __call__(self) -> WorkTreeSeen | None:
        """Look; None where the root lies in no work tree of git."""
        ...


@dataclass(slots=True, kw_only=True)
class _Part:
    """Publish one of the two: no more often than every_s, and never the same text again."""

    every_s: float
    text: Callable[[], str]
    write: Callable[[str], Awaitable[None]]
    news: anyio.Event
    written: str = ""

    def wake(self) -> None:
        self.news.set()

    async def publish(self, permit: Permit) -> None:
        """Write what is there now, unless it is there already."""
        text = self.text()
        if text != self.written:
            await permit()
            await self.write(text)
            self.written = text


class Recorder:
    """Hear a sync's events, and publish what they come to."""

    def __init__(
        self, publisher: Publishes, permit: Permit, look: WorkTrees, earlier: Record | None = None
    ) -> None:
        """earlier: what the session's record held. permit: to write, which only the lease's holder may."""
        self._record = begin_run(earlier or Record())
        self._permit = permit
        self._look = look
        self._has_failed = False
        self._state = _Part(
            every_s=STATE_EVERY_S,
            text=lambda: summary_text(self.summary),
            write=publisher.write_state,
            news=anyio.Event(),
        )
        self._whole = _Part(
            every_s=RECORD_EVERY_S,
            text=lambda: record_text(self._record),
            write=publisher.write_record,
            news=anyio.Event(),
        )

    @property
    def record(self) -> Record:
        """What was heard so far."""
        return self._record

    @property
    def summary(self) -> Summary:
        """The same, as a row."""
        return summarize(self._record)

    def hear(self, envelope: Envelope) -> None:
        """Take in an event. Returns at once."""
        self._record = fold(self._record, envelope)
        if isinstance(envelope.event, _WORTH_WRITING):
            self._state.wake()
            self._whole.wake()

    async def run(self, emit: Emit) -> None:
        """Publish until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._publish_for_ever, self._state, emit)
            tasks.start_soon(self._publish_for_ever, self._whole, emit)

    async def finish(self) -> None:
        """Publish what is not published yet, if that works."""
        if not self._record.seq:
            return
        for part in (self._state, self._whole):
            try:
                await part.publish(self._permit)
            except GitOpsRunError:
                return

    async def _publish_for_ever(self, part: _Part, emit: Emit) -> None:
        while True:
            await part.news.wait()
            part.news = anyio.Event()
            if part is self._whole and (seen := await self._look()) is not None and self._is_new(seen):
                emit(seen)
            try:
                await part.publish(self._permit)
            except (LockedError, NotFound):
                return  # another sync has the session now, and its record, or it is being ended
            except TransientError:
                part.wake()
            except BackendError as error:
                self._report(error, emit)
            await anyio.sleep(part.every_s)

    def _is_new(self, seen: WorkTreeSeen) -> bool:
        record = self._record
        return (seen.branch, seen.commit, seen.is_dirty) != (record.branch, record.commit, record.is_dirty)

    def _report(self, error: BackendError, emit: Emit) -> None:
        if not self._has_failed:
            emit(RecordFailed(message=error.message, hint=error.hint))
        self._has_failed = True
