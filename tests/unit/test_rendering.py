"""Rendering on a disk that refuses."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from gitops_run.adapters.files import WorkTree
from gitops_run.adapters.kubectl import Kustomize
from gitops_run.errors import TransientError
from tests.work_trees import snapshot, write


def test_a_disk_that_takes_no_working_files_is_tried_again_later(
    root: Path, work_tree: WorkTree, tmp_path: Path
) -> None:
    write(root, "kustomization.yaml", "resources: []")
    taken, no_folder = snapshot(work_tree), write(tmp_path, "a-file")

    with pytest.raises(TransientError, match="can't be written: Not a directory"):
        anyio.run(Kustomize("ns", no_folder / "work").render, taken, ".")
