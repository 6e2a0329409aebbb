"""What a session's end leaves behind, as the cluster and the store answered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptLine:
    """Report whether one thing is gone. what: its kind and name. unseen: why nobody could look, or ""."""

    what: str
    is_gone: bool
    unseen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Prove what is gone: every line was asked for after the session's end."""

    lines: tuple[ReceiptLine, ...]

    @property
    def left(self) -> tuple[str, ...]:
        """Name what is still there."""
        return tuple(line.what for line in self.lines if not (line.is_gone or line.unseen))

    @property
    def unseen(self) -> tuple[str, ...]:
        """Name what may be there or not, each with the reason why nobody could look."""
        return tuple(f"{line.what} ({line.unseen})" for line in self.lines if line.unseen)
