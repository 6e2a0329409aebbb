"""What the board's benchmark reduces: a session's state as far as its Lease tells of it."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSeen:
    """Report a session's Lease. holder: "" for none."""

    holder: str
    renewed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """Hold who syncs."""

    holder: str = ""


def reduce(state: SessionState | None, fact: LeaseSeen) -> SessionState:
    """Take a Lease in: a renewal by the same holder changes nothing."""
    return replace(state or SessionState(), holder=fact.holder)
