"""The state of a stack in Pulumi's file backend, after a kill amid its writing.

The backend writes a stack's file in place, and keeps the one before beside it. Source: Pulumi 3.259,
pkg/backend/diy.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from gitops_run.model.settings import PROJECT


def restore_torn(environment: Mapping[str, str], stack: str) -> bool:
    """Put the state before in the place of one that was torn; say whether there was one to put right.

    environment: Pulumi's. Nothing is touched where the state isn't in files, is whole, or is locked.
    """
    url = environment.get("PULUMI_BACKEND_URL", "")
    if not url.startswith("file://"):
        return False
    home = Path(unquote(url.removeprefix("file://"))).expanduser() / ".pulumi"
    state = home / "stacks" / PROJECT / f"{stack}.json"
    before = state.with_name(f"{state.name}.bak")
    is_locked = any((home / "locks" / "organization" / PROJECT / stack).glob("*.json"))
    if is_locked or not state.is_file() or _is_whole(state) or not _is_whole(before):
        return False
    shutil.copyfile(before, state)
    return True


def _is_whole(file: Path) -> bool:
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
