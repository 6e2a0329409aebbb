"""Follow a pushed save beside the loop, and tell what Flux made of it. A newer save ends that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from gitops_run.errors import TransientError
from gitops_run.flows.ports import Emit, Flux
from gitops_run.flows.verdict import Revision, wait_for_apply, wait_for_fetch
from gitops_run.model.conditions import Standing, Verdict
from gitops_run.model.events import (
    SaveApplied,
    SaveFailed,
    SaveSuperseded,
    SaveSuspended,
    SaveUndecided,
    Times,
)
from gitops_run.model.tree import Plan


@dataclass(slots=True)
class Save:
    """Hold one save on its way. started: when its first change was seen."""

    number: int
    started: float
    plan: Plan = field(default_factory=Plan)
    is_fenced: bool = False
    times_ms: Times = field(default_factory=dict)

    def mark(self, step: str) -> None:
        """Note that a step is done."""
        self.times_ms[step] = round((anyio.current_time() - self.started) * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerns:
    """Say whom to tell of what the loop has to act upon."""

    differs: Callable[[Save, Verdict], None]
    fails: Callable[[TransientError], None]


class Follower:
    """Follow one save at a time."""

    def __init__(self, flux: Flux, emit: Emit, deadline_s: float, concerns: Concerns) -> None:
        self._flux = flux
        self._emit = emit
        self._deadline_s = deadline_s
        self._concerns = concerns
        self._current: tuple[int, anyio.CancelScope] | None = None

    def start(self, tasks: TaskGroup, save: Save, revision: Revision) -> None:
        """Begin to follow."""
        scope = anyio.CancelScope()
        self._current = (save.number, scope)
        tasks.start_soon(self._follow, scope, save, revision)

    def supersede(self, by: int) -> None:
        """End the wait for a save that Flux hasn't decided on, in favour of a newer one."""
        if self._current is not None:
            number, scope = self._current
            scope.cancel()
            self._current = None
            self._emit(SaveSuperseded(save=number, by=by))

    async def _follow(self, scope: anyio.CancelScope, save: Save, revision: Revision) -> None:
        with scope:
            try:
                verdict = await self._verdict(save, revision)
            except TransientError as error:
                self._current = None
                self._concerns.fails(error)
                return
            self._current = None
            if verdict is not None and verdict.standing is Standing.DIFFERS:
                self._concerns.differs(save, verdict)
            elif verdict is not None:
                self._tell(save, revision.text, verdict)

    async def _verdict(self, save: Save, revision: Revision) -> Verdict | None:
        """Wait for Flux's word on a revision; None, and told so, where the deadline passes first."""
        waited_for = "fetch"
        with anyio.move_on_after(self._deadline_s):
            verdict = await wait_for_fetch(self._flux, revision)
            save.mark("fetched")
            if verdict.standing is not Standing.FETCHED:
                return verdict
            waited_for = "apply"
            verdict = await wait_for_apply(self._flux, revision)
            save.mark("applied")
            return verdict
        self._emit(
            SaveUndecided(
                save=save.number,
                revision=revision.text,
                waited_for=f"Flux to {waited_for} {revision.text}",
                seconds=round(self._deadline_s),
            )
        )
        return None

    def _tell(self, save: Save, revision: str, verdict: Verdict) -> None:
        paths, times = save.plan.paths, save.times_ms
        if verdict.standing is Standing.APPLIED:
            objects = len(self._flux.applier.inventory)
            self._emit(
                SaveApplied(save=save.number, paths=paths, revision=revision, objects=objects, times_ms=times)
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
