"""Warn whoever syncs a session before its TTL or its idle limit is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final, Protocol

import anyio

from gitops_run.errors import NotFound
from gitops_run.flows.ports import Emit
from gitops_run.model.session.limits import Lifetime, write_time
from gitops_run.model.state.events import SessionExpiring, SessionIdle

LOOK_S: Final = 60.0
"""A machine that slept has another time than its timers."""


class LifetimePort(Protocol):
    """The session's limits, watched."""

    @property
    def lifetime(self) -> Lifetime: ...  # noqa: D102

    def idle_at(self, last_save: str) -> datetime | None:
        """Say when the idle limit is over; None where there is none, or the session is suspended."""
        ...

    async def changed(self) -> None:
        """Wait for the next change. Raises NotFound once the session was destroyed."""
        ...


async def warn_of_end(
    flux: LifetimePort, last_save: Callable[[], str], emit: Emit, now: Callable[[], datetime]
) -> None:
    """Warn once of each end and suspension, as soon as a tenth of the limit is left.

    last_save: when that was, RFC 3339, or "". Returns once the session was destroyed.
    """
    warned: set[tuple[type, datetime]] = set()
    while True:
        wait_s = LOOK_S
        for kind, end, warns_at in _ends(flux, last_save):
            left_s = (warns_at - now()).total_seconds()
            if left_s > 0:
                wait_s = min(wait_s, left_s)
            elif (kind, end) not in warned:
                warned.add((kind, end))
                emit(_warning(kind, end, max(int((end - now()).total_seconds()), 0)))
        with anyio.move_on_after(wait_s):
            try:
                await flux.changed()
            except NotFound:
                return


def _ends(flux: LifetimePort, last_save: Callable[[], str]) -> Iterator[tuple[type, datetime, datetime]]:
    """List which warning is of which end, and when it is due."""
    lifetime = flux.lifetime
    if lifetime.ends_at and lifetime.warns_at:
        yield SessionExpiring, lifetime.ends_at, lifetime.warns_at
    if lifetime.limits.idle and (idle_at := flux.idle_at(last_save())):
        yield SessionIdle, idle_at, idle_at - lifetime.limits.idle.delta / 10


def _warning(kind: type, end: datetime, seconds: int) -> SessionExpiring | SessionIdle:
    if kind is SessionIdle:
        hint = "a save keeps it; once it is suspended: gitops-run resume NAME"
        return SessionIdle(until=write_time(end), seconds=seconds, hint=hint)
    hint = "to let it live longer: gitops-run extend NAME"
    return SessionExpiring(expires=write_time(end), seconds=seconds, hint=hint)
