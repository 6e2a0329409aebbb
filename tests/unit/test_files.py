"""Snapshots of real directories."""

from __future__ import annotations

import shutil
from pathlib import Path

import anyio
import pytest

from gitops_run.adapters.files import MAX_BYTES, Snapshot, WorkTree, find_root
from gitops_run.errors import UsageError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def work_tree(root: Path, tmp_path: Path) -> WorkTree:
    return WorkTree(root, tmp_path / "stage")


def snapshot(work_tree: WorkTree, *touched: str) -> Snapshot:
    return anyio.run(work_tree.snapshot, frozenset(touched))


def test_a_snapshot_holds_every_file_with_its_bytes(root: Path, work_tree: WorkTree) -> None:
    (root / "a").mkdir()
    (root / "a" / "b.yaml").write_bytes(b"x")
    (root / "empty.yaml").write_bytes(b"")
    taken = snapshot(work_tree)
    assert sorted(taken.tree.files) == ["a/b.yaml", "empty.yaml"]
    assert taken.read_bytes("a/b.yaml") == b"x"


def test_a_snapshot_stays_as_it_was_while_the_root_changes(root: Path, work_tree: WorkTree) -> None:
    (root / "a.yaml").write_bytes(b"old")
    taken = snapshot(work_tree)
    (root / "a.yaml").write_bytes(b"new")
    assert taken.read_bytes("a.yaml") == b"old"


def test_a_touched_file_is_read_again_even_where_its_times_look_the_same(
    root: Path, work_tree: WorkTree
) -> None:
    (root / "a.yaml").write_bytes(b"1")
    first = snapshot(work_tree).tree.digests["a.yaml"]
    (root / "a.yaml").write_bytes(b"2")
    assert snapshot(work_tree, "a.yaml").tree.digests["a.yaml"] != first


def test_a_deleted_file_leaves_the_snapshot_and_its_copy(root: Path, work_tree: WorkTree) -> None:
    (root / "a").mkdir()
    (root / "a" / "b.yaml").write_bytes(b"1")
    folder = snapshot(work_tree).folder
    (root / "a" / "b.yaml").unlink()
    assert snapshot(work_tree).tree.files == {}
    assert not (folder / "a").exists()


def test_a_file_may_become_a_folder_and_back(root: Path, work_tree: WorkTree) -> None:
    (root / "a.yaml").write_bytes(b"1")
    snapshot(work_tree)
    (root / "a.yaml").unlink()
    (root / "a.yaml").mkdir()
    (root / "a.yaml" / "b.yaml").write_bytes(b"2")
    assert snapshot(work_tree).read_bytes("a.yaml/b.yaml") == b"2"
    shutil.rmtree(root / "a.yaml")
    (root / "a.yaml").write_bytes(b"3")
    assert snapshot(work_tree).read_bytes("a.yaml") == b"3"


def test_ignored_files_are_left_out_and_their_rule_is_known(root: Path, work_tree: WorkTree) -> None:
    (root / ".gitignore").write_text("x*.yaml\n")
    (root / "x.yaml").write_bytes(b"1")
    (root / "y.yaml").write_bytes(b"1")
    taken = snapshot(work_tree)
    assert list(taken.tree.files) == ["y.yaml"]
    assert str(taken.hidden_by("x.yaml")) == "x*.yaml in .gitignore:1"


def test_a_link_within_the_root_is_followed_as_content(root: Path, work_tree: WorkTree) -> None:
    (root / "a.yaml").write_bytes(b"1")
    (root / "link.yaml").symlink_to("a.yaml")
    assert snapshot(work_tree).read_bytes("link.yaml") == b"1"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/etc/hostname", "this link leads out of the root"),
        ("nowhere", "this link leads nowhere"),
        (".", "this link leads back to a folder that holds it"),
    ],
)
def test_a_link_that_can_not_be_followed_is_a_problem(
    root: Path, work_tree: WorkTree, target: str, message: str
) -> None:
    (root / "link.yaml").symlink_to(target)
    assert [problem.message for problem in snapshot(work_tree).problems] == [message]


def test_a_root_that_is_gone_is_a_problem_and_not_an_empty_tree(root: Path, work_tree: WorkTree) -> None:
    root.rmdir()
    assert snapshot(work_tree).problems


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
            return await anext(batches)


def test_a_root_that_is_replaced_is_watched_again(root: Path, work_tree: WorkTree) -> None:
    assert anyio.run(a_change_after_the_root_was_replaced, root, work_tree) == {"new"}


def test_a_root_that_is_too_large_is_refused_before_it_is_read(root: Path, work_tree: WorkTree) -> None:
    with (root / "dump.yaml").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    taken = snapshot(work_tree)
    assert taken.problems[0].path == "dump.yaml"
    assert not (taken.folder / "dump.yaml").exists()


def test_the_root_is_the_git_work_tree_that_holds_the_target(root: Path) -> None:
    (root / ".git").mkdir()
    (root / "deploy").mkdir()
    assert find_root(root / "deploy") == root.resolve()


def test_a_target_outside_the_named_root_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="doesn't lie within"):
        find_root(tmp_path, root)


def test_a_file_that_vanishes_while_it_is_read_is_no_part_of_the_snapshot(
    root: Path, work_tree: WorkTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.yaml").write_bytes(b"1")
    (root / "b.yaml").write_bytes(b"1")

    def vanish(path: Path) -> bytes:
        if path.name == "b.yaml":
            path.unlink()
        with path.open("rb") as file:
            return file.read()

    monkeypatch.setattr(Path, "read_bytes", vanish)
    taken = snapshot(work_tree)
    assert (list(taken.tree.files), taken.problems) == (["a.yaml"], ())


def test_a_file_that_may_not_be_read_is_named_and_not_taken_for_deleted(
    root: Path, work_tree: WorkTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.yaml").write_bytes(b"1")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    (problem,) = snapshot(work_tree).problems
    assert str(problem) == "a.yaml: can't be read: Permission denied"
    assert "chmod" in problem.hint
