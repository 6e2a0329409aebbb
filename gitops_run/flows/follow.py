"""Follow a pushed save alongside the loop, and report what Flux made of it. A newer save ends that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from gitops_run.errors import TransientError, ungrouped
from gitops_run.flows.ports import Emit, Flux
from gitops_run.flows.verdict import wait_for_apply, wait_for_fetch
from gitops_run.model.flux.conditions import Standing, Verdict, applier_verdict
from gitops_run.model.state.belief import Revision
from gitops_run.model.state.events import (
    SaveApplied,
    SaveFailed,
    SaveSuperseded,
    SaveSuspended,
    SaveUndecided,
    Times,
)
from gitops_run.model.state.timings import slowest
from gitops_run.model.tree.snapshot import Snapshot
from gitops_run.model.tree.tree import Plan


@dataclass(slots=True)
class Save:
    """Hold one save on its way.

    started: when its first change was seen. undone_to: when the snapshot was taken that an undo brings back.
    is_mended: it had failed, and waited for somebody to fix what it needs: its time is nobody's measure.
    """

    number: int
    started: float
    plan: Plan = field(default_factory=Plan)
    is_fenced: bool = False
    snapshot: Snapshot | None = None
    undone_to: str = ""
    is_mended: bool = False
    times_ms: Times = field(default_factory=dict)

    def mark(self, step: str) -> None:
        """Note that a step is done."""
        self.times_ms[step] = round((anyio.current_time() - self.started) * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerns:
    """Name the functions that are called with what the loop must act upon."""

    fetched: Callable[[], None]
    differs: Callable[[Save, Verdict], None]
    fails: Callable[[TransientError], None]
    applied: Callable[[Save, str], Awaitable[None]]


class Follower:
    """Follow one save at a time."""

    def __init__(self, flux: Flux, emit: Emit, deadline_s: float, concerns: Concerns) -> None:
        self._flux = flux
        self._emit = emit
        self._deadline_s = deadline_s
        self._concerns = concerns
        self._current: tuple[int, anyio.CancelScope] | None = None
        self._failed: anyio.CancelScope | None = None

    def start(self, tasks: TaskGroup, save: Save, revision: Revision) -> None:
        """Begin to follow."""
        scope = anyio.CancelScope()
        self._current = (save.number, scope)
        tasks.start_soon(self._follow, scope, save, revision)

    def supersede(self, by: int) -> None:
        """End the wait for a save that Flux hasn't decided on, in favour of a newer one."""
        if self._failed is not None:
            self._failed.cancel()
            self._failed = None
        if self._current is not None:
            number, scope = self._current
            scope.cancel()
            self._current = None
            self._emit(SaveSuperseded(save=number, by=by))

    async def _follow(self, scope: anyio.CancelScope, save: Save, revision: Revision) -> None:
        """Report each word of Flux on a revision; on a suspended session or a failure it is not its last."""
        with scope:
            is_decided = False
            while not is_decided:
                try:
                    verdict = await self._verdict(scope, save, revision)
                except TransientError as error:
                    if not scope.cancel_called:
                        self._current = None
                        self._concerns.fails(error)
                    return
                if scope.cancel_called:
                    # A verdict that arrives in the same moment as the newer save is not reported any more.
                    return
                is_decided = verdict.standing is not Standing.SUSPENDED
                await self._report(save, revision, verdict)
                while not is_decided and self._flux.applier.is_suspended:
                    await self._flux.changed()
            if verdict.standing is Standing.FAILED:
                self._failed = scope
                await self._mended(save, revision)

    async def _mended(self, save: Save, revision: Revision) -> None:
        """Report that Flux applies a failed revision after all, once somebody has fixed what it needs."""
        while (
            verdict := applier_verdict(self._flux.applier, revision=revision.text)
        ).standing is not Standing.APPLIED:
            await self._flux.changed()
        save.mark("applied")
        save.is_mended = True
        self._failed = None
        await self._report(save, revision, verdict)

    async def _report(self, save: Save, revision: Revision, verdict: Verdict) -> None:
        if verdict.standing is Standing.SUSPENDED:
            self._tell(save, revision.text, verdict)
            return
        self._current = None
        if verdict.standing is Standing.DIFFERS:
            self._concerns.differs(save, verdict)
            return
        self._tell(save, revision.text, verdict)
        if verdict.standing is Standing.APPLIED:
            await self._concerns.applied(save, revision.text)

    async def _verdict(self, scope: anyio.CancelScope, save: Save, revision: Revision) -> Verdict:
        """Wait for Flux's word on a revision, however long it takes; report once that it is overdue."""
        waited_for = "fetch"

        async def report_delay() -> None:
            await anyio.sleep(self._deadline_s)
            self._emit(
                SaveUndecided(
                    save=save.number,
                    revision=revision.text,
                    waited_for=f"Flux to {waited_for} {revision.text}",
                    seconds=round(self._deadline_s),
                )
            )

        with ungrouped():
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(report_delay)
                verdict = await wait_for_fetch(self._flux, revision)
                save.mark("fetched")
                if verdict.standing is Standing.FETCHED and not scope.cancel_called:
                    self._concerns.fetched()
                    waited_for = "apply"
                    verdict = await wait_for_apply(self._flux, revision)
                    save.mark("applied")
                waiting.cancel_scope.cancel()
        return verdict

    def _tell(self, save: Save, revision: str, verdict: Verdict) -> None:
        paths, times = save.plan.paths, save.times_ms
        if verdict.standing is Standing.APPLIED:
            sizes = (
                {path: entry.size for path, entry in save.snapshot.tree.files.items()}
                if save.snapshot
                else {}
            )
            self._emit(
                SaveApplied(
                    save=save.number,
                    paths=paths,
                    revision=revision,
                    objects=len(self._flux.applier.inventory),
                    times_ms=dict(times),
                    undone_to=save.undone_to,
                    slowest="" if save.is_mended else slowest(times, save.plan, sizes),
                )
            )
        elif verdict.standing is Standing.SUSPENDED:
            self._emit(
                SaveSuspended(save=save.number, revision=revision, message=verdict.message, hint=verdict.hint)
            )
        else:
            self._emit(
                SaveFailed(
                    save=save.number,
                    paths=paths,
                    revision=revision,
                    reason=verdict.reason,
                    message=verdict.message,
                    hint=verdict.hint,
                    times_ms=times,
                )
            )
