"""Rendering: what becomes of the copy that is rendered and then uploaded."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from gitops_run.adapters.files import WorkTree
from gitops_run.adapters.kubectl import Kustomize
from gitops_run.errors import TransientError
from gitops_run.model.problem import Problem
from tests.work_trees import snapshot, write


def test_a_disk_that_takes_no_working_files_is_tried_again_later(
    root: Path, work_tree: WorkTree, tmp_path: Path
) -> None:
    write(root, "kustomization.yaml", "resources: []")
    taken, no_folder = snapshot(work_tree), write(tmp_path, "a-file")

    with pytest.raises(TransientError, match="can't be written: Not a directory"):
        anyio.run(Kustomize("ns", no_folder / "work").render, taken, ".")


def test_a_rendering_that_is_cancelled_leaves_the_copy_as_it_was(
    root: Path, work_tree: WorkTree, tmp_path: Path
) -> None:
    write(root, "kustomization.yaml", "resources: []")
    taken = snapshot(work_tree)

    async def cancel() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await Kustomize("ns", tmp_path / "work").render(taken, ".")

    anyio.run(cancel)

    assert [path.name for path in taken.folder.iterdir()] == ["kustomization.yaml"]
    assert taken.read_text("kustomization.yaml") == "resources: []"


def test_a_rendering_without_a_kustomization_adds_nothing_to_the_copy(
    root: Path, work_tree: WorkTree, tmp_path: Path
) -> None:
    write(root, "a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    taken = snapshot(work_tree)

    rendered = anyio.run(Kustomize("ns", tmp_path / "work").render, taken, ".")

    assert rendered == "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: ns\n"
    assert [path.name for path in taken.folder.iterdir()] == ["a.yaml"]


def test_an_error_of_the_kustomization_is_told_by_the_lines_of_its_author(
    root: Path, work_tree: WorkTree, tmp_path: Path
) -> None:
    write(root, "kustomization.yaml", "# a comment\n\nresources: [a.yaml\n")
    problem = anyio.run(Kustomize("ns", tmp_path / "work").render, snapshot(work_tree), ".")
    assert str(problem).startswith("kustomization.yaml:4: not valid YAML: ")


CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


def test_a_directory_where_flux_has_to_write_its_kustomization_is_refused(
    root: Path, work_tree: WorkTree, tmp_path: Path
) -> None:
    write(root, "kustomization.yaml/a.yaml", CONFIG)
    found = anyio.run(Kustomize("ns", tmp_path / "work").render, snapshot(work_tree), ".")
    assert isinstance(found, Problem)
    assert found.path == "kustomization.yaml"
    assert "this is a directory" in found.message
    assert found.hint


def test_such_a_directory_is_no_obstacle_where_flux_writes_nothing(
    root: Path, work_tree: WorkTree, tmp_path: Path
) -> None:
    write(root, "kustomization.yaml/a.yaml", CONFIG)
    write(root, "kustomization.yml", "resources: [kustomization.yaml/a.yaml]")
    found = anyio.run(Kustomize("ns", tmp_path / "work").render, snapshot(work_tree), ".")
    assert isinstance(found, str)
    assert "name: a" in found


def test_such_a_directory_further_down_is_a_directory_like_others(
    root: Path, work_tree: WorkTree, tmp_path: Path
) -> None:
    write(root, "sub/kustomization.yaml/a.yaml", CONFIG)
    found = anyio.run(Kustomize("ns", tmp_path / "work").render, snapshot(work_tree), ".")
    assert isinstance(found, str)
    assert "name: a" in found
