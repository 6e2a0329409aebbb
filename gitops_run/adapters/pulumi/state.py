"""The state of a stack in Pulumi's file backend, after a kill amid its writing.

The backend writes a stack's file in place, and keeps the one before beside it. Source: Pulumi 3.259,
pkg/backend/diy.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from gitops_run.model.settings import PROJECT
from gitops_run.model.stack_events import StackLock


@dataclass(frozen=True, slots=True, kw_only=True)
class TornState:
    """A stack's state that a kill has torn. locks: those that stand; a killed run leaves its own."""

    file: Path
    before: Path
    locks: tuple[StackLock, ...]

    def restore(self) -> None:
        """Put the state before in its place."""
        shutil.copyfile(self.before, self.file)


def find_torn(environment: Mapping[str, str], stack: str, project: str = PROJECT) -> TornState | None:
    """Find out whether a stack's state is torn and the one before it whole.

    environment: Pulumi's. None as well where the state isn't in files.
    """
    url = environment.get("PULUMI_BACKEND_URL", "")
    if not url.startswith("file://"):
        return None
    home = Path(unquote(url.removeprefix("file://"))).expanduser() / ".pulumi"
    file = home / "stacks" / project / f"{stack}.json"
    before = file.with_name(f"{file.name}.bak")
    if not file.is_file() or _is_whole(file) or not _is_whole(before):
        return None
    locks = (home / "locks" / "organization" / project / stack).glob("*.json")
    return TornState(file=file, before=before, locks=tuple(_read_lock(lock) for lock in sorted(locks)))


def _read_lock(file: Path) -> StackLock:
    """Read a lock. One that can't be read is nobody's of this machine: never cleared by us."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return StackLock(
            user=content["username"],
            host=content["hostname"],
            pid=content["pid"],
            since=content["timestamp"],
            path=str(file),
        )
    except (OSError, ValueError, KeyError):
        return StackLock(user="somebody", host="an unknown machine", pid=0, since="?", path=str(file))


def _is_whole(file: Path) -> bool:
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
