"""The save protocol's promises under random edits, kills between any two steps, and restarts."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_run.errors import GuardError, LockedError, TransientError, ungrouped
from gitops_run.flows.health import HealthFollower
from gitops_run.flows.sync import Ports, SaveLoop, SyncSettings
from gitops_run.model.state.events import Event, SaveApplied
from tests import virtual_time
from tests.fake_cluster_checks import inspector
from tests.fakes import (
    BROKEN,
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
    Killed,
    counting_tokens,
    objects_of,
    revision_of,
)

CASES = int(os.environ.get("GITOPS_RUN_PROTOCOL_CASES", "40"))
LONG_ENOUGH_S = 120.0
"""After the last trouble: the longest that a loop backs off, waits for a fence or for a lease."""


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
    """How long one PUT, a fetch and an application take."""

    put_s: float
    fetch_s: float
    apply_s: float


@dataclass(frozen=True)
class Outage:
    """A service answers nothing for a while; is_late: the first call takes effect, and its answer is lost."""

    service: str
    seconds: float
    is_late: bool


@dataclass(frozen=True)
class Empty:
    """Somebody empties the store, and Flux looks."""


@dataclass(frozen=True)
class Replace:
    """The store's pod is replaced by one that holds nothing; Flux doesn't look."""


@dataclass(frozen=True)
class Freeze:
    """The writer's process is stopped, between any two of its calls, and goes on later."""

    seconds: float


@dataclass(frozen=True)
class StopAfter:
    """The writer's process is stopped at its so-manieth step from here on, and goes on later."""

    steps: int
    seconds: float


@dataclass(frozen=True)
class Stall:
    """The store holds each put for a while."""

    put_s: float
    seconds: float


@dataclass(frozen=True)
class TakeOver:
    """A second writer takes the session."""


paths = st.sampled_from(["app/a", "app/a", "app/b", "app/c", "other"])
contents = st.sampled_from([b"1", b"1", b"2", b"2", BROKEN])
pauses = st.builds(Pass, st.sampled_from([0.02, 0.1, 0.15, 0.2, 0.3, 0.5, 3.0]))
writes = st.builds(Write, paths, contents)
saves = st.tuples(st.lists(writes, min_size=1, max_size=3), pauses).map(lambda save: [*save[0], save[1]])
troubles: dict[str, st.SearchStrategy[Any]] = {
    "reconcile": st.builds(Reconcile),
    "delete": st.builds(Delete, paths),
    "kill": st.builds(KillAfter, st.integers(1, 12), st.booleans()),
    "outage": st.builds(
        Outage,
        st.sampled_from(["store", "cluster", "controllers"]),
        st.sampled_from([0.1, 1.0, 30.0]),
        st.booleans(),
    ),
    "empty": st.builds(Empty),
    "replace": st.builds(Replace),
    "freeze": st.builds(Freeze, st.sampled_from([5.0, 25.0, 40.0, 3600.0])),
    "stall": st.builds(Stall, st.sampled_from([4.0, 9.0, 15.0]), st.sampled_from([10.0, 60.0])),
    "take over": st.builds(TakeOver),
}
speeds = st.builds(
    Speeds,
    st.sampled_from([0.01, 0.1]),
    st.sampled_from([0.01, 0.05, 0.4]),
    st.sampled_from([0.05, 0.3, 2.0]),
)


def steps_with(kinds: list[str]) -> st.SearchStrategy[list[Any]]:
    """Saves, and a few kinds of trouble alone: where all of them happen at once, they hide each other."""
    trouble = st.one_of([troubles[kind] for kind in kinds]).map(lambda step: [step])
    parts = st.lists(st.one_of(saves, saves, trouble), max_size=16)
    return st.tuples(speeds, parts).map(lambda found: [found[0], *itertools.chain(*found[1])])


steps = st.lists(st.sampled_from(sorted(troubles)), min_size=1, max_size=2, unique=True).flatmap(steps_with)


class Troubles:
    """What befalls one writer's calls: a kill after so many of them, a service that is away, a sleep."""

    def __init__(self, outages: dict[str, Outage]) -> None:
        self.left: int | None = None
        self.is_before = False
        self.frozen_until = 0.0
        self.stop: StopAfter | None = None
        self._outages = outages

    def guard(self, port: Any, service: str) -> Any:
        return _Guarded(port, self, service)

    async def stopped(self) -> None:
        """Wait for as long as the writer's process is stopped: this is between two of its steps."""
        if self.stop is not None:
            self.stop = replace(self.stop, steps=self.stop.steps - 1)
            if self.stop.steps <= 0:
                self.frozen_until = anyio.current_time() + self.stop.seconds
                self.stop = None
        await anyio.sleep(max(0.0, self.frozen_until - anyio.current_time()))

    def burns(self) -> bool:
        if self.left is None:
            return False
        self.left -= 1
        return self.left <= 0

    def outage(self, service: str) -> Outage | None:
        found = self._outages.get(service)
        return found if found is not None and anyio.current_time() < found.seconds else None

    def answered(self, service: str, outage: Outage) -> None:
        self._outages[service] = replace(outage, is_late=False)


