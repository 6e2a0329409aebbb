"""Follow the health of what a save applied, alongside the loop, and report changes.

Never waits for health: a newer save takes an older one's place at once. An object in progress is reported
only when it takes longer than an unremarkable rollout; a failure is reported at once.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol, cast

import anyio

from gitops_run.errors import GitOpsRunError, ungrouped
from gitops_run.flows.follow import Save
from gitops_run.flows.ports import Emit
from gitops_run.model.health.rules import Health, HealthState
from gitops_run.model.objects.identity import ObjectRef, parse_inventory_id
from gitops_run.model.state.events import HealthChanged, SaveHealthy, SavePartlyHealthy

GRACE_S = 1.0
"""How long an object may be in progress before that is reported."""
RETRY_S = 2.0
_GOING = frozenset({HealthState.MISSING, HealthState.TERMINATING})

Seen = Mapping[ObjectRef, Health]
Versions = tuple[tuple[str, str], ...]
"""The version of each inventory entry, in pairs."""


class HealthWatch(Protocol):
    """The health of objects in the cluster."""

    def changes(self, objects: tuple[ObjectRef, ...]) -> AsyncIterator[Seen]:
        """Yield the health of every object at first and then whenever one changes.

        An object that can't be followed is in none of them. Raises TransientError.
        """
        ...


@dataclass(slots=True, kw_only=True)
class _Following:
    """Hold one applied save. seen: None before the first look. late_at: when pending objects are reported."""

    save: Save
    revision: str
    objects: tuple[ObjectRef, ...]
    seen: Seen | None = None
    late_at: dict[ObjectRef, float] = field(default_factory=dict)
    is_told_healthy: bool = False
    news: anyio.Event = field(default_factory=anyio.Event)

    def see(self, seen: Seen) -> None:
        self.seen = seen
        self.news.set()
        self.news = anyio.Event()


class HealthFollower:
    """Follow one save at a time; remember what was reported of each object from save to save."""

    def __init__(self, watch: HealthWatch, emit: Emit) -> None:
        self._watch = watch
        self._emit = emit
        self._reported: dict[ObjectRef, Health] = {}
        self._leaving: frozenset[str] = frozenset()
        self._following: _Following | None = None
        self._scope = anyio.CancelScope()
        self._applied = anyio.Event()

    def leaving(self, objects: Iterable[ObjectRef]) -> None:
        """Expect objects to go with a save that is pushed now, before it is applied."""
        self._leaving |= {ref.inventory_id for ref in objects}

    def applied(
        self,
        save: Save,
        revision: str,
        inventory: tuple[str, ...],
        versions: Versions = (),
    ) -> None:
        """Follow what this save applied from now on; a newer one takes an older one's place at once.

        inventory, versions: as the Kustomization's status has them; without a version, v1 is meant.
        """
        known = dict(versions)
        objects = tuple(parse_inventory_id(entry, known.get(entry, "v1")) for entry in inventory)
        self._following = _Following(save=save, revision=revision, objects=objects)
        kept = frozenset(objects)
        self._reported = {ref: health for ref, health in self._reported.items() if ref in kept}
        self._leaving = frozenset()
        self._scope.cancel()
        self._applied.set()

    async def run(self) -> None:
        """Follow until cancelled; a failing cluster is tried again quietly."""
        while True:
            await self._applied.wait()
            self._applied = anyio.Event()
            following = self._following
            with anyio.CancelScope() as self._scope:
                while following is not None:
                    await self._follow(following)
                    await anyio.sleep(RETRY_S)

    async def _follow(self, following: _Following) -> None:
        """Look and report until the cluster fails."""
        try:
            with ungrouped():
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._tell_for_ever, following)
                    await self._look(following)
                    tasks.cancel_scope.cancel()
        except GitOpsRunError:
            return

    async def _look(self, following: _Following) -> None:
        changes = cast("AsyncGenerator[Seen]", self._watch.changes(following.objects))
        async with aclosing(changes):
            async for seen in changes:
                following.see(seen)

    async def _tell_for_ever(self, following: _Following) -> None:
        while True:
            news = following.news
            due = self._tell(following, following.seen or {})
            with anyio.CancelScope(deadline=due):
                await news.wait()

    def _tell(self, following: _Following, seen: Seen) -> float:
        """Report what is due now, and return when to look again."""
        now = anyio.current_time()
        for ref in set(following.late_at) - set(seen):
            del following.late_at[ref]
        for ref, health in seen.items():
            if self._is_due(following, ref, health, now):
                self._reported[ref] = health
                self._emit(
                    HealthChanged(ref=ref, health=health.state.value, message=health.message, log=health.log)
                )
        self._tell_healthy(following)
        return min((at for at in following.late_at.values() if at > now), default=math.inf)

    def _is_due(self, following: _Following, ref: ObjectRef, health: Health, now: float) -> bool:
        """Decide whether an object's health is reported now; an object in progress gets some time first."""
        reported = self._reported.get(ref)
        if health.is_ready:
            following.late_at.pop(ref, None)
            return reported is not None and not reported.is_ready
        if health.state in _GOING and ref.inventory_id in self._leaving:
            return False
        late_at = following.late_at.setdefault(ref, now + GRACE_S)
        if reported is not None and (reported.state, reported.message) == (health.state, health.message):
            return False
        if health.state is not HealthState.FAILED and now < late_at:
            return False
        following.late_at[ref] = now + GRACE_S
        return True

    def _tell_healthy(self, following: _Following) -> None:
        """Report once that all is ready, or as much of it as can be watched."""
        seen, save, revision = following.seen, following.save, following.revision
        if following.is_told_healthy or seen is None or not all(health.is_ready for health in seen.values()):
            return
        following.is_told_healthy = True
        hidden = [ref for ref in following.objects if ref not in seen]
        if not hidden:
            save.mark("healthy")
            self._emit(SaveHealthy(save=save.number, revision=revision, times_ms=dict(save.times_ms)))
            return
        save.mark("partly_healthy")
        self._emit(
            SavePartlyHealthy(
                save=save.number,
                revision=revision,
                ready=len(seen),
                not_watched=len(hidden),
                kinds=tuple(sorted({ref.group_kind for ref in hidden})),
                times_ms=dict(save.times_ms),
            )
        )
