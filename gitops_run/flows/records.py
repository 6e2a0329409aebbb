"""What is left of a save once Flux has applied it: its snapshot, and the health of its objects.

All of this runs alongside the loop: nothing here delays a save, and a disk that refuses ends no sync.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from gitops_run.errors import BackendError
from gitops_run.flows.follow import Save
from gitops_run.flows.health import HealthFollower
from gitops_run.flows.ports import Emit, Flux, History
from gitops_run.model.state.events import HistoryFailed, SnapshotKept
from gitops_run.model.tree.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPorts:
    """Bundle where records go."""

    history: History
    health: HealthFollower
    flux: Flux
    emit: Emit


class Records:
    """Keep what comes of one sync's saves."""

    def __init__(self, ports: RecordPorts) -> None:
        self._ports = ports
        self._has_failed = False
        self._kept = anyio.Event()
        self._kept.set()

    def pushed(self, tasks: TaskGroup, save: Save) -> None:
        """Begin to keep a snapshot's contents: `kept` ends when another may take their place."""
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
        """Follow the health of what was applied, and keep its snapshot.

        What an undo brought back keeps its place in the history: a second undo goes further back.
        """
        applier = self._ports.flux.applier
        self._ports.health.applied(save, revision, applier.inventory, applier.versions)
        if save.snapshot is not None and not save.undone_to:
            await self._unless_refused(self._record(save.snapshot, revision))

    async def _record(self, snapshot: Snapshot, revision: str) -> None:
        taken = await self._ports.history.record(snapshot, revision)
        if taken:
            self._ports.emit(SnapshotKept(revision=revision, taken=taken))

    async def _unless_refused(self, work: Awaitable[None]) -> None:
        """Do something to the history; report once if the disk refuses."""
        try:
            await work
        except BackendError as error:
            if not self._has_failed:
                self._ports.emit(HistoryFailed(message=error.message, hint=error.hint))
            self._has_failed = True