class _Guarded:
    def __init__(self, port: Any, troubles: Troubles, service: str) -> None:
        self._port, self._troubles, self._service = port, troubles, service

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name in {"admitting", "changed", "news", "keep", "note"} or not callable(found):
            return found

        async def call(*arguments: Any, **named: Any) -> Any:
            troubles = self._troubles
            await troubles.stopped()
            is_burnt = troubles.burns()
            if is_burnt and troubles.is_before:
                raise Killed
            outage = troubles.outage(self._service)
            if outage is not None and not outage.is_late:
                await anyio.sleep(0.01)
                raise TransientError(f"{self._service} is away")
            result = await found(*map(self._interrupted, arguments), **named)
            if is_burnt:
                raise Killed
            if outage is not None:
                troubles.answered(self._service, outage)
                raise TransientError(f"{self._service} went away amid {name}")
            return result

        return call

    def _interrupted(self, argument: Any) -> Any:
        """Let the process be stopped before it asks for the permit that one request needs, too."""
        if not callable(argument):
            return argument

        async def permit() -> None:
            await self._troubles.stopped()
            await argument()

        return permit


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
        self.outages: dict[str, Outage] = {}
        self.troubles = Troubles(self.outages)
        self.writers = 0
        self.tokens = counting_tokens()
        self.said_applied = ""
        self.trouble_until = 0.0
        self.broken_words: list[str] = []
        self.cluster.on_apply = self.see_applied
        self.store.on_write = self.see_write

    def emit(self, event: Event) -> None:
        """Hold the loop to its word: what it calls applied is live, and stays until the store changes."""
        if isinstance(event, SaveApplied):
            self.said_applied = event.revision
            if revision_of(self.cluster.applied_trees[-1]) != event.revision:
                self.broken_words.append(f"save {event.save} is not live")

    def see_write(self) -> None:
        self.said_applied = ""

    def see_applied(self, tree: dict[str, bytes]) -> None:
        if self.said_applied and revision_of(tree) != self.said_applied:
            self.broken_words.append("another tree came after the one that was called applied")

    async def write_for_ever(self, tasks: TaskGroup) -> None:
        """Run a writer; one that is killed, or that lost the session's services, is followed by the next."""
        self.writers += 1
        holder, self.troubles = f"writer-{self.writers}", Troubles(self.outages)
        self.said_applied = ""
        try:
            with ungrouped():
                await self._one_writer(holder, self.troubles)
        except LockedError:
            return  # taken over: the other one goes on
        except (Killed, TransientError, GuardError):
            self.leases.dead.add(holder)
        except BaseExceptionGroup as group:
            if group.split((Killed, TransientError, GuardError, LockedError))[1] is not None:
                raise
            self.leases.dead.add(holder)
        await anyio.sleep(0.5)
        tasks.start_soon(self.write_for_ever, tasks)

    async def _one_writer(self, holder: str, troubles: Troubles) -> None:
        lease = troubles.guard(FakeLease(self.leases, holder, troubles.stopped), "cluster")
        await lease.take(self.emit, take_over=True)
        ports = Ports(
            files=self.files,
            inspector=inspector(self.renderer),
            store=troubles.guard(self.store, "store"),
            store_watch=self.store,
            flux=troubles.guard(FakeFlux(self.cluster, troubles.stopped), "cluster"),
            lease=lease,
            emit=self.emit,
            confirm=yes,
            health=HealthFollower(FakeHealth(), self.emit),
            history=FakeHistory(),
            carrier=FakeCarrier(),
            new_token=self.tokens,
        )
        await SaveLoop(ports, SyncSettings(target="app")).run()

    async def take(self, step: object, tasks: TaskGroup) -> None:
        match step:
            case Write():
                self.files.write(step.path, step.content)
            case Delete() if step.path in self.files.files:
                self.files.delete(step.path)
            case Pass():
                await anyio.sleep(step.seconds)
            case TakeOver():
                tasks.start_soon(self.write_for_ever, tasks)
            case StopAfter():
                self.troubles.stop = step
                self.trouble_for(step.seconds)
            case KillAfter():
                self.troubles.left, self.troubles.is_before = step.calls, step.is_before
            case _:
                self.befall(step)

    def befall(self, step: object) -> None:
        match step:
            case Reconcile():
                self.cluster.poke_source()
            case Speeds():
                self.store.put_s = step.put_s
                self.cluster.fetch_s, self.cluster.apply_s = step.fetch_s, step.apply_s
            case Empty():
                self.see_write()
                self.store.content.clear()
                self.cluster.poke_source()
            case Replace():
                self.see_write()
                self.store.begin_anew()
            case Outage(service="controllers"):
                self.cluster.paused_until = self.trouble_for(step.seconds)
            case Outage():
                self.outages[step.service] = replace(step, seconds=self.trouble_for(step.seconds))
            case Stall():
                self.store.stall_s = step.put_s
                self.store.stalled_until = self.trouble_for(step.seconds)
            case Freeze():
                self.troubles.frozen_until = self.trouble_for(step.seconds)

    def trouble_for(self, seconds: float) -> float:
        until = anyio.current_time() + seconds
        self.trouble_until = max(self.trouble_until, until)
        return until


