"""What this machine is like: programs' versions, limits of watching, and space on disks."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ANSWER_S: Final = 10.0
_INOTIFY: Final = Path("/proc/sys/fs/inotify")
_VERSION_ARGUMENTS: Final[Mapping[str, Sequence[str]]] = {
    "pulumi": ("version",),
    "kubectl": ("version", "--client"),
    "helm": ("version", "--short"),
    "git": ("--version",),
}


def ask_version(program: str, environment: Mapping[str, str]) -> str | None:
    """Ask a program for its version; None where it isn't on PATH. One that fails answers with its failure."""
    path = shutil.which(program, path=environment.get("PATH"))
    if path is None:
        return None
    command = [path, *_VERSION_ARGUMENTS[program]]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=ANSWER_S, env=dict(environment)
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return type(error).__name__
    return answer.stdout or answer.stderr


def inotify_limits() -> dict[str, int]:
    """Read how many folders and watchers Linux lets a user have; nothing on other systems."""
    found = {}
    for name in ("max_user_watches", "max_user_instances"):
        try:
            found[name] = int((_INOTIFY / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
    return found


def free_mb(folder: Path) -> int:
    """Measure the space that is left for a folder, which need not exist yet."""
    there = next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))
    return shutil.disk_usage(there).free // 2**20


def processors() -> int:
    """Count the processors of this machine."""
    return os.cpu_count() or 1
