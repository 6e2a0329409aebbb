"""One session on fakes with a running save loop, and what it said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio

from gitops_run.flows.health import HealthFollower
from gitops_run.flows.sync import Ports, SaveLoop, SyncSettings
from gitops_run.model.flux.requests import Request
from gitops_run.model.state.events import Event
from tests.fake_cluster_checks import FakeCluster as FakeChecks
from tests.fake_cluster_checks import inspector
from tests.fakes import (
    FakeCarrier,
    FakeCluster,
    FakeFiles,
    FakeFlux,
    FakeHealth,
    FakeHistory,
    FakeLease,
    FakeLeases,
    FakeRenderer,
    FakeStore,
    counting_tokens,
)

E = TypeVar("E", bound=Event)


class Session:
    """One session with a running loop, and what it said."""

    def __init__(self, files: dict[str, bytes], *, confirms: bool = False) -> None:
        self.store = FakeStore()
        self.cluster = FakeCluster(self.store)
        self.files = FakeFiles(files)
        self.renderer = FakeRenderer()
        self.checks = FakeChecks()
        self.leases = FakeLeases()
        self.history = FakeHistory()
        self.carrier = FakeCarrier()
        self.events: list[Event] = []
        self._confirms = confirms
        self.confirm_after = 0.0
        self._tokens = counting_tokens()
        self._news = anyio.Event()
        self._requests = 0

    def emit(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()
        self._news = anyio.Event()

    async def confirm(self, question: str) -> bool:
        del question
        await anyio.sleep(self.confirm_after)
        return self._confirms

    async def sync(self, holder: str = "me") -> None:
        lease = FakeLease(self.leases, holder)
        await lease.take(self.emit)
        ports = Ports(
            files=self.files,
            inspector=inspector(self.renderer, self.checks),
            store=self.store,
            store_watch=self.store,
            flux=FakeFlux(self.cluster),
            lease=lease,
            emit=self.emit,
            confirm=self.confirm,
            health=HealthFollower(FakeHealth(), self.emit),
            history=self.history,
            carrier=self.carrier,
            new_token=self._tokens,
        )
        await SaveLoop(ports, SyncSettings(target="app")).run()

    async def says(self, kind: type[E], count: int = 1) -> E:
        """Wait until an event of this kind was told this often; return the last one."""
        with anyio.fail_after(600):
            while len(found := [event for event in self.events if isinstance(event, kind)]) < count:
                await self._news.wait()
        return found[count - 1]

    def asks(self, verb: str, argument: str = "") -> None:
        """Write a request onto the Bucket, as somebody does from another machine."""
        self._requests += 1
        asked = Request(
            id=f"request-{self._requests}", verb=verb, argument=argument, who="dev@example.com", when="now"
        )
        self.cluster.ask(asked)

    async def quiet(self) -> None:
        await anyio.sleep(30)

    def told(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def running(files: dict[str, bytes], *, confirms: bool = False) -> AsyncIterator[Session]:
    session = Session(files, confirms=confirms)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.cluster.run)
        tasks.start_soon(session.sync)
        yield session
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def restarted(session: Session) -> AsyncIterator[Session]:
    """Sync a session again, which nobody syncs now."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.cluster.run)
        tasks.start_soon(session.sync)
        yield session
        tasks.cancel_scope.cancel()
