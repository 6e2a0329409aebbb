"""Gather changes on disk until they are one save."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import anyio

EDIT_SHARE: Final = 0.6
"""How much of the quiet time is enough for one edited file (docs/decisions/0007-settle.md)."""
REST_SHARE: Final = 2.5
"""The quiet times that must pass before one edited file doesn't count as part of a burst."""


class Changes:
    """Hold the paths that changed since they were last taken."""

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._news = anyio.Event()
        self._last_at = self._rested_s = -math.inf

    @property
    def is_pending(self) -> bool:
        """Report whether something changed since the last take."""
        return self._news.is_set()

    def add(self, paths: frozenset[str]) -> None:
        """Note that these paths changed; none at all asks for a save all the same."""
        self._paths |= paths
        now = anyio.current_time()
        self._rested_s, self._last_at = now - self._last_at, now
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

    async def settle(self, quiet_s: float, is_edit: Callable[[], bool]) -> bool:
        """Wait for quiet; say at once that it isn't quiet where something changes meanwhile.

        is_edit: says, once a part of that time is over, whether one edited file is all that changed. Where
        nothing else had changed for a while, that is no burst, and quiet enough.
        """
        is_alone = self._rested_s >= quiet_s * REST_SHARE
        edit_s = quiet_s * EDIT_SHARE
        if not await self._stays_quiet(edit_s):
            return False
        return (is_alone and is_edit()) or await self._stays_quiet(quiet_s - edit_s)

    async def _stays_quiet(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._news.wait()
        return not self.is_pending
