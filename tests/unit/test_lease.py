"""The lease, and what is noted on it, against an API server in memory that refuses old versions."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
import pytest

from gitops_run.adapters.cluster.connection import ConflictError
from gitops_run.adapters.cluster.lease import DURATION_S, MARGIN_S, RENEW_S, Holder, SessionLease
from gitops_run.errors import BackendError, LockedError, NotFound, TransientError
from gitops_run.model.state.events import Event
from tests import virtual_time
from tests.virtual_time import scenario


class LeaseServer:
    """One Lease, with optimistic locking.

    failures: how many of the next writes fail. is_deaf: the next write takes effect, and its answer is lost.
    """

    def __init__(self) -> None:
        self.live: dict[str, Any] = {}
        self.writes = 0
        self.failures = 0
        self.is_deaf = False

    @property
    def annotations(self) -> dict[str, str]:
        found: dict[str, str] = self.live["metadata"].get("annotations", {})
        return found

    async def get(self, path: str) -> dict[str, Any]:
        await anyio.sleep(0.001)
        if not self.live:
            raise NotFound(path)
        return copy.deepcopy(self.live)

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._write(body)

    async def replace(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        await anyio.sleep(0.001)
        if body["metadata"]["resourceVersion"] != self.live["metadata"]["resourceVersion"]:
            raise ConflictError("changed meanwhile")
        return await self._write(body)

    async def _write(self, body: dict[str, Any]) -> dict[str, Any]:
        await anyio.sleep(0.01)
        if self.failures:
            self.failures -= 1
            raise TransientError("no answer")
        if self.is_deaf:
            self.is_deaf = False
            self._keep(body)
            raise TransientError("the answer was lost")
        return self._keep(body)

    def _keep(self, body: dict[str, Any]) -> dict[str, Any]:
        self.writes += 1
        self.live = copy.deepcopy(body)
        self.live["metadata"]["resourceVersion"] = str(self.writes)
        return copy.deepcopy(self.live)


def lease_of(server: LeaseServer, holder: str = "ann@here/1/x-1") -> SessionLease:
    connection: Any = server
    return SessionLease(connection, "run-web", "web", holder=Holder(holder), now=anyio.current_time)


def ignore(event: Event) -> None:
    """Hear nothing."""


@asynccontextmanager
async def kept(server: LeaseServer) -> AsyncIterator[SessionLease]:
    """Take the lease and keep it until the block ends."""
    lease = lease_of(server)
    await lease.take(ignore)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lease.keep)
        yield lease
        tasks.cancel_scope.cancel()


@scenario
async def test_an_annotation_of_somebody_else_stays_and_what_earlier_versions_noted_goes() -> None:
    server = LeaseServer()
    async with kept(server):
        theirs = {"example.com/theirs": "x"}
        server.live["metadata"]["annotations"] = {**theirs, "gitops-run.dev/timings": "t"}
        server.live["metadata"]["resourceVersion"] = "99"
        await anyio.sleep(2 * RENEW_S + 1)
    assert server.annotations == theirs


@scenario
async def test_a_renewal_after_a_take_over_ends_the_old_holder_and_is_not_written() -> None:
    server = LeaseServer()
    old = lease_of(server)
    await old.take(ignore)
    await lease_of(server, "bob@there/2/y-2").take(ignore, take_over=True)
    with pytest.raises(LockedError, match="taken over by bob@there"):
        await old.keep()
    assert server.live["spec"]["holderIdentity"] == "bob@there/2/y-2"


@scenario
async def test_renewals_of_one_holder_never_conflict_with_each_other() -> None:
    server = LeaseServer()
    lease = lease_of(server)
    await lease.take(ignore)
    await anyio.sleep(25)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(lease.ensure)
    assert server.live["spec"]["holderIdentity"] == lease.holder


BOB = "bob@there/2/y-2"


@scenario
async def test_a_lease_that_was_lost_stays_lost_although_its_time_has_not_run_out() -> None:
    server = LeaseServer()
    old = lease_of(server)
    await old.take(ignore)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(lease_of(server, BOB).take, ignore, take_over=True))
        await anyio.sleep(1)
        with pytest.raises(LockedError, match="taken over by bob@there"):
            await old.keep()
        assert old.is_lost
        with pytest.raises(LockedError, match="taken over by bob@there"):
            await old.ensure()


@scenario
async def test_a_lease_is_lost_where_another_has_held_it_and_let_go_of_it_again() -> None:
    server = LeaseServer()
    old, new = lease_of(server), lease_of(server, BOB)
    await old.take(ignore)
    await new.take(ignore, take_over=True)
    await new.release()
    with pytest.raises(LockedError, match="taken over by another writer, which has ended"):
        await old.ensure()
    assert server.live["spec"]["holderIdentity"] == ""


@scenario
async def test_a_lease_that_can_not_be_renewed_permits_nothing_once_its_margin_is_gone() -> None:
    server = LeaseServer()
    lease = lease_of(server)
    await lease.take(ignore)
    server.failures = 1
    await anyio.sleep(DURATION_S - MARGIN_S)
    with pytest.raises(TransientError, match="no answer"):
        await lease.ensure()
    assert not lease.is_lost
    await lease.ensure()


@scenario
async def test_many_who_ask_for_a_permit_at_once_renew_it_once() -> None:
    server = LeaseServer()
    lease = lease_of(server)
    await lease.take(ignore)
    await anyio.sleep(25)
    async with anyio.create_task_group() as tasks:
        for _ in range(32):
            tasks.start_soon(lease.ensure)
    assert server.writes == 2


@pytest.mark.parametrize("is_answered", [True, False])
def test_who_takes_over_waits_for_the_old_holder_although_a_renewal_fails_meanwhile(
    *, is_answered: bool
) -> None:
    async def take_over() -> None:
        server = LeaseServer()
        await lease_of(server).take(ignore)
        lease = lease_of(server, BOB)
        server.is_deaf = not is_answered
        began = anyio.current_time()
        if not is_answered:
            with pytest.raises(TransientError):
                await lease.take(ignore, take_over=True)
        server.failures = 1
        with suppress(TransientError):
            await lease.take(ignore, take_over=True)
        await lease.take(ignore, take_over=True)
        assert anyio.current_time() - began >= DURATION_S

    virtual_time.run(take_over)


@scenario
async def test_a_release_that_meets_a_late_renewal_lets_go_all_the_same() -> None:
    server = LeaseServer()
    lease = lease_of(server)
    await lease.take(ignore)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lease.release)
        await anyio.sleep(0.0015)
        server.live["metadata"]["resourceVersion"] = "77"
    assert server.live["spec"]["holderIdentity"] == ""


@scenario
async def test_a_release_that_is_refused_raises_nothing_that_would_hide_why_the_sync_ended() -> None:
    server = LeaseServer()
    lease = lease_of(server)
    await lease.take(ignore)

    async def refuse(path: str, body: dict[str, Any]) -> dict[str, Any]:
        raise BackendError("you may not")

    server.replace = refuse  # type: ignore[method-assign]
    await lease.release()


@scenario
async def test_a_lease_that_somebody_wrote_by_hand_runs_out_like_any_other() -> None:
    server = LeaseServer()
    server.live = {"metadata": {"resourceVersion": "1"}, "spec": {"holderIdentity": BOB, "renewTime": None}}
    began = anyio.current_time()
    await lease_of(server).take(ignore)
    assert anyio.current_time() - began >= DURATION_S
    assert server.live["spec"]["holderIdentity"] == "ann@here/1/x-1"


def test_a_process_that_runs_here_is_known_as_one() -> None:
    here = Holder.of_this_process()
    assert here.is_running_here
    assert not here.is_dead


@pytest.mark.parametrize(
    "other",
    ["", "bob", "nobody-{person}/{pid}/{place}", "{person}/{pid}/elsewhere-1", "{person}/x/{place}"],
)
def test_whoever_is_another_does_not_run_here(other: str) -> None:
    person, pid, place = Holder.of_this_process().text.split("/")
    assert not Holder(other.format(person=person, pid=pid, place=place)).is_running_here


def test_a_process_that_has_ended_does_not_run_here() -> None:
    person, _, place = Holder.of_this_process().text.split("/")
    ended = Holder(f"{person}/{2**22 + 1}/{place}")
    assert ended.is_dead
    assert not ended.is_running_here
