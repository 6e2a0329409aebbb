"""An earlier snapshot is pushed through the save loop, once, under virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from gitops_run.errors import NotFound, ReconcileFailed, WaitTimeout
from gitops_run.flows.health import HealthFollower
from gitops_run.flows.sync import Ports, SyncSettings
from gitops_run.flows.undo import undo
from gitops_run.model.state.events import Event, SaveApplied
from gitops_run.model.tree.snapshot import Snapshot
from tests import virtual_time
from tests.fake_cluster_checks import inspector
from tests.fakes import (
    BROKEN,
    TARGET,
    FakeCarrier,
    FakeCluster,
    FakeFiles,
    FakeFlux,
    FakeHealth,
    FakeLease,
    FakeLeases,
    FakeRenderer,
    FakeSnapshot,
    FakeStore,
    counting_tokens,
    objects_of,
    revision_of,
)

TAKEN = "2026-01-02T03:04:05Z"
NOW = {f"{TARGET}/a": b"now"}


@dataclass
class Earlier(FakeSnapshot):
    taken: str = TAKEN
    folder: Path = Path()


@dataclass
class Past:
    """A history of one snapshot. recorded: what was kept again."""

    files: dict[str, bytes]
    recorded: list[str] = field(default_factory=list)

    async def keep(self, snapshot: Snapshot) -> None:
        """Have it already."""

    async def record(self, snapshot: Snapshot, revision: str) -> str:
        self.recorded.append(revision)
        return ""

    async def snapshot(self, revision: str) -> Earlier:
        if revision != revision_of(self.files):
            raise NotFound(revision)
        return Earlier(self.files)


class Place:
    """A session whose store holds NOW, and what an undo said and noted there."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.store.content = {f"src/{path}": content for path, content in NOW.items()}
        self.cluster = FakeCluster(self.store)
        self.lease = FakeLease(FakeLeases(holder="me"), "me")
        self.told: list[Event] = []

    async def undo_to(self, past: Past) -> None:
        async def confirm(question: str) -> bool:
            return False

        ports = Ports(
            files=FakeFiles(NOW),
            inspector=inspector(FakeRenderer()),
            store=self.store,
            flux=FakeFlux(self.cluster),
            lease=self.lease,
            emit=self.told.append,
            confirm=confirm,
            health=HealthFollower(FakeHealth(), self.told.append),
            history=past,
            carrier=FakeCarrier(),
            new_token=counting_tokens(),
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.cluster.run)
            try:
                await undo(ports, SyncSettings(target=TARGET), revision_of(past.files))
            finally:
                tasks.cancel_scope.cancel()


def undone(past: Past, place: Place | None = None, *, apply_s: float = 0.1) -> Place:
    async def main() -> Place:
        there = place or Place()
        there.cluster.apply_s = apply_s
        await there.undo_to(past)
        return there

    return virtual_time.run(main)


def test_an_undo_makes_the_earlier_snapshot_live() -> None:
    then = {f"{TARGET}/a": b"then", f"{TARGET}/b": b"b"}
    assert undone(Past(then)).cluster.live == objects_of(then)


def test_an_undo_tells_when_its_snapshot_was_taken() -> None:
    place = undone(Past({f"{TARGET}/a": b"then"}))
    assert [event.undone_to for event in place.told if isinstance(event, SaveApplied)] == [TAKEN]


def test_an_undo_leaves_the_history_as_it_is() -> None:
    past = Past({f"{TARGET}/a": b"then"})
    undone(past)
    assert past.recorded == []


def test_a_snapshot_that_flux_refuses_today_is_not_undone_to() -> None:
    past = Past({f"{TARGET}/a": b"refused"})
    with pytest.raises(ExceptionGroup) as caught:
        undone(past)
    assert caught.group_contains(ReconcileFailed, match="refused")
    assert past.recorded == []


def test_a_snapshot_that_is_refused_before_it_is_pushed_is_not_undone_to() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        undone(Past({f"{TARGET}/a": BROKEN}))
    assert caught.group_contains(ReconcileFailed, match="not valid YAML")


def test_a_snapshot_without_the_target_is_not_undone_to() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        undone(Past({"elsewhere": b"x"}))
    assert caught.group_contains((NotFound, ReconcileFailed))


def test_an_undo_ends_where_flux_stays_silent() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        undone(Past({f"{TARGET}/a": b"then"}), apply_s=10_000)
    assert caught.group_contains(WaitTimeout, match="within 60 s")
