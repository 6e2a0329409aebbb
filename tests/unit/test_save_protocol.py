"""The save protocol's promises under random edits, kills between any two steps, and restarts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_run.flows.sync import Ports, SaveLoop, SyncSettings
from gitops_run.model.events import Event, SaveApplied, SavePushed
from tests import virtual_time
from tests.fake_cluster_checks import inspector
from tests.fakes import (
    BROKEN,
    FakeCluster,
    FakeFiles,
    FakeFlux,
    FakeLease,
    FakeLeases,
    FakeRenderer,
    FakeStore,
    Killed,
    counting_tokens,
    objects_of,
    revision_of,
)

LONG_ENOUGH_S = 120.0


@dataclass(frozen=True)
class Write:
    path: str
    content: bytes


@dataclass(frozen=True)
class Delete:
    path: str


@dataclass(frozen=True)
class Pass:
    seconds: float


@dataclass(frozen=True)
class KillAfter:
    """Kill the writer at its so-manieth call from here on, before or after it took effect."""

    calls: int
    is_before: bool


@dataclass(frozen=True)
class Reconcile:
    """Flux fetches unasked, as it does at its interval."""


@dataclass(frozen=True)
class Speeds:
    """How long a fetch and an application take from here on."""

    fetch_s: float
    apply_s: float


paths = st.sampled_from(["app/a", "app/b", "app/c", "app/d", "other"])
contents = st.sampled_from([b"1", b"2", b"3", BROKEN])
steps = st.lists(
    st.one_of(
        st.builds(Write, paths, contents),
        st.builds(Write, paths, contents),
        st.builds(Reconcile),
        st.builds(Speeds, st.sampled_from([0.01, 0.05, 0.4]), st.sampled_from([0.05, 0.3, 2.0])),
        st.builds(Delete, paths),
        st.builds(Pass, st.sampled_from([0.02, 0.05, 0.1, 0.14, 0.2, 0.5, 3.0])),
        st.builds(KillAfter, st.integers(1, 12), st.booleans()),
    ),
    max_size=25,
)


class Fuse:
    """Counts calls and kills at one of them."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.is_before = False

    def guard(self, port: Any) -> Any:
        return _Guarded(port, self)

    def burns(self) -> bool:
        if self.left is None:
            return False
        self.left -= 1
        return self.left <= 0


class _Guarded:
    def __init__(self, port: Any, fuse: Fuse) -> None:
        self._port, self._fuse = port, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name in {"changed", "news", "keep", "batches"} or not callable(found):
            return found

        async def call(*arguments: Any, **named: Any) -> Any:
            is_burnt = self._fuse.burns()
            if is_burnt and self._fuse.is_before:
                raise Killed
            result = await found(*arguments, **named)
            if is_burnt:
                raise Killed
            return result

        return call


async def yes(question: str) -> bool:
    del question
    return True


class World:
    """A store and a cluster that outlive every writer, and one directory."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.cluster = FakeCluster(self.store)
        self.files = FakeFiles({"app/a": b"1"})
        self.renderer = FakeRenderer()
        self.leases = FakeLeases()
        self.fuse = Fuse()
        self.writers = 0
        self.tokens = counting_tokens()
        self.said_applied = ""
        self.broken_words: list[str] = []
        self.cluster.on_apply = self.see_applied

    def emit(self, event: Event) -> None:
        """Hold the loop to its word: what it calls applied is live, and stays until something is pushed."""
        if isinstance(event, SavePushed):
            self.said_applied = ""
        elif isinstance(event, SaveApplied):
            self.said_applied = event.revision
            if revision_of(self.cluster.applied_trees[-1]) != event.revision:
                self.broken_words.append(f"save {event.save} is not live")

    def see_applied(self, tree: dict[str, bytes]) -> None:
        if self.said_applied and revision_of(tree) != self.said_applied:
            self.broken_words.append("another tree came after the one that was called applied")

    async def write_for_ever(self) -> None:
        """Run one writer after another: each that is killed is followed by the next."""
        while True:
            self.writers += 1
            self.fuse.left = None
            self.said_applied = ""
            try:
                await self._one_writer(f"writer-{self.writers}")
            except BaseExceptionGroup as group:
                killed, others = group.split(Killed)
                if others is not None or killed is None:
                    raise

    async def _one_writer(self, holder: str) -> None:
        lease = self.fuse.guard(FakeLease(self.leases, holder))
        await lease.take(self.emit, take_over=True)
        ports = Ports(
            files=self.files,
            inspector=inspector(self.renderer),
            store=self.fuse.guard(self.store),
            flux=self.fuse.guard(FakeFlux(self.cluster)),
            lease=lease,
            emit=self.emit,
            confirm=yes,
            new_token=self.tokens,
        )
        await SaveLoop(ports, SyncSettings(target="app")).run()

    async def take(self, step: object) -> None:
        if isinstance(step, Write):
            self.files.write(step.path, step.content)
        elif isinstance(step, Delete) and step.path in self.files.files:
            self.files.delete(step.path)
        elif isinstance(step, Pass):
            await anyio.sleep(step.seconds)
        elif isinstance(step, Reconcile):
            self.cluster.poke_source()
        elif isinstance(step, Speeds):
            self.cluster.fetch_s, self.cluster.apply_s = step.fetch_s, step.apply_s
        elif isinstance(step, KillAfter):
            self.fuse.left, self.fuse.is_before = step.calls, step.is_before


def after(taken: list[object]) -> World:
    world = World()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.cluster.run)
            tasks.start_soon(world.write_for_ever)
            for step in taken:
                await world.take(step)
            await anyio.sleep(LONG_ENOUGH_S)
            tasks.cancel_scope.cancel()

    virtual_time.run(main)
    return world


def protocol(check: Callable[[World], None]) -> Callable[[], None]:
    @settings(max_examples=150, deadline=None)
    @given(steps)
    def run(taken: list[object]) -> None:
        check(after(taken))

    run.__name__ = check.__name__
    return run


@protocol
def test_the_cluster_only_ever_shows_a_whole_snapshot_that_passed_preflight(world: World) -> None:
    for tree in world.cluster.applied_trees:
        assert tree in world.renderer.passed


@protocol
def test_the_word_applied_is_never_wrong(world: World) -> None:
    assert world.broken_words == []


@protocol
def test_after_quiet_the_cluster_equals_a_tree_that_is_whole(world: World) -> None:
    files = world.files.files
    if BROKEN not in files.values() and objects_of(files):
        assert world.cluster.live == objects_of(files)


@protocol
def test_no_fence_is_left_once_a_whole_save_is_through(world: World) -> None:
    files = world.files.files
    if BROKEN not in files.values() and objects_of(files):
        assert not world.cluster.source.is_suspended
