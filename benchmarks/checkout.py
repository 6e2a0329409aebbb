"""A checkout of a branch on which five hundred files of the target differ, alongside Flux's own time."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import p50
from benchmarks.floor import flux_alone
from benchmarks.session import FIRST_PATIENCE_S, Bench, session
from benchmarks.targets import make_target, settings, write_settings
from tests.people import Running

FILES = 500
BRANCHES = ("one", "two", "three")


def measure_checkout(bench: Bench) -> dict[str, Any]:
    """Check branches out, one after another, while a sync runs; alongside, Flux's time for such changes.

    The two take turns: a machine that is busy for a while is so for both.
    """
    root = make_target(bench.folder / "checkout", FILES)
    make_branches(root)
    times, saves, floors = [], [], []
    with session(bench, "checkout", root) as made:
        for branch in BRANCHES:
            with made.synced() as sync:
                began = time.monotonic()
                git(root, "checkout", "--quiet", branch)
                saves.append(_saves_until_applied(sync))
                times.append((time.monotonic() - began) * 1000)
            floors.append(flux_alone(made, _all_changed(f"beside {branch}")))
    return {
        "checkout500_ms": p50(times),
        "checkout500_floor_ms": p50(floors),
        "checkout500_saves": max(saves),
    }


def _all_changed(value: str) -> dict[str, bytes]:
    names = [f"settings-{number}" for number in range(FILES)]
    return {f"{name}.yaml": settings(name, value).encode() for name in names}


def make_branches(root: Path) -> None:
    """Make a repository whose branches differ from the main one, and each other, in every ConfigMap."""
    git(root, "init", "--quiet", "--initial-branch=main")
    for branch in ("main", *BRANCHES):
        if branch != "main":
            git(root, "checkout", "--quiet", "-b", branch)
        for number in range(FILES):
            write_settings(root, f"settings-{number}", branch)
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "--message", branch)
    git(root, "checkout", "--quiet", "main")


def git(root: Path, *arguments: str) -> None:
    """Run git as nobody in particular: what this machine's user has set must not change the figures."""
    author = ("-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "gc.auto=0")
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *author, *arguments], cwd=root, env=env, check=True, stdout=subprocess.DEVNULL)


def _saves_until_applied(sync: Running) -> int:
    """Count the saves that the checkout became, until the last of them was applied."""
    pushed: set[str] = set()
    saves = 0
    while len(pushed) < FILES:
        event = sync.tells("save_pushed", patience_s=FIRST_PATIENCE_S)
        pushed.update(event["puts"])
        saves += 1
    sync.tells("save_applied", save=event["save"])
    return saves
