"""Facts in, newest state out, for any number of readers.

This module knows when a state is news, and whom to wake. It knows neither what is reduced nor where facts
come from. Nothing is queued: a reader takes the newest state when it comes for it, so that a slow one costs
nobody anything. Everything happens in the thread of one event loop.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Hashable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Generic, TypeVar

import anyio

Key = TypeVar("Key", bound=Hashable)
Fact = TypeVar("Fact")
State = TypeVar("State")


class _Every(Enum):
    KEY = "every key"


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[Key, State]):
    """Hold all states at one time. number: how many news there were before; a gap is what was missed."""

    number: int
    states: Mapping[Key, State]


class Board(Generic[Key, Fact, State]):
    """Hold the newest state of each key."""

    def __init__(self, reduce: Callable[[State | None, Fact], State]) -> None:
        """reduce: makes the next state, frozen, of the one before, None at first, and a fact."""
        self._reduce = reduce
        self._states: dict[Key, State] = {}
        self._number = 0
        self._taken: Snapshot[Key, State] | None = None
        self._news: dict[Key | _Every, anyio.Event] = {}

    @property
    def snapshot(self) -> Snapshot[Key, State]:
        """The newest states. It is made once for all readers, and never changes."""
        if self._taken is None:
            self._taken = Snapshot(self._number, MappingProxyType(dict(self._states)))
        return self._taken

    def post(self, key: Key, fact: Fact) -> None:
        """Take a fact in. Only a state that differs from the one before is news."""
        before = self._states.get(key)
        state = self._reduce(before, fact)
        self._states[key] = state  # an equal one too: it may know how new it is
        if state != before:
            self._tell(key)

    def remove(self, key: Key) -> None:
        """Forget a key and its state; without effect where there is none."""
        if self._states.pop(key, None) is not None:
            self._tell(key)

    async def watch(self) -> AsyncGenerator[Snapshot[Key, State], None]:
        """Yield the newest snapshot at once, and then whenever there is news since the one before."""
        seen = -1
        while True:
            while self._number == seen:
                await self._wait(_Every.KEY)
            snapshot = self.snapshot
            seen = snapshot.number
            yield snapshot

    async def watch_one(self, key: Key) -> AsyncGenerator[State | None, None]:
        """Yield the newest state of one key at once, and then whenever it is another; None for no state."""
        state = self._states.get(key)
        yield state
        while True:
            while self._states.get(key) == state:
                await self._wait(key)
            state = self._states.get(key)
            yield state

    def _tell(self, key: Key) -> None:
        self._number += 1
        self._taken = None
        for of in (key, _Every.KEY):
            if event := self._news.pop(of, None):
                event.set()

    async def _wait(self, of: Key | _Every) -> None:
        event = self._news.setdefault(of, anyio.Event())
        try:
            await event.wait()
        finally:
            if not event.statistics().tasks_waiting and self._news.get(of) is event:
                del self._news[of]  # the last reader has left
