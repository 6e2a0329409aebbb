"""Generated examples, and a garbage collector that leaves the libraries alone."""

from __future__ import annotations

import gc
from pathlib import Path

import hypothesis
import pytest

from gitops_run.adapters.files import WorkTree
from tests.work_trees import write

EXAMPLES = 25
"""Of each law in one run: every run makes up others, so that a quick one that is run often finds as much."""

hypothesis.settings.register_profile("unit", max_examples=EXAMPLES)
hypothesis.settings.load_profile("unit")


def pytest_collection_finish() -> None:
    """Keep the garbage collector from walking through the libraries, which took a tenth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def app(root: Path, tmp_path: Path) -> WorkTree:
    """A target app that needs a file beside it, amid others that nobody needs."""
    write(root, "app/kustomization.yaml", "resources: [../shared/a.yaml]")
    write(root, "shared/a.yaml", "1")
    write(root, "other/b.yaml", "1")
    return WorkTree(root, tmp_path / "stage", "app")
