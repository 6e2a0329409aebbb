"""What becomes of a push that is under way when the loop is to end."""

from __future__ import annotations

import anyio
import pytest

from gitops_run.errors import LockedError, ungrouped
from gitops_run.flows.sync import FINISH_S
from gitops_run.model.state.events import SaveApplied
from tests.save_session import Session
from tests.virtual_time import scenario

MANY = {f"app/{number}": b"2" for number in range(40)}


async def amid_a_push(session: Session, tasks: anyio.abc.TaskGroup, put_s: float) -> None:
    tasks.start_soon(session.cluster.run)
    await session.says(SaveApplied)
    session.store.put_s = put_s
    for path, content in MANY.items():
        session.files.write(path, content)
    while not session.cluster.source.is_suspended:
        await session.cluster.changed()


@scenario
async def test_a_push_that_is_nearly_done_is_finished() -> None:
    session = Session({"app/a": b"1"})
    async with anyio.create_task_group() as others, anyio.create_task_group() as tasks:
        tasks.start_soon(session.sync)
        await amid_a_push(session, others, put_s=0.1)
        tasks.cancel_scope.cancel()
        others.start_soon(_cancel_later, others)
    assert len(session.store.content) == len(MANY) + 1
    assert not session.cluster.source.is_suspended


@scenario
async def test_a_push_that_takes_long_is_cut_off_and_stays_fenced() -> None:
    session = Session({"app/a": b"1"})
    async with anyio.create_task_group() as others:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.sync)
            await amid_a_push(session, others, put_s=5)
            ended_at = anyio.current_time()
            tasks.cancel_scope.cancel()
        assert anyio.current_time() - ended_at <= FINISH_S + 0.1
        others.cancel_scope.cancel()
    assert session.cluster.source.is_suspended
    assert session.cluster.live == {"a": b"1"}


@scenario
async def test_a_push_that_loses_the_lease_ends_at_once() -> None:
    session = Session({"app/a": b"1"})
    async with anyio.create_task_group() as others:
        with pytest.raises(LockedError, match="taken over by another"), ungrouped():  # noqa: PT012 - one act
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(session.sync)
                await amid_a_push(session, others, put_s=9)
                session.leases.holder = "another"
                lost_at = anyio.current_time()
        assert anyio.current_time() - lost_at <= 5.1
        others.cancel_scope.cancel()
    assert session.cluster.source.is_suspended


async def _cancel_later(tasks: anyio.abc.TaskGroup) -> None:
    await anyio.sleep(1)
    tasks.cancel_scope.cancel()
