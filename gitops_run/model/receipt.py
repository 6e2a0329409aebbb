"""What a session's end leaves behind, as the cluster and the store answered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptLine:
    """Tell whether one thing is gone. what: its kind and name."""

    what: str
    is_gone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Prove what is gone: every line was asked for after the session's end."""

    lines: tuple[ReceiptLine, ...]

    @property
    def left(self) -> tuple[str, ...]:
        """Name what is still there."""
        return tuple(line.what for line in self.lines if not line.is_gone)
