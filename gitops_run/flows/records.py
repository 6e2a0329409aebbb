"""What is left of a save once Flux has applied it: its timings, its snapshot, and the health of its objects.

All of it beside the loop: nothing here holds up a save, and a disk that refuses ends no sync.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Final

import anyio
from anyio.abc import TaskGroup

from gitops_run.errors import BackendError
from gitops_run.flows.follow import Save
from gitops_run.flows.health import HealthFollower
from gitops_run.flows.ports import Emit, Flux, History, Lease
from gitops_run.model.events import HistoryFailed
from gitops_run.model.problem import Problem
from gitops_run.model.session import REFUSED_ANNOTATION, TIMINGS_ANNOTATION, UNDONE_ANNOTATION
from gitops_run.model.timings import Timings, parse_timings

REFUSED_CHARACTERS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPorts:
    """Bundle where records go."""

    lease: Lease
    history: History
    health: HealthFollower
    flux: Flux
    emit: Emit


class Records:
    """Keep what comes of one sync's saves."""

    def __init__(self, ports: RecordPorts) -> None:
        self._ports = ports
        self._timings: Timings | None = None
        self._has_failed = False
        self._kept = anyio.Event()
        self._kept.set()

    def pushed(self, tasks: TaskGroup, save: Save) -> None:
        """Begin to keep a snapshot's contents: `kept` tells when another may take their place."""
        self._kept = anyio.Event()
        tasks.start_soon(self._keep, save, self._kept)

    async def kept(self) -> None:
        """Wait until the contents of the last push are kept."""
        await self._kept.wait()

    async def _keep(self, save: Save, kept: anyio.Event) -> None:
        try:
            if save.snapshot is not None:
                await self._unless_refused(self._ports.history.keep(save.snapshot))
        finally:
            kept.set()

    async def applied(self, save: Save, revision: str) -> None:
        """Follow the health of what was applied, and leave what others may want to know.

        What an undo brought back keeps its place in the history: a second undo goes further back.
        """
        applier = self._ports.flux.applier
        self._ports.health.applied(save, revision, applier.inventory, applier.versions)
        timings = self._timings or parse_timings(self._ports.lease.notes.get(TIMINGS_ANNOTATION, ""))
        self._timings = timings or Timings()
        if not save.is_mended:
            self._timings = self._timings.after(
                number=save.number, revision=revision, times_ms=save.times_ms, paths=len(save.plan.paths)
            )
        undone_to = revision if save.undone_to else ""
        notes = {TIMINGS_ANNOTATION: self._timings.to_text(), UNDONE_ANNOTATION: undone_to}
        self._ports.lease.note(notes)
        if save.snapshot is not None and not save.undone_to:
            await self._unless_refused(self._ports.history.record(save.snapshot, revision))

    def refused(self, problems: Sequence[Problem]) -> None:
        """Leave why a save was refused for whoever asks for the session's status."""
        first, *more = problems
        self._note_refused(f"{first}{f'; and {len(more)} more' if more else ''}"[:REFUSED_CHARACTERS])

    def accepted(self) -> None:
        """Take that back."""
        self._note_refused("")

    def _note_refused(self, text: str) -> None:
        if self._ports.lease.notes.get(REFUSED_ANNOTATION, "") != text:
            self._ports.lease.note({REFUSED_ANNOTATION: text})

    async def _unless_refused(self, work: Awaitable[None]) -> None:
        """Do something to the history; tell once where the disk refuses."""
        try:
            await work
        except BackendError as error:
            if not self._has_failed:
                self._ports.emit(HistoryFailed(message=error.message, hint=error.hint))
            self._has_failed = True
