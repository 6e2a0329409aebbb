"""Nothing in a tree ends or stalls a sync: each thing here is a problem of the save, or ignored as by git."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

import gitops_run.adapters.files.disk as disk_module
import gitops_run.adapters.files.root as root_module
from gitops_run.adapters.files import WorkTree, find_root
from gitops_run.adapters.files.reading import read_regular
from gitops_run.errors import UsageError
from gitops_run.model.text.problem import Problem
from tests.work_trees import snapshot, write

NOT_UTF8 = os.fsdecode(b"caf\xe9.yaml")


def bind(path: Path) -> None:
    """Make a socket; its path may be longer than sockets take."""
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


THINGS: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a socket": bind,
    "a link to a pipe": lambda path: (os.mkfifo(f"{path}-pipe"), path.symlink_to(f"{path}-pipe")),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a folder": Path.mkdir,
}
NAMED = ["kustomization.yaml", "a.yaml", "values.txt"]


@pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS)
@pytest.mark.parametrize("name", [".gitignore", ".sourceignore", "app/.gitignore", ".git"])
def test_a_file_of_rules_that_is_no_file_has_no_rules(
    root: Path, app: WorkTree, name: str, thing: Callable[[Path], object]
) -> None:
    thing(root / name)
    taken = snapshot(app)
    assert sorted(taken.tree.files) == ["app/kustomization.yaml", "shared/a.yaml"]
    assert taken.problems == ()


@pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS)
@pytest.mark.parametrize("name", NAMED)
def test_a_file_that_is_needed_and_is_no_file_is_a_problem_or_missing(
    root: Path, work_tree: WorkTree, name: str, thing: Callable[[Path], object]
) -> None:
    text = "resources: [a.yaml]\nconfigMapGenerator: [{name: a, files: [values.txt]}]\n"
    write(root, "kustomization.yaml", text)
    write(root, "a.yaml", "a: b")
    write(root, "values.txt", "a")
    (root / name).unlink()
    thing(root / name)
    taken = snapshot(work_tree)
    assert name not in taken.tree.files


def test_a_link_that_names_the_rules_is_not_followed_as_git_does_not(root: Path, app: WorkTree) -> None:
    write(root, "rules", "a.yaml")
    (root / ".gitignore").symlink_to("rules")
    assert "shared/a.yaml" in snapshot(app).tree.files


def test_rules_of_any_size_are_refused_and_not_read(
    root: Path, app: WorkTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root_module, "RULES_BYTES_MAX", 1024)
    with write(root, ".gitignore").open("r+b") as file:
        file.truncate(2**30)
    (problem,) = snapshot(app).problems
    assert str(problem) == ".gitignore: its rules can't be read: it is larger than 0.000976562 MiB"
    write(root, ".gitignore", "other")
    assert snapshot(app).problems == ()


def test_rules_that_were_too_large_are_forgotten_with_their_folder(
    root: Path, work_tree: WorkTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root_module, "RULES_BYTES_MAX", 10)
    write(root, "b/.gitignore", "#" * 11)
    assert [problem.path for problem in snapshot(work_tree).problems] == ["b/.gitignore"]
    shutil.rmtree(root / "b")
    write(root, ".gitignore", "c")
    assert snapshot(work_tree).problems == ()


def test_a_kustomization_of_any_size_is_refused_and_not_parsed(
    root: Path, app: WorkTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_module, "TEXT_BYTES_MAX", 1024 * 1024)
    write(root, "app/kustomization.yaml", "#" * (1024 * 1024 + 1))
    problem = snapshot(app).problems[0]
    assert str(problem) == "app/kustomization.yaml: can't be read: it is larger than 1 MiB"


@pytest.mark.parametrize("folder", ["many", "many/{}"])
def test_folders_of_any_size_are_refused(
    root: Path, work_tree: WorkTree, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setattr(disk_module, "NAMES_MAX", 6)
    for number in range(7):
        write(root, f"{folder.format(number)}/{number}.yaml")
    problems = snapshot(work_tree).problems
    assert problems[0].message == "with this folder, more than 6 files and folders are needed"


def test_folders_of_any_depth_are_refused(root: Path, work_tree: WorkTree) -> None:
    write(root, "a/" * 200 + "a.yaml")
    (problem,) = snapshot(work_tree).problems
    assert problem.message == "this folder is nested deeper than 128 others"


def test_deep_folders_that_are_ignored_are_no_problem(root: Path, work_tree: WorkTree) -> None:
    write(root, "a/" * 200 + "a.yaml")
    write(root, ".gitignore", "a")
    assert snapshot(work_tree).problems == ()


@pytest.mark.parametrize("path", ["a/" * 2_000 + "a.yaml", "a" * 4_000, "a/" * 400_000])
def test_a_kustomization_may_name_a_path_of_any_length(root: Path, app: WorkTree, path: str) -> None:
    write(root, "app/kustomization.yaml", f"resources:\n- {path}\n")
    (problem,) = snapshot(app).problems
    assert str(problem) == "app/kustomization.yaml:2: resources names a path that is too long or too deep"


def test_a_name_that_is_not_utf8_is_a_problem_where_it_is_needed(root: Path, work_tree: WorkTree) -> None:
    write(root, NOT_UTF8)
    (problem,) = snapshot(work_tree).problems
    assert problem.path.isprintable()
    str(problem).encode()


def test_a_name_that_is_not_utf8_is_no_problem_where_it_is_not_needed(root: Path, app: WorkTree) -> None:
    write(root, f"app/{NOT_UTF8}")
    assert snapshot(app).problems == ()


def test_a_problem_can_be_printed_whatever_is_in_its_path() -> None:
    problem = Problem(path=NOT_UTF8, message=NOT_UTF8, hint="\ud800")
    f"{problem} {problem.hint}".encode()


def test_a_root_whose_name_is_not_utf8_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    with pytest.raises(UsageError, match="name is not UTF-8"):
        find_root(folder)


async def batch_after_each(
    work_tree: WorkTree, changes: Sequence[Callable[[], object]]
) -> list[frozenset[str]]:
    """Make changes one by one, and wait for the batch that each causes."""
    found = []
    await work_tree.snapshot()
    batches = work_tree.batches()
    with anyio.fail_after(20):
        for change in changes:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.to_thread.run_sync, change)
                found.append(await anext(batches))
    return found


@pytest.mark.parametrize("folder", ["app", "shared", ""])
def test_a_watch_survives_names_that_are_not_utf8(root: Path, app: WorkTree, folder: str) -> None:
    def create() -> None:
        write(root / folder, NOT_UTF8)

    def remove() -> None:
        (root / folder / NOT_UTF8).unlink()

    def edit() -> None:
        write(root, "shared/a.yaml", "new")

    batches = anyio.run(batch_after_each, app, [create, edit, remove, edit])
    assert frozenset() in batches


def test_a_folder_whose_name_is_not_utf8_keeps_nobody_from_watching(root: Path, work_tree: WorkTree) -> None:
    write(root, os.fsdecode(b"caf\xe9/a.txt"))
    write(root, "a.yaml", "1")
    assert anyio.run(batch_after_each, work_tree, [lambda: write(root, "a.yaml", "2")]) == [{"a.yaml"}]


def test_rules_without_an_end_are_refused(root: Path, app: WorkTree) -> None:
    (root / ".sourceignore").symlink_to("/proc/self/pagemap")
    (problem,) = snapshot(app).problems
    assert str(problem) == ".sourceignore: its rules can't be read: it is larger than 0.25 MiB"


def test_a_file_that_grows_without_an_end_is_read_to_its_limit(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="larger than 1 MiB"):
        read_regular(write(tmp_path, "a", "a" * (2**20 + 1)), 2**20)


@pytest.mark.parametrize("method", ["is_dir", "exists"])
def test_a_root_that_may_not_be_seen_any_more_is_a_problem(
    root: Path, app: WorkTree, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", path)

    snapshot(app)
    monkeypatch.setattr(Path, method, refuse)
    snapshot(app)
