"""What a session's limits call for at a given time: a warning, a suspension, the end.

Pure: whoever asks brings the time. gc does what is due, and the live loop warns of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gitops_run.errors import GuardError, UsageError
from gitops_run.model.session.limits import NO_LIMITS, Duration, TimeRules, read_time, write_time
from gitops_run.model.state.session_state import SessionState


class Action(StrEnum):
    """Name what is to be done to a session."""

    WARN = "warn"
    WARN_IDLE = "warn-idle"
    SUSPEND = "suspend"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Say what is due, why, and since when or, of a warning, when what it warns of is."""

    action: Action
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLeft:
    """Hold a session's limits and what is left of them, in whole seconds; None where there is no limit.

    ttl, idle_limit: durations. expires, idle_until: RFC 3339. A number below 0: that long ago.
    """

    ttl: str
    idle_limit: str
    expires: str
    is_extended: bool
    left_s: int | None
    idle_until: str
    idle_left_s: int | None


def due(state: SessionState, now: datetime) -> tuple[Due, ...]:
    """Say what is due of a session. One that has ended calls for nothing else."""
    if state.place is None:
        return ()
    limits, end, idle = state.place.lifetime.limits, state.ends_at, state.idle_at
    if end is not None and now >= end:
        why = f"its TTL of {limits.ttl} ended at {write_time(end)}"
        return (Due(action=Action.END, reason=why, at=end),)
    found = []
    if idle is not None and now >= idle:
        why = f"no save for {limits.idle}"
        found.append(Due(action=Action.SUSPEND, reason=why, at=idle))
    elif idle is not None and limits.idle and now >= idle - limits.idle.delta / 10:
        why = f"its idle limit of {limits.idle} ends at {write_time(idle)}"
        found.append(Due(action=Action.WARN_IDLE, reason=why, at=idle))
    if end is not None and state.is_expiring(now):
        why = f"its TTL of {limits.ttl} ends at {write_time(end)}"
        found.append(Due(action=Action.WARN, reason=why, at=end))
    return tuple(found)


def time_left(state: SessionState, now: datetime) -> TimeLeft | None:
    """Say what is left of a session's limits; None where it has no limit or nothing is known."""
    if state.place is None or state.place.lifetime.limits == NO_LIMITS:
        return None
    lifetime, end, idle = state.place.lifetime, state.ends_at, state.idle_at
    return TimeLeft(
        ttl=str(lifetime.limits.ttl or ""),
        idle_limit=str(lifetime.limits.idle or ""),
        expires=write_time(end) if end else "",
        is_extended=bool(end and end != read_time(lifetime.expires)),
        left_s=_whole_seconds(end, now),
        idle_until=write_time(idle) if idle else "",
        idle_left_s=_whole_seconds(idle, now),
    )


def extended(state: SessionState, by: Duration | None, now: datetime, rules: TimeRules) -> datetime:
    """Say when a session ends that is extended: by a duration, else by its TTL once more.

    It is added to the end that the session has, or to now where that is over. Raises UsageError where the
    session never ends on its own, GuardError beyond the platform's maximum.
    """
    ttl, end = state.place.lifetime.limits.ttl if state.place else None, state.ends_at
    if ttl is None or end is None:
        raise UsageError(
            f"session {state.name} has no TTL: it never ends on its own",
            hint="to give it one: gitops-run up NAME --ttl 8h",
        )
    try:
        until = max(now, end) + (by or ttl).delta
    except OverflowError:
        raise UsageError(f"{by} is too long", hint="choose a shorter one") from None
    created = read_time(state.created)
    if rules.max_ttl and created and until > created + rules.max_ttl.delta:
        last = created + rules.max_ttl.delta
        most = Duration(max(int((last - max(now, end)).total_seconds()), 0))
        raise GuardError(
            f"session {state.name} would end at {write_time(until)}, and the platform's rule sessionMaxTtl "
            f"ends it {rules.max_ttl} after it was created, at {write_time(last)}",
            hint=f"extend it by at most {most}: gitops-run extend NAME {most}"
            if most.seconds
            else "end it, and create it again: gitops-run down NAME",
        )
    return until


def _whole_seconds(moment: datetime | None, now: datetime) -> int | None:
    return None if moment is None else (moment - now) // timedelta(seconds=1)
