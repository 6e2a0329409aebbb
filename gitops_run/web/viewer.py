"""Who looks, and what they may see and do: the one place that knows it.

A viewer is a user with groups, as the API server names them, and a way to the cluster with that user's
rights. Reviews are cached for each identity, whatever the number of its browsers, so that a
right which is taken away closes what it opened within that time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import anyio

from gitops_run.api.acting import has_stack, needed, obstacle
from gitops_run.api.viewing import SEE_ALL, Viewing, see_one
from gitops_run.errors import GitOpsRunError
from gitops_run.model.flux.requests import Verb
from gitops_run.model.rights.access import FLUX_KUSTOMIZE_GROUP
from gitops_run.model.rights.right import Identity, Right
from gitops_run.model.state.session_state import SessionState
from gitops_run.web.live import Live
from gitops_run.web.pages.sessions import counts

CACHED_S: Final = 40.0
"""A stream looks every 15 s whether this is over: what may not be seen any more is closed within a minute."""


class Sight:
    """Know what one identity may see of all sessions."""

    def __init__(
        self,
        viewing: Viewing,
        changed: Callable[[], None] = lambda: None,
        now: Callable[[], float] = anyio.current_time,
    ) -> None:
        """changed: called where this identity may suddenly see all sessions, or no longer all."""
        self._viewing = viewing
        self._changed = changed
        self._now = now
        self._sees_all = False
        self._all_until = 0.0
        self._seen: dict[tuple[str, str], tuple[bool, float]] = {}
        self._lock = anyio.Lock()

    async def visible(self, states: Iterable[SessionState]) -> frozenset[tuple[str, str]]:
        """Choose what may be seen, by namespace and name. Raises BackendError."""
        places = {(state.namespace, state.name): state for state in states}
        if self._is_all_known() and self._sees_all:
            return frozenset(places)
        async with self._lock:
            if not self._is_all_known():
                (sees_all,) = await self._viewing.allowed((SEE_ALL,))
                if self._all_until and sees_all is not self._sees_all:
                    self._changed()
                self._sees_all, self._all_until = sees_all, self._now() + CACHED_S
            if self._sees_all:
                return frozenset(places)
            self._seen = {place: known for place, known in self._seen.items() if self._now() < known[1]}
            await self._ask({place: state for place, state in places.items() if place not in self._seen})
            return frozenset(place for place in places if self._seen[place][0])

    @property
    def valid_until(self) -> float:
        """Say when the first of the reviews is too old."""
        if self._sees_all:
            return self._all_until
        return min((until for _, until in self._seen.values()), default=self._all_until)

    def _is_all_known(self) -> bool:
        return self._now() < self._all_until

    async def _ask(self, states: dict[tuple[str, str], SessionState]) -> None:
        answers = await self._viewing.allowed([see_one(state) for state in states.values()])
        until = self._now() + CACHED_S
        self._seen |= {place: (answer, until) for place, answer in zip(states, answers, strict=True)}


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Hold what one identity sees of all sessions: the ids of rows, and their counts as HTML.

    batches: what streams send that come to it, by the number and the scene that they come from.
    """

    version: int
    until: float
    rows: frozenset[str]
    counts: str
    batches: dict[tuple[int, Scene | None], bytes | None] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Viewer:
    """Hold one identity with its way to the cluster. streams, logs: how many it has open."""

    identity: Identity
    viewing: Viewing
    sight: Sight
    streams: int = 0
    logs: int = 0
    _scene: Scene | None = None
    _composing: anyio.Lock = field(default_factory=anyio.Lock)
    _rights: dict[Right, tuple[bool, float]] = field(default_factory=dict)

    async def scene(self, live: Live) -> Scene:
        """Compose what this identity sees now, once for all of its browsers. Raises BackendError."""
        async with self._composing:
            known = self._scene
            if known and known.version == live.version and anyio.current_time() < known.until:
                return known
            if known is not None:
                known.batches.clear()  # they hold the scenes before it
            version, rows = live.version, dict(live.rows)
            seen = await self.sight.visible([row.state for row in rows.values()])
            shown = {key: row for key, row in rows.items() if (row.state.namespace, row.state.name) in seen}
            self._scene = Scene(
                version=version,
                until=self.sight.valid_until,
                rows=frozenset(shown),
                counts=counts((row.state for row in shown.values()), datetime.now(UTC)),
            )
            return self._scene

    async def may_see(self, state: SessionState) -> bool:
        """Say whether this viewer may see a session. Raises BackendError."""
        return bool(await self.sight.visible((state,)))

    def has_stack(self, state: SessionState) -> bool:
        """Say whether this machine has a session's stack; a stack file that can't be used is none."""
        return has_stack(state, self.viewing)

    async def missing(self, state: SessionState, *, is_here: bool) -> dict[Verb, str]:
        """Say in words why actions can't be done: which right is missing, or what stands against it.

        is_here: what has_stack says.
        """
        wanted = {act: needed(act, state, has_stack=is_here) for act in Verb}
        try:
            allowed = await self.allowed([right for rights in wanted.values() for right in rights])
        except GitOpsRunError as error:
            return dict.fromkeys(Verb, f"your rights are not known: {error.message}")
        lacking = {act: [right for right in rights if not allowed[right]] for act, rights in wanted.items()}
        why = {
            act: f"you need the right to {rights[0]}" if rights else obstacle(act, state)
            for act, rights in lacking.items()
        }
        return {act: text for act, text in why.items() if text}

    async def allowed(self, rights: Iterable[Right]) -> dict[Right, bool]:
        """Say which rights this viewer has, as of a minute ago at most. Raises BackendError."""
        wanted = dict.fromkeys(rights)
        now = anyio.current_time()
        unknown = [right for right in wanted if now >= self._rights.get(right, (False, 0.0))[1]]
        answers = await self.viewing.allowed(unknown)
        until = anyio.current_time() + CACHED_S
        self._rights |= {right: (answer, until) for right, answer in zip(unknown, answers, strict=True)}
        return {right: self._rights[right][0] for right in wanted}


async def known_rights(viewer: Viewer) -> tuple[str, ...]:
    """Say in words what a viewer may do beyond a session of their own. Raises BackendError."""
    wanted = {
        "see the sessions of all namespaces": SEE_ALL,
        "create and end sessions": Right(verb="create", resource="namespaces"),
        "see the cluster's events": Right(verb="list", resource="events"),
        "read the logs of all pods": Right(verb="get", resource="pods", subresource="log"),
        "suspend and resume all sessions": Right(
            verb="patch", resource="kustomizations", group=FLUX_KUSTOMIZE_GROUP
        ),
    }
    has = await viewer.allowed(wanted.values())
    return tuple(f"{'You may' if has[right] else 'You may not'} {words}" for words, right in wanted.items())
