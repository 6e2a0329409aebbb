"""All sessions as they are now, numbered, for any number of streams: one watch, one cache of rows.

This module knows nothing of a viewer. What has changed since a number is read from one list that all streams
share, newest last, so that a stream keeps nothing but the number up to which it has sent. A number belongs to
an epoch: another process, or a new beginning, counts from 0 again.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import anyio

from gitops_run.api.viewing import Viewing
from gitops_run.api.watch import KindPulse, SessionWatch
from gitops_run.errors import GitOpsRunError
from gitops_run.model.state.session_state import Phase, SessionState, phase
from gitops_run.web.bells import Bells
from gitops_run.web.pages.sessions import row_id, session_row
from gitops_run.web.unexpected import guarded, once

RETRY_S: Final = 2.0
LOOK_S: Final = 20.0
TICK_S: Final = 10.0
"""How often a state is looked at that changes by time alone: a TTL that is almost over."""
GONE_MAX: Final = 2000
"""How many ended sessions are remembered, so that streams which were cut learn of them."""


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one session. version: the number at which it last changed."""

    state: SessionState
    phase: Phase
    version: int


class Live:
    """Hold the newest state of every session that the server sees, and wake streams when one changes."""

    def __init__(self, viewing: Viewing, on_save: Callable[[SessionState], None] = lambda _: None) -> None:
        """on_save: called with each session whose newest save is another than before."""
        self._viewing = viewing
        self._on_save = on_save
        self.epoch = secrets.token_hex(4)
        self.version = 0
        self.floor = 0
        self.rows: dict[str, Row] = {}
        self.trouble: GitOpsRunError | None = None
        self.as_of: datetime | None = None
        self.listed = anyio.Event()
        self.restarts: Counter[str] = Counter()
        self._watch: SessionWatch | None = None
        self._changed: OrderedDict[str, int] = OrderedDict()
        self._html: dict[str, tuple[int, str, str]] = {}
        self.bells = Bells()
        self._again = anyio.Event()

    async def run(self) -> None:
        """Watch until cancelled; what fails is tried again, and is_current says that it failed."""
        report = once(self._viewing.caller.report)
        while True:
            self._again = anyio.Event()
            with guarded(report, self._fail):
                await self._watch_once()
            self._watch = None
            self.bells.ring()
            await anyio.sleep(RETRY_S if self.trouble else 0)

    def _fail(self, error: GitOpsRunError) -> None:
        self.trouble = error

    def watch_again(self) -> None:
        """Begin again: a right was given or taken, so that other sessions may be seen."""
        self._again.set()

    @property
    def is_listed(self) -> bool:
        """Say whether the sessions were ever listed."""
        return self.listed.is_set()

    @property
    def is_current(self) -> bool:
        """Say whether what is known is what there is, as far as the API server has reported it."""
        return self._watch is not None and self.is_listed and self._watch.cut_at is None

    @property
    def cut_at(self) -> datetime | None:
        """Say up to when what is known was current; None where it is now, or where nothing is known yet."""
        if self.is_current:
            return None
        return (self._watch.cut_at if self._watch else None) or self.as_of

    @property
    def pulses(self) -> tuple[KindPulse, ...]:
        """Say how each watch is."""
        return tuple(self._watch.pulses) if self._watch else ()

    @property
    def hidden(self) -> frozenset[str]:
        """Name the kinds that the server may not see."""
        return frozenset(self._watch.hidden) if self._watch else frozenset()

    def changed_since(self, version: int) -> Iterator[str]:
        """Name the rows that have changed or gone after a version, the newest first."""
        for key, changed in reversed(self._changed.items()):
            if changed <= version:
                return
            yield key

    def find(self, namespace: str, name: str) -> SessionState | None:
        """Find a session by its place."""
        wanted = row_id(SessionState(namespace=namespace, name=name))
        row = self.rows.get(wanted)
        return row.state if row and (row.state.namespace, row.state.name) == (namespace, name) else None

    def row_html(self, state: SessionState, now: datetime) -> str:
        """Write a row, once for all viewers. Relative times in it are of when it was first written."""
        return self._written(row_id(state), state, now)[1]

    def row_json(self, key: str) -> str:
        """Write a row as a string of JSON, once for all streams."""
        return self._written(key, self.rows[key].state, datetime.now(UTC))[2]

    def _written(self, key: str, state: SessionState, now: datetime) -> tuple[int, str, str]:
        version = self.rows[key].version if key in self.rows else self.version
        known = self._html.get(key)
        if known is None or known[0] != version:
            text = session_row(state, now)
            known = self._html[key] = (version, text, json.dumps(text, ensure_ascii=False))
        return known

    async def _watch_once(self) -> None:
        places = await self._viewing.places()
        async with self._viewing.watching(places) as watch, anyio.create_task_group() as tasks:
            self._watch, self.trouble = watch, None
            if places is not None:
                tasks.start_soon(self._look_for_others, places)
            tasks.start_soon(self._follow_pulse, watch)
            tasks.start_soon(self._tick)
            tasks.start_soon(self._end_when_asked, tasks.cancel_scope)
            async for states in watch.sessions():
                self._take(states)
                self.listed.set()

    async def _end_when_asked(self, scope: anyio.CancelScope) -> None:
        await self._again.wait()
        scope.cancel()

    async def _look_for_others(self, places: object) -> None:
        """Begin again where other sessions may be seen: no watch of single sessions reports that."""
        while True:
            await anyio.sleep(LOOK_S)
            with suppress(GitOpsRunError):
                if await self._viewing.places() != places:
                    self.watch_again()

    async def _follow_pulse(self, watch: SessionWatch) -> None:
        seen: Mapping[int, int] = {}
        while True:
            now = {id(one): one.restarts for one in watch.pulses}
            for one in watch.pulses:
                self.restarts[one.kind] += one.restarts - seen.get(id(one), 0)
            seen = now
            self.bells.ring()
            await watch.pulse()

    async def _tick(self) -> None:
        while True:
            await anyio.sleep(TICK_S)
            now = datetime.now(UTC)
            aged = [key for key, row in self.rows.items() if phase(row.state, now) is not row.phase]
            if aged:
                self.version += 1
                for key in aged:
                    self._set(key, self.rows[key].state, now)
                self.bells.ring()

    def _take(self, states: Iterable[SessionState]) -> None:
        """Take all sessions as they are now; those that are as before keep their version."""
        now = self.as_of = datetime.now(UTC)
        found = {row_id(state): state for state in states}
        changed = [key for key, state in found.items() if not self._is_known(key, state)]
        gone = self.rows.keys() - found.keys()
        if not changed and not gone:
            return
        self.version += 1
        for key in changed:
            self._set(key, found[key], now)
        for key in gone:
            del self.rows[key]
            self._html.pop(key, None)
            self._note(key)
        self._forget_gone()
        self.bells.ring()

    def _is_known(self, key: str, state: SessionState) -> bool:
        row = self.rows.get(key)
        return row is not None and (row.state is state or row.state == state)

    def _set(self, key: str, state: SessionState, now: datetime) -> None:
        before = self.rows.get(key)
        self.rows[key] = Row(state, phase(state, now), self.version)
        self._note(key)
        old = before.state.summary.last if before and before.state.summary else None
        new = state.summary.last if state.summary else None
        if before is not None and new is not None and new != old:
            self._on_save(state)

    def _note(self, key: str) -> None:
        self._changed[key] = self.version
        self._changed.move_to_end(key)

    def _forget_gone(self) -> None:
        """Forget the oldest ends; a stream that was cut before them begins again."""
        excess = len(self._changed) - len(self.rows) - GONE_MAX
        for key in [key for key in self._changed if key not in self.rows][: max(excess, 0)]:
            self.floor = max(self.floor, self._changed.pop(key))
