"""How long to wait before something that failed is tried again."""

from __future__ import annotations

FIRST_S = 0.5
MAX_S = 15.0


class Backoff:
    """Double the wait after each failure in a row, up to MAX_S."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def next_s(self) -> float:
        """Describe how long to wait after one more failure, in seconds."""
        now_s, self._next_s = self._next_s, min(self._next_s * 2, MAX_S)
        return now_s

    def reset(self) -> None:
        """Begin with the shortest wait again: what failed has worked."""
        self._next_s = FIRST_S
