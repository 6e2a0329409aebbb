"""Folders that belong to one process each, and are removed once it has ended, however it ended.

A process holds a lock on a file next to its folder. The kernel lets go of that lock with the process, so that
a folder whose lock is free is nobody's: no process ID, which may be in use again, has to be believed.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_LOCK: Final = ".lock"


@contextmanager
def owned_folder(place: Path) -> Iterator[Path]:
    """Make a new folder in a place of its own, private to this user, and remove it at the end.

    What processes that have ended left in the same place is removed first.
    """
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = place / secrets.token_hex(8)
    with _locked(place / _LOCK, fcntl.LOCK_EX):
        _sweep(place)
        lock = _open(_lock_of(folder))
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


def _sweep(place: Path) -> None:
    """Remove the folders whose owners have ended; other processes wait meanwhile with making theirs."""
    for folder in [path for path in place.iterdir() if path.is_dir()]:
        lock = _open(_lock_of(folder))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            _remove(folder)
        finally:
            os.close(lock)


@contextmanager
def _locked(path: Path, operation: int) -> Iterator[None]:
    lock = _open(path)
    try:
        fcntl.flock(lock, operation)
        yield
    finally:
        os.close(lock)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{_LOCK}")


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _lock_of(folder).unlink(missing_ok=True)
