"""Rendering on a disk that refuses."""

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
