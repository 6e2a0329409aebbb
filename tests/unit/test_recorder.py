"""What a sync publishes of itself: when, how often, and what happens where it can't."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from gitops_run.adapters.files.git import look_at_work_tree, parse_status
from gitops_run.errors import BackendError, GitOpsRunError, LockedError, TransientError
from gitops_run.flows.recorder import RECORD_EVERY_S, STATE_EVERY_S, Recorder
from gitops_run.model.state.envelope import EventStream, Stamp
from gitops_run.model.state.events import (
    Event,
    RecordFailed,
    SaveBroken,
    SaveUploading,
    SessionExpiring,
    SessionIdle,
    WorkTreeSeen,
)
from gitops_run.model.state.record import Record
from gitops_run.model.state.texts import parse_record, parse_summary
from gitops_run.model.text.problem import Problem
from tests.virtual_time import scenario

SEEN = WorkTreeSeen(branch="main", commit="abc", is_dirty=True)


@dataclass
class FakeMaps:
    """The two ConfigMaps. written: when and what, by which. error: raised instead of a write."""

    written: list[tuple[str, float, str]] = field(default_factory=list)
    error: GitOpsRunError | None = None

    async def write_state(self, text: str) -> None:
        await self._write("state", text)

    async def write_record(self, text: str) -> None:
        await self._write("record", text)

    async def _write(self, which: str, text: str) -> None:
        await anyio.sleep(0.01)
        if self.error is not None:
            raise self.error
        self.written.append((which, anyio.current_time(), text))

    def times(self, which: str) -> list[float]:
        return [when for one, when, _ in self.written if one == which]

    def last(self, which: str) -> str:
        return [text for one, _, text in self.written if one == which][-1]


@dataclass
class Scene:
    maps: FakeMaps
    events: EventStream
    told: list[Event]
    recorder: Recorder

    def breaks(self, number: int) -> None:
        problem = Problem(message="not valid YAML", path="app.yaml", line=3)
        self.events.emit(SaveBroken(save=number, paths=("app.yaml",), problems=(problem,)))

    def failures(self) -> list[str]:
        return [event.message for event in self.told if isinstance(event, RecordFailed)]


@asynccontextmanager
async def recording(maps: FakeMaps | None = None, earlier: Record | None = None) -> AsyncIterator[Scene]:
    told: list[Event] = []
    maps = maps or FakeMaps()
    events = EventStream(Stamp("web", lambda: "now"), lambda envelope: told.append(envelope.event))

    async def look() -> WorkTreeSeen:
        return SEEN

    recorder = Recorder(maps, anyio.lowlevel.checkpoint, look, earlier)
    events.listen(recorder.hear)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(recorder.run, events.emit)
        yield Scene(maps, events, told, recorder)
        tasks.cancel_scope.cancel()


@scenario
async def test_what_decides_a_save_is_published_at_once_with_its_file_and_line() -> None:
    async with recording() as scene:
        began = anyio.current_time()
        scene.breaks(1)
        await anyio.sleep(0.1)
        summary = parse_summary(scene.maps.last("state"))
        assert summary is not None
        assert summary.last is not None
        assert summary.last.problem == "app.yaml:3: not valid YAML"
        assert scene.maps.times("state")[0] - began < 0.1
        assert scene.maps.times("record")[0] - began < 0.1


@scenario
async def test_the_record_is_written_seldom_and_its_last_state_always() -> None:
    async with recording() as scene:
        for number in range(1, 31):
            scene.breaks(number)
            await anyio.sleep(0.3)
        await anyio.sleep(RECORD_EVERY_S)
        for which, every_s in (("state", STATE_EVERY_S), ("record", RECORD_EVERY_S)):
            times = scene.maps.times(which)
            assert min(b - a for a, b in pairwise(times)) >= every_s
        record = parse_record(scene.maps.last("record"))
        assert record is not None
        assert record.saves[-1].number == 30


@scenario
async def test_a_warning_of_the_end_or_of_a_suspension_is_in_the_record() -> None:
    async with recording() as scene:
        scene.events.emit(SessionExpiring(expires="2026-11-26T18:00:00Z", seconds=60, hint=""))
        scene.events.emit(SessionIdle(until="2026-11-26T17:00:00Z", seconds=60, hint=""))
        await anyio.sleep(RECORD_EVERY_S * 2)
        record = parse_record(scene.maps.last("record"))
        assert record is not None
        assert record.warned == "2026-11-26T18:00:00Z"
        assert record.warned_idle == "2026-11-26T17:00:00Z"


@scenario
async def test_what_decides_nothing_is_not_written() -> None:
    async with recording() as scene:
        scene.events.emit(SaveUploading(save=1, files=1, size=1, percent=50))
        await anyio.sleep(60)
        assert scene.maps.written == []


@scenario
async def test_the_git_work_tree_is_reported_once_where_it_is_the_same() -> None:
    async with recording() as scene:
        for number in (1, 2, 3):
            scene.breaks(number)
            await anyio.sleep(RECORD_EVERY_S)
        assert [event for event in scene.told if isinstance(event, WorkTreeSeen)] == [SEEN]
        assert scene.recorder.summary.branch == "main"


@scenario
async def test_a_write_that_is_not_allowed_is_reported_once() -> None:
    async with recording(FakeMaps(error=BackendError("forbidden"))) as scene:
        for number in range(1, 5):
            scene.breaks(number)
            await anyio.sleep(RECORD_EVERY_S)
        assert scene.failures() == ["forbidden"]


@scenario
async def test_a_write_that_failed_for_a_while_is_tried_again() -> None:
    async with recording(FakeMaps(error=TransientError("away"))) as scene:
        scene.breaks(1)
        await anyio.sleep(RECORD_EVERY_S)
        scene.maps.error = None
        await anyio.sleep(2 * RECORD_EVERY_S)
        assert {which for which, _, _ in scene.maps.written} == {"state", "record"}
        assert scene.failures() == []


@scenario
async def test_who_has_lost_the_session_writes_nothing_more() -> None:
    async with recording(FakeMaps(error=LockedError("taken over"))) as scene:
        scene.breaks(1)
        await anyio.sleep(RECORD_EVERY_S)
        scene.maps.error = None
        scene.breaks(2)
        await anyio.sleep(2 * RECORD_EVERY_S)
        assert (scene.maps.written, scene.failures()) == ([], [])


@scenario
async def test_the_end_of_a_sync_publishes_what_was_not_yet() -> None:
    async with recording() as scene:
        scene.breaks(1)
        await anyio.sleep(0.1)
        scene.breaks(2)
        await scene.recorder.finish()
    record = parse_record(scene.maps.last("record"))
    assert record is not None
    assert [save.number for save in record.saves] == [1, 2]


@scenario
async def test_a_sync_that_nothing_happened_in_leaves_the_record_as_it_is() -> None:
    async with recording(earlier=Record(run=3)) as scene:
        await scene.recorder.finish()
    assert scene.maps.written == []


def git(folder: Path, *arguments: str) -> None:
    name = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True)


def looked(root: Path | None) -> WorkTreeSeen | None:
    return anyio.run(look_at_work_tree, root, dict(os.environ))


def test_git_tells_branch_commit_and_whether_anything_in_the_root_differs(tmp_path: Path) -> None:
    root = tmp_path / "app"
    root.mkdir()
    git(tmp_path, "init", "-q", "-b", "main")
    (root / "a").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    (tmp_path / "beside").write_text("not in the root")
    clean = looked(root)
    (root / "b").write_text("2")
    dirty = looked(root)
    assert clean is not None
    assert dirty is not None
    assert (clean.branch, len(clean.commit), clean.is_dirty, dirty.is_dirty) == ("main", 40, False, True)


@pytest.mark.parametrize("root", [None, Path("/nowhere")])
def test_where_git_says_nothing_there_is_no_work_tree(root: Path | None, tmp_path: Path) -> None:
    assert looked(root) is None
    assert looked(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# branch.oid (initial)\n# branch.head main\n", ("main", "", False)),
        ("# branch.oid abc\n# branch.head (detached)\n", ("", "abc", False)),
        ("# branch.oid abc\n# branch.head a b\n? x\n", ("a b", "abc", True)),
    ],
)
def test_what_git_prints_is_read(text: str, expected: tuple[str, str, bool]) -> None:
    seen = parse_status(text)
    assert (seen.branch, seen.commit, seen.is_dirty) == expected
