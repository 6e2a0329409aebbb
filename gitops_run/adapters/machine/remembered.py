"""Which directory of this machine a session watches, kept with its history: `down` forgets both.

The cluster stores only the directory's last name, so that each machine must remember the rest.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Final

from gitops_run.adapters.machine.private_files import create_private

_FILE: Final = "root.json"


def remember_root(folder: Path, root: Path | str) -> None:
    """Keep a session's root. folder: of its history. A disk that refuses is no error: --root does too."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / _FILE).unlink(missing_ok=True)
        create_private(folder / _FILE, json.dumps({"root": str(root)}))


def remembered_root(folder: Path) -> Path | None:
    """Find the directory that a session watches here; None where it isn't known, or no longer there."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        root = Path(json.loads((folder / _FILE).read_text(encoding="utf-8"))["root"])
        return root if root.is_dir() else None
    return None
