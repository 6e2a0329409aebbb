"""Extend, suspend and resume a session: each is a patch of its objects, under the rights of whoever asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from gitops_run.adapters.cluster import control
from gitops_run.adapters.cluster.bounds import read_platform_rules
from gitops_run.adapters.cluster.connection import Connection, connect
from gitops_run.adapters.cluster.facts import read_user
from gitops_run.adapters.cluster.listing import read_state
from gitops_run.errors import UsageError
from gitops_run.model.flux.requests import REASON_MAX
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.limits import Duration, write_time
from gitops_run.model.state.due import extended
from gitops_run.model.state.session_state import SessionState, Suspension


def parse_reason(text: str) -> str:
    """Parse why somebody asks something of a session. Raises UsageError where it is not one line."""
    if not text.strip() or len(text) > REASON_MAX or not text.isprintable():
        raise UsageError(
            f"the reason is not one line of at most {REASON_MAX} characters",
            hint="keep it short: --reason 'demo at noon'",
        )
    return text.strip()


async def extend(key: SessionKey, by: Duration | None) -> str:
    """Move a session's end further away, and return when it is, RFC 3339. Raises as extend_state."""
    async with _found(key) as (connection, state):
        return await extend_state(connection, state, by)


async def extend_state(connection: Connection, state: SessionState, by: Duration | None) -> str:
    """Move a session's end further away, and return when it is, RFC 3339.

    by: None for the session's TTL once more. Raises UsageError where the session has no TTL, GuardError
    beyond the platform's maximum, BackendError where the cluster refuses.
    """
    until = await new_end(connection, state, by)
    await control.extend(connection, state, until)
    return until


async def new_end(connection: Connection, state: SessionState, by: Duration | None) -> str:
    """Say when a session ends once it is extended, RFC 3339. by and errors: as extend_state."""
    rules = await read_platform_rules(connection)
    return write_time(extended(state, by, datetime.now(UTC), rules.time))


async def suspend(key: SessionKey, reason: str) -> SessionState:
    """Suspend a session that isn't suspended yet; return it as it was before. Raises as suspend_state."""
    async with _found(key) as (connection, state):
        await suspend_state(connection, state, reason)
        return state


async def suspend_state(connection: Connection, state: SessionState, reason: str) -> None:
    """Suspend a session that isn't suspended yet: what was applied stays, and saves are stored.

    Raises UsageError on a reason that is not one line, BackendError where the cluster refuses.
    """
    why = parse_reason(reason)
    if not state.is_suspended:
        by = await read_user(connection)
        now = write_time(datetime.now(UTC))
        await control.suspend(connection, state, Suspension(by=by, reason=why, at=now))


async def resume(key: SessionKey) -> SessionState:
    """Resume a session that is suspended; return it as it was before. Raises as suspend."""
    async with _found(key) as (connection, state):
        await resume_state(connection, state)
        return state


async def resume_state(connection: Connection, state: SessionState) -> None:
    """Resume a session that is suspended. Raises BackendError where the cluster refuses."""
    if state.is_suspended:
        await control.resume(connection, state, write_time(datetime.now(UTC)))


@asynccontextmanager
async def _found(key: SessionKey) -> AsyncIterator[tuple[Connection, SessionState]]:
    async with connect(key.kubeconfig, key.context) as connection:
        yield connection, await read_state(connection, key)
