"""What wakes a session: events of real directories, as the kernel tells them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import watchfiles

import gitops_run.adapters.files.work_tree as work_tree_module
from gitops_run.adapters.files import WorkTree
from gitops_run.model.state.events import WatchLimited
from gitops_run.model.tree.snapshot import Snapshot
from tests.work_trees import snapshot, write


def replace(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


async def a_change_after_the_root_was_replaced(root: Path, work_tree: WorkTree) -> frozenset[str]:
    batches = work_tree.batches()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, replace, root)
        with anyio.fail_after(20):
            while await anext(batches):
                pass
        tasks.start_soon(anyio.to_thread.run_sync, (root / "new").write_bytes, b"1")
        with anyio.fail_after(20):
            batch = await anext(batches)
    return batch


def test_a_root_that_is_replaced_is_watched_again(root: Path, work_tree: WorkTree) -> None:
    assert anyio.run(a_change_after_the_root_was_replaced, root, work_tree) == {"new"}


async def first_batch(work_tree: WorkTree, change: Callable[[], object]) -> frozenset[str]:
    """Wait for the first batch after a change that the watch of an earlier snapshot sees."""
    await work_tree.snapshot()
    found: list[frozenset[str]] = []

    async def watch() -> None:
        found.append(await anext(work_tree.batches()))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await anyio.lowlevel.checkpoint()
            await anyio.to_thread.run_sync(change)
    return found[0]


async def woken(work_tree: WorkTree, change: Callable[[], object]) -> Snapshot:
    """Take a snapshot as soon as a change is seen."""
    return await work_tree.snapshot(await first_batch(work_tree, change))


async def batch_after_watches_moved(work_tree: WorkTree) -> frozenset[str]:
    found: list[frozenset[str]] = []

    async def watch() -> None:
        found.append(await anext(work_tree.batches()))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await anyio.lowlevel.checkpoint()
            await work_tree.snapshot()
    return found[0]


def test_a_look_is_asked_for_when_other_folders_come_to_be_watched(app: WorkTree) -> None:
    assert anyio.run(batch_after_watches_moved, app) == frozenset()


def over(file: Path, content: str) -> None:
    """Write as careful editors do: beside, then over."""
    write(file.parent, f"{file.name}.new", content).rename(file)


CHANGES: dict[str, Callable[[Path], object]] = {
    "an edit": lambda root: write(root, "shared/a.yaml", "2"),
    "an edit by rename": lambda root: over(root / "shared" / "a.yaml", "2"),
    "a removal": lambda root: (root / "shared" / "a.yaml").unlink(),
    "a moved folder": lambda root: (root / "shared").rename(root / "moved"),
    "a removed target": lambda root: shutil.rmtree(root / "app"),
    "git's exclude file": lambda root: write(root, ".git/info/exclude", "a.yaml"),
    "a rule": lambda root: write(root, "shared/.gitignore", "a.yaml"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_what_is_needed_wakes(
    root: Path, app: WorkTree, change: Callable[[Path], object]
) -> None:
    write(root, ".git/info/exclude")
    before = snapshot(app).tree
    assert anyio.run(woken, app, lambda: change(root)).tree != before


def test_an_edit_of_a_links_real_file_wakes(root: Path, app: WorkTree) -> None:
    real = write(root, "deep/down/real.yaml", "1")
    (root / "shared" / "a.yaml").unlink()
    (root / "shared" / "a.yaml").symlink_to("../deep/down/real.yaml")
    taken = anyio.run(woken, app, lambda: real.write_text("2"))
    assert taken.read_bytes("shared/a.yaml") == b"2"


def test_a_file_that_was_missing_wakes_when_it_comes(root: Path, app: WorkTree) -> None:
    shutil.rmtree(root / "shared")
    elsewhere = write(root.parent, "elsewhere/a.yaml", "1").parent
    taken = anyio.run(woken, app, lambda: elsewhere.rename(root / "shared"))
    assert "shared/a.yaml" in taken.tree.files


def test_a_target_that_was_removed_and_came_back_is_watched_again(root: Path, app: WorkTree) -> None:
    def again() -> None:
        shutil.rmtree(root / "app")
        write(root, "app/kustomization.yaml", "resources: []")

    assert list(anyio.run(woken, app, again).tree.files) == ["app/kustomization.yaml"]


def test_a_change_of_what_nobody_needs_wakes_nobody(root: Path, app: WorkTree) -> None:
    def change() -> None:
        write(root, "other/b.yaml", "2")
        write(root, "app/notes.txt", "2")
        write(root, "shared/a.yaml", "2")

    assert anyio.run(first_batch, app, change) == {"shared/a.yaml"}


def test_a_flood_of_events_wakes_whatever_it_is_about(
    root: Path, app: WorkTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_tree_module, "FLOOD", 1)

    def flood() -> None:
        for number in range(20):
            write(root, f"app/{number}.txt")

    anyio.run(woken, app, flood)


def test_a_rule_above_the_root_wakes(root: Path, tmp_path: Path, app: WorkTree) -> None:
    (tmp_path / ".git").mkdir()
    taken = anyio.run(woken, app, lambda: write(tmp_path, ".gitignore", "shared"))
    assert "shared/a.yaml" not in taken.tree.files


def test_folders_that_the_system_does_not_watch_are_looked_at_now_and_then(
    root: Path, tmp_path: Path, app: WorkTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*folders: str, **options: object) -> None:
        raise RuntimeError("OS file watch limit reached.")

    told: list[WatchLimited] = []
    monkeypatch.setattr(work_tree_module, "POLL_S", 0.01)
    monkeypatch.setattr(watchfiles, "awatch", refuse)
    work_tree = WorkTree(root, tmp_path / "stage", "app", report=told.append)

    async def edits_seen() -> None:
        batches = work_tree.batches()
        with anyio.fail_after(20):
            assert await anext(batches) == frozenset()
            await work_tree.snapshot()
            for number in range(3):
                write(root, "shared/a.yaml", f"edit {number}")
                assert await anext(batches) == frozenset()
                assert (await work_tree.snapshot()).read_text("shared/a.yaml") == f"edit {number}"

    anyio.run(edits_seen)
    assert [event.message.rpartition(": ")[2] for event in told] == ["OS file watch limit reached."]


def test_the_system_s_watch_is_taken_again_once_it_is_there(
    root: Path, app: WorkTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, refusals = watchfiles.awatch, [RuntimeError("OS file watch limit reached.")]

    def limited(*folders: str, **options: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return watch(*folders, **options)

    monkeypatch.setattr(watchfiles, "awatch", limited)

    async def edit_seen() -> frozenset[str]:
        await app.snapshot()
        batches = app.batches()
        with anyio.fail_after(20):
            assert await anext(batches) == frozenset()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.to_thread.run_sync, write, root, "shared/a.yaml", "new")
                batch = await anext(batches)
        return batch

    assert anyio.run(edit_seen) == {"shared/a.yaml"}
