"""Folders for their owner's eyes, in which a file is whole or absent, whenever a process is killed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gitops_run.errors import BackendError

_TEMPORARY: Final = ".tmp-"


def make_private(folder: Path) -> None:
    """Make a folder, where there is none, that its owner alone may read."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)


def names_in(folder: Path) -> set[str]:
    """List what is in a folder; nothing where there is none."""
    try:
        return {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return set()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file for its owner's eyes, whole or not at all. Raises OSError."""
    temporary = path.parent / f"{_TEMPORARY}{secrets.token_hex(8)}"
    try:
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def history_errors(folder: Path) -> Iterator[None]:
    """Raise BackendError where the disk refuses something of a history."""
    try:
        yield
    except OSError as error:
        raise BackendError(
            f"the history in {folder} can't be kept or read: {error.strerror or error}",
            hint="check its disk and its permissions",
        ) from error
