"""Gather changes on disk into one save: wait for quiet, but not for ever."""

from __future__ import annotations

import anyio


class Changes:
    """Gather what changed on disk until the loop asks for it."""

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._arrived = anyio.Event()
        self._first: float | None = None

    @property
    def is_pending(self) -> bool:
        """Say whether something changed since the last settled batch."""
        return self._arrived.is_set()

    def add(self, paths: frozenset[str]) -> None:
        """Note that these paths changed; none at all asks for a save all the same."""
        self._paths |= paths
        self._first = anyio.current_time() if self._first is None else self._first
        self._arrived.set()

    async def settled(self, quiet_s: float, cap_s: float) -> tuple[frozenset[str], float]:
        """Wait for a change, then for quiet; return the paths and when the first of them was seen."""
        await self._arrived.wait()
        first = anyio.current_time() if self._first is None else self._first
        with anyio.move_on_at(first + cap_s):
            while self._arrived.is_set():
                self._arrived = anyio.Event()
                with anyio.move_on_after(quiet_s):
                    await self._arrived.wait()
        paths = frozenset(self._paths)
        self._paths.clear()
        self._arrived, self._first = anyio.Event(), None
        return paths, first
