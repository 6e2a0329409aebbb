"""What is reported of a save after it was pushed, however long Flux takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio

from gitops_run.flows.follow import Concerns, Follower, Save
from gitops_run.flows.verdict import Revision
from gitops_run.model.conditions import ApplierStatus, SourceStatus
from gitops_run.model.events import Event, SaveApplied, SaveSuperseded, SaveSuspended, SaveUndecided
from tests.fakes import FakeCluster, FakeFlux, FakeStore
from tests.save_session import running
from tests.virtual_time import scenario


@scenario
async def test_a_save_that_waited_for_a_suspended_session_is_reported_once_it_is_applied() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.cluster.applier = replace(session.cluster.applier, is_suspended=True)
        session.files.write("app/a", b"2")
        await session.says(SaveSuspended)
        await anyio.sleep(1000)
        assert len(session.told(SaveSuspended)) == 1
        session.cluster.applier = replace(session.cluster.applier, is_suspended=False)
        session.cluster.poke_applier()
        applied = await session.says(SaveApplied, 2)
        assert applied.save == session.told(SaveSuspended)[0].save


@scenario
async def test_a_verdict_that_comes_after_the_deadline_is_reported_all_the_same() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.cluster.apply_s = 500
        session.files.write("app/a", b"2")
        undecided = await session.says(SaveUndecided)
        applied = await session.says(SaveApplied, 2)
        assert applied.save == undecided.save
        assert len(session.told(SaveUndecided)) == 1


@scenario
async def test_a_save_that_was_superseded_is_never_reported_as_applied() -> None:
    told: list[Event] = []

    async def ignore(*arguments: Any) -> None:
        del arguments

    cluster = FakeCluster(FakeStore())
    concerns = Concerns(fetched=lambda: None, differs=ignore, fails=ignore, applied=ignore)
    follower = Follower(FakeFlux(cluster), told.append, 120, concerns)
    revision = Revision(text="sha256:a", token="t", was_live=False)
    async with anyio.create_task_group() as tasks:
        follower.start(tasks, Save(1, 0.0), revision)
        await anyio.sleep(1)
        cluster.source = SourceStatus(revision="sha256:a", handled="t", ready="True")
        cluster.applier = ApplierStatus(applied="sha256:a", ready="True")
        cluster.tell()
        follower.supersede(by=2)
    assert told == [SaveSuperseded(save=1, by=2)]
