"""Which directory of this machine a session watches, kept with its history: `down` forgets both.

The cluster stores only the directory's last name, so that each machine must remember the rest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from gitops_run.adapters.machine.private_files import create_private
from gitops_run.adapters.machine.user_files import data_directory
from gitops_run.errors import UsageError
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey

_FILE: Final = "root.json"


def history_folder(environment: Mapping[str, str], key: SessionKey) -> Path:
    """Name the folder of a session's history on this machine."""
    place = hashlib.sha256(f"{key.context}/{key.namespace}".encode()).hexdigest()[:8]
    return data_directory(environment) / "history" / f"{place}-{key.name}"


def remembered_sessions(environment: Mapping[str, str], context: str) -> Iterator[SessionName]:
    """List the sessions of a context that are remembered here and whose namespace follows from their name."""
    for folder in sorted((data_directory(environment) / "history").glob("*-*")):
        with suppress(UsageError):
            name = SessionName.parse(folder.name.partition("-")[2])
            key = SessionKey(kubeconfig="", context=context, namespace=name.namespace, name=name)
            if history_folder(environment, key) == folder:
                yield name


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
