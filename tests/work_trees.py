"""A session's root on a real disk, and what a sync takes from it."""

from __future__ import annotations

from pathlib import Path

import anyio

from gitops_run.adapters.files import WorkTree
from gitops_run.model.tree.snapshot import Snapshot


def write(root: Path, path: str, content: str = "") -> Path:
    """Write a file of the root, with the folders that it needs."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


def snapshot(work_tree: WorkTree, *touched: str) -> Snapshot:
    """Take a snapshot, as the loop does after these paths were touched."""
    return anyio.run(work_tree.snapshot, frozenset(touched))
