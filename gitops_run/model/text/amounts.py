"""Numbers as people read them, in the terminal and on the page."""

from __future__ import annotations

from typing import Final

_LONG_MS: Final = 10_000


def counted(number: int, word: str) -> str:
    """Write "1 file" or "2 files"."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def duration(ms: int) -> str:
    """Write a time: "312 ms", "12.4 s"."""
    return f"{ms:,} ms" if ms < _LONG_MS else f"{ms / 1000:.1f} s"
