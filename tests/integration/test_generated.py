"""Generated targets go through a session: what preflight passes is applied, and then there is no difference.

`GITOPS_RUN_GENERATED_CASES=100` takes more of them, and `GITOPS_RUN_GENERATED_SEED=2` others.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import DEVELOPER
from tests.generated.drafts import GeneratedTree
from tests.generated.kustomizations import applicable_trees
from tests.generated.running import trees_of
from tests.integration.conftest import SharedSession
from tests.people import Person

CASES = int(os.environ.get("GITOPS_RUN_GENERATED_CASES", "24"))
SEED = int(os.environ.get("GITOPS_RUN_GENERATED_SEED", "1"))
APPLIED_AT_LEAST = 0.25
"""The share of the cases that has to be applied, so that the test says something."""
FIRST = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: first}\n"


@pytest.fixture(scope="module")
def generated(admin: Person, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedSession]:
    """A session on the folder app of a root, which each tree replaces."""
    root = tmp_path_factory.mktemp("generated") / "root"
    (root / "app").mkdir(parents=True)
    (root / "app" / "first.yaml").write_text(FIRST)
    admin.succeeds("up", "generated", str(root / "app"), "--root", str(root), "--owner", DEVELOPER)
    yield SharedSession("generated", root, admin)
    admin.succeeds("down", "generated")


def _write(tree: GeneratedTree, root: Path) -> None:
    for entry in root.iterdir():
        shutil.rmtree(entry)
    tree.write(root)


def _outcome(session: SharedSession, tree: GeneratedTree) -> tuple[str, str]:
    """Save a tree. Returns what came of it, and what is wrong with that."""
    _write(tree, session.root)
    there = session.in_root()
    with there.leaves_running("sync", session.name, "--allow-prune") as sync:
        verdict = sync.tells_one_of("save_applied", "save_broken", "save_failed")
    if verdict["type"] == "save_failed":
        return "failed", str(verdict)
    if verdict["type"] == "save_broken":
        return f"refused: {verdict['problems'][0]['message']}", ""
    shown = there.types("diff", session.name)
    return "applied", "" if shown.code == 0 else f"{shown.out}{shown.err}"


@pytest.mark.timeout(60 + 15 * CASES)
def test_after_a_generated_target_is_applied_there_is_no_difference(
    generated: SharedSession, tmp_path: Path
) -> None:
    outcomes: Counter[str] = Counter()
    wrong: dict[int, str] = {}
    for number, tree in enumerate(trees_of(applicable_trees(), SEED, CASES)):
        outcome, told = _outcome(generated, tree)
        outcomes[outcome] += 1
        if told:
            wrong[number] = told
            tree.write(tmp_path / f"case-{number}")
    assert wrong == {}
    assert outcomes["applied"] >= APPLIED_AT_LEAST * CASES, outcomes
