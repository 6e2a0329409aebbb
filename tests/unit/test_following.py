"""What is reported of a save after it was pushed, however long Flux takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio

from gitops_run.flows.follow import Concerns, Follower, Save
from gitops_run.model.flux.conditions import ApplierStatus, SourceStatus
from gitops_run.model.state.belief import Revision
from gitops_run.model.state.events import (
    Event,
    SaveApplied,
    SaveBroken,
    SaveFailed,
    SaveSuperseded,
    SaveSuspended,
    SaveUndecided,
)
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
    concerns = Concerns(fetched=lambda: None, differs=lambda *_: None, fails=lambda *_: None, applied=ignore)
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


async def after_a_failure(cluster: FakeCluster, told: list[Event], *, is_superseded: bool) -> None:
    """Follow a save that Flux can't apply, and let somebody fix what it needs, after a newer save or not."""

    async def ignore(*arguments: Any) -> None:
        del arguments

    concerns = Concerns(fetched=lambda: None, differs=lambda *_: None, fails=lambda *_: None, applied=ignore)
    follower = Follower(FakeFlux(cluster), told.append, 120, concerns)
    revision = Revision(text="sha256:a", token="t", was_live=False)
    async with anyio.create_task_group() as tasks:
        follower.start(tasks, Save(1, 0.0), revision)
        cluster.source = SourceStatus(revision="sha256:a", handled="t", ready="True")
        cluster.applier = ApplierStatus(attempted="sha256:a", ready="False", reason="BuildFailed")
        cluster.tell()
        await anyio.sleep(1)
        if is_superseded:
            follower.supersede(by=2)
        cluster.applier = ApplierStatus(applied="sha256:a", attempted="sha256:a", ready="True")
        cluster.tell()
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()


@scenario
async def test_a_failed_save_is_reported_as_applied_once_somebody_has_fixed_what_it_needs() -> None:
    told: list[Event] = []
    await after_a_failure(FakeCluster(FakeStore()), told, is_superseded=False)
    assert [type(event) for event in told] == [SaveFailed, SaveApplied]


@scenario
async def test_a_failed_save_is_no_longer_followed_after_a_newer_one() -> None:
    told: list[Event] = []
    await after_a_failure(FakeCluster(FakeStore()), told, is_superseded=True)
    assert [type(event) for event in told] == [SaveFailed]


@scenario
async def test_a_refused_save_is_checked_again_once_the_session_was_changed() -> None:
    async with running({"app/a": b"1"}) as session:
        session.renderer.refusal = "the key is missing"
        await session.says(SaveBroken)
        session.renderer.refusal = ""
        await anyio.sleep(60)
        assert not session.told(SaveApplied)
        session.cluster.applier = replace(session.cluster.applier, generation=2)
        session.cluster.tell()
        await session.says(SaveApplied)


@scenario
async def test_the_cluster_is_asked_again_about_every_object_once_the_session_was_changed() -> None:
    async with running({"app/a": b"1", "app/b": b"1"}) as session:
        await session.says(SaveApplied)
        session.checks.looked_at.clear()
        session.files.write("app/a", b"2")
        await session.says(SaveApplied, 2)
        assert session.checks.looked_at == []
        session.cluster.applier = replace(session.cluster.applier, generation=2)
        session.cluster.tell()
        session.files.write("app/a", b"3")
        await session.says(SaveApplied, 3)
        assert [name for name, _ in session.checks.looked_at] == ["a", "b"]
