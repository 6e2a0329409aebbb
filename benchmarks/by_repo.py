"""A save of one file in a target of ten objects, in repositories of growing size around it."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.figures import p50
from benchmarks.session import Bench, session
from benchmarks.targets import grow_repository, make_target

FILES = (10, 1_000, 10_000)
SAVES = 20
SAVES_MIN = 3
LIMIT_S = 60.0
"""When the saves of one size are enough, were they ever so slow."""
OBJECTS = 10


def measure_by_repo(bench: Bench) -> dict[str, Any]:
    """Measure saves in one session whose root grows while no sync runs."""
    root = bench.folder / "repository"
    target = make_target(root / "deploy", OBJECTS)
    found = {}
    with session(bench, "repo", root, target) as made:
        for files in FILES:
            grow_repository(root, files)
            with made.synced() as sync:
                made.save(sync, 1)  # the first after the start may still read what the second knows
                made.saves.clear()
                until = time.monotonic() + LIMIT_S
                while len(made.saves) < SAVES_MIN or (len(made.saves) < SAVES and time.monotonic() < until):
                    made.save(sync, 1)
            found[str(files)] = {"save_p50": p50(made.saves)}
    return {"by_repo": found}