def after(taken: list[object]) -> World:
    world = World()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.cluster.run)
            tasks.start_soon(world.write_for_ever, tasks)
            for step in taken:
                await world.take(step, tasks)
            await anyio.sleep(max(0.0, world.trouble_until - anyio.current_time()) + LONG_ENOUGH_S)
            tasks.cancel_scope.cancel()

    virtual_time.run(main)
    return world


def protocol(check: Callable[[World], None]) -> Callable[[], None]:
    @settings(max_examples=CASES, deadline=None)
    @given(steps)
    def run(taken: list[object]) -> None:
        check(after(taken))

    run.__name__ = check.__name__
    return run


def assert_unharmed(world: World) -> None:
    assert world.broken_words == []
    assert [tree for tree in world.cluster.applied_trees if tree not in world.renderer.passed] == []
    assert world.cluster.live == objects_of(world.files.files)
    assert not world.cluster.source.is_suspended
    assert world.store.content == {f"src/{path}": text for path, text in world.files.files.items()}


@pytest.mark.parametrize("put_s", [0.01, 4.0])
@pytest.mark.parametrize("steps", range(1, 31))
def test_a_writer_that_is_stopped_before_any_step_harms_nobody_who_takes_over(
    steps: int, put_s: float
) -> None:
    """Stop one amid a save of several waves and a deletion, and let the next one undo all of it."""
    first = [Write(path, b"1") for path in ("app/b", "app/c", "app/d", "other")]
    second = [Delete("app/d"), *(Write(path, b"3") for path in ("app/a", "app/b", "app/c", "other"))]
    third = [Write(path, b"4") for path in ("app/c", "app/d", "other")]
    stop = [Stall(put_s, 100.0), StopAfter(steps, 60.0)]
    assert_unharmed(after([*first, Pass(3.0), *stop, *second, Pass(0.5), TakeOver(), Pass(45.0), *third]))


several = st.lists(
    st.builds(Write, st.sampled_from(["app/a", "app/b", "app/c", "other"]), st.sampled_from([b"3", b"4"])),
    min_size=2,
    max_size=4,
    unique_by=lambda write: write.path,
)
take_overs = st.builds(
    lambda speed, stall, save, stop, pauses, edits: [
        *(speed, Pass(3.0), *stall, stop, *save, Pass(pauses[0]), TakeOver(), Pass(pauses[1]), *edits)
    ],
    speeds,
    st.lists(st.builds(Stall, st.sampled_from([4.0, 9.0]), st.just(60.0)), max_size=1),
    several,
    st.builds(StopAfter, st.integers(1, 30), st.sampled_from([25.0, 40.0, 60.0, 100.0])),
    st.tuples(st.sampled_from([0.1, 0.5, 3.0, 12.0]), st.sampled_from([0.1, 32.0, 45.0])),
    several,
)


@settings(max_examples=CASES // 3, deadline=None)  # each step was stopped at once above; these are variations
@given(take_overs)
def test_a_stopped_writer_harms_nobody_whatever_is_saved_meanwhile(taken: list[Any]) -> None:
    assert_unharmed(after(taken))


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


@protocol
def test_after_quiet_the_store_holds_the_tree(world: World) -> None:
    files = world.files.files
    if BROKEN not in files.values() and objects_of(files):
        assert world.store.content == {f"src/{path}": content for path, content in files.items()}
