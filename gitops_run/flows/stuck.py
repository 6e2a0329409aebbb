"""Say what holds a session's end up, while it is waited for and when the wait has failed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio

from gitops_run.errors import BackendError, GitOpsRunError, WaitTimeout, ungrouped
from gitops_run.flows.leftovers import Tell
from gitops_run.model.session.hindrance import Hindrance
from gitops_run.model.stack.events import StackNotice

LOOK_S: Final = 15.0
"""Longer than what is deleted in good order takes."""
Hindrances = Callable[[], Awaitable[tuple[Hindrance, ...]]]


@asynccontextmanager
async def explained(name: str, hindrances: Hindrances, tell: Tell) -> AsyncIterator[None]:
    """Report what holds a session's end up while inside, each thing once, and again where the end has failed.

    Raises WaitTimeout in place of a BackendError or WaitTimeout, where something holds it up.
    """
    try:
        with ungrouped():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_tell_hindrances, hindrances, tell)
                yield
                tasks.cancel_scope.cancel()
    except (WaitTimeout, BackendError) as error:
        found = await _found(hindrances)
        if not found:
            raise
        first, *more = found
        others = f", and {len(more)} more" if more else ""
        raise WaitTimeout(
            f"session {name} is not gone: {first.message}{others}",
            hint=f"{first.hint}; then: gitops-run down NAME",
        ) from error


async def _tell_hindrances(hindrances: Hindrances, tell: Tell) -> None:
    told: set[Hindrance] = set()
    while True:
        await anyio.sleep(LOOK_S)
        for one in await _found(hindrances):
            if one not in told:
                tell(StackNotice(text=f"still waiting: {one.message}; {one.hint}"))
            told.add(one)


async def _found(hindrances: Hindrances) -> tuple[Hindrance, ...]:
    try:
        return await hindrances()
    except GitOpsRunError:
        return ()  # what can't be looked at explains nothing
