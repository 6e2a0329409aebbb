"""Warn whoever syncs a session before its TTL is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

import anyio

from gitops_run.errors import NotFound
from gitops_run.flows.ports import Emit
from gitops_run.model.session.limits import Lifetime, write_time
from gitops_run.model.state.events import SessionExpiring

LOOK_S: Final = 60.0
"""A machine that slept has another time than its timers."""


class LifetimePort(Protocol):
    """The session's limits, watched."""

    @property
    def lifetime(self) -> Lifetime: ...  # noqa: D102

    async def changed(self) -> None:
        """Wait for the next change. Raises NotFound once the session was destroyed."""
        ...


async def warn_of_end(flux: LifetimePort, emit: Emit, now: Callable[[], datetime]) -> None:
    """Warn once of each end, as soon as a tenth of the TTL is left, until the session is destroyed."""
    warned: datetime | None = None
    while True:
        end, warns_at = flux.lifetime.ends_at, flux.lifetime.warns_at
        wait_s = LOOK_S
        if end is not None and warns_at is not None and end != warned:
            wait_s = (warns_at - now()).total_seconds()
            if wait_s <= 0:
                left = int((end - now()).total_seconds())
                hint = "to let it live longer: gitops-run extend NAME"
                emit(SessionExpiring(expires=write_time(end), seconds=max(left, 0), hint=hint))
                warned, wait_s = end, LOOK_S
        with anyio.move_on_after(min(wait_s, LOOK_S)):
            try:
                await flux.changed()
            except NotFound:
                return
