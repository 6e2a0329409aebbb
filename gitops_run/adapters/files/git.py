"""What git says of a directory: branch, commit, and whether anything differs. Writes nothing.

This module runs git itself, which knows its indexes, worktrees and filters. Source: git-status, porcelain
format 2.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import anyio

from gitops_run.model.state.events import WorkTreeSeen

TIMEOUT_S: Final = 5.0
_HEAD: Final = "# branch."
_NONE: Final = ("(detached)", "(initial)")


async def look_at_work_tree(root: Path | None, environment: Mapping[str, str]) -> WorkTreeSeen | None:
    """Ask git; None where the root lies in no work tree, or git is missing or takes too long.

    root: None where nothing is watched.
    """
    if root is None:
        return None
    command = (
        "git",
        "--no-optional-locks",
        "-c",
        "core.fsmonitor=false",  # a repository could name a program there
        "-C",
        str(root),
        "status",
        "--porcelain=v2",
        "--branch",
        "--untracked-files=normal",
        "--",
        ".",
    )
    run = partial(anyio.run_process, command, env=environment, check=False, stderr=subprocess.DEVNULL)
    try:
        with anyio.fail_after(TIMEOUT_S):
            finished = await run(stdin=subprocess.DEVNULL)
    except (OSError, TimeoutError):
        return None
    return None if finished.returncode else parse_status(finished.stdout.decode("utf-8", "replace"))


def parse_status(text: str) -> WorkTreeSeen:
    """Read what git prints: heads begin with "# branch.", everything else is a difference."""
    lines = text.splitlines()
    heads = dict(line[len(_HEAD) :].partition(" ")[::2] for line in lines if line.startswith(_HEAD))
    branch, commit = heads.get("head", ""), heads.get("oid", "")
    return WorkTreeSeen(
        branch="" if branch in _NONE else branch,
        commit="" if commit in _NONE else commit,
        is_dirty=any(not line.startswith("#") for line in lines),
    )
