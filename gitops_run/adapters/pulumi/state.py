"""The files of Pulumi's file backend: who may read them, and their content after a kill during a write.

A kill leaves a stack's own file whole, since the backend writes another and renames it; a full disk may cut
it off. Next to each file is a sidecar with its content type. It is written in place; while it is empty
Pulumi refuses to read the file ("EOF"), and without one it reads it. Source: gocloud.dev,
blob/fileblob/attrs.go, as of Pulumi 3.259.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

from gitops_run.adapters.machine.private_files import unwritable

_OTHERS = 0o077
_KEPT = ("stacks", "history", "backups", "locks", "complete")
"""In addition to these, the backend "file://~" has Pulumi's plugins, which are programs."""


def drop_torn_sidecars(backend: str) -> bool:
    """Remove each sidecar that can't be read, and say whether there was any.

    backend: the backend's URL. Does nothing where the state isn't in files.
    """
    folder = backend_folder(backend)
    torn = [file for file in folder.rglob("*.attrs") if not _is_whole(file)] if folder else []
    for file in torn:
        file.unlink(missing_ok=True)
    return bool(torn)


def close_to_others(backend: str) -> None:
    """Keep the files of a backend for their owner, who may have made them with any umask.

    What a stack was given in the clear is in its state. Does nothing where the state isn't in files, or
    where they are somebody else's.
    """
    folder = backend_folder(backend)
    for part in (folder / name for name in _KEPT) if folder else ():
        with suppress(OSError):
            if part.stat().st_mode & _OTHERS:
                part.chmod(0o700)
                for file in part.rglob("*"):
                    if not file.is_symlink():  # what it leads to is no state
                        file.chmod(0o700 if file.is_dir() else 0o600)


def backend_folder(backend: str) -> Path | None:
    """Find the folder with the files of a file backend; None where the state is elsewhere."""
    if not backend.startswith("file://"):
        return None
    path = unquote(backend.removeprefix("file://").partition("?")[0])
    return Path(path).expanduser() / ".pulumi"


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Report which file it is that the disk refuses. Raises BackendError."""
    try:
        yield
    except OSError as error:
        raise unwritable(file, error) from error


def _is_whole(file: Path) -> bool:
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
