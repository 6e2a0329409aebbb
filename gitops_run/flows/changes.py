"""Gather changes on disk until they are one save."""

from __future__ import annotations

import anyio


class Changes:
    """Hold the paths that changed since they were last taken."""

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._news = anyio.Event()

    @property
    def is_pending(self) -> bool:
        """Say whether something changed since the last take."""
        return self._news.is_set()

    def add(self, paths: frozenset[str]) -> None:
        """Note that these paths changed; none at all asks for a save all the same."""
        self._paths |= paths
        self._news.set()

    def take(self) -> frozenset[str]:
        """Hand over what changed so far."""
        paths = frozenset(self._paths)
        self._paths.clear()
        self._news = anyio.Event()
        return paths

    async def arrived(self) -> None:
        """Wait until something changed."""
        await self._news.wait()

    async def stays_quiet(self, seconds: float) -> bool:
        """Wait; say at once that it isn't quiet where something changes meanwhile."""
        with anyio.move_on_after(seconds):
            await self._news.wait()
        return not self.is_pending
