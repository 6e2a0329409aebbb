"""Temporary files that go with the process that needs them, or with the next one after a kill.

Each folder has a lock that its process holds, and so do the children to which it passes the lock on: the
kernel lets go of it when the last of them ends, however that happens. Process ids are not trusted.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitops_run.adapters.machine.user_files import cache_directory
from gitops_run.errors import TransientError

_PREFIX: Final = "run-"
_LOCK: Final = ".lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """Hold a folder for its owner's eyes. lock: the descriptor to pass to a child that uses the folder."""

    folder: Path
    lock: int


@contextmanager
def scratch_folder(environment: Mapping[str, str]) -> Iterator[Scratch]:
    """Make a folder and remove it at the end, and first those that killed processes have left behind.

    Raises TransientError where the user's cache can't be written.
    """
    parent = cache_directory(environment) / "tmp"
    try:
        scratch = _made(parent)
    except OSError as error:
        raise TransientError(
            f"{parent} can't be written: {error.strerror}",
            hint="check its disk and its permissions, or name another place: XDG_CACHE_HOME",
        ) from error
    try:
        yield scratch
    finally:
        _remove(scratch.folder)
        os.close(scratch.lock)


def _made(parent: Path) -> Scratch:
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(parent):
        _sweep(parent)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = os.open(_lock_of(folder), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return Scratch(folder=folder, lock=lock)


@contextmanager
def own_temporary_files(environment: Mapping[str, str]) -> Iterator[None]:
    """Have this process's temporary files in a folder of their own; client libraries put keys into some.

    Where the user's cache can't be written, they stay where the system has them.
    """
    before = tempfile.tempdir
    made = scratch_folder(environment)
    try:
        scratch = made.__enter__()
    except TransientError:
        yield
        return
    tempfile.tempdir = str(scratch.folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        made.__exit__(None, None, None)


@contextmanager
def _alone(parent: Path) -> Iterator[None]:
    """Keep others from making or removing folders meanwhile: it takes milliseconds."""
    with (parent / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sweep(parent: Path) -> None:
    """Remove the folders that nobody holds; one without a lock file was never handed out."""
    for folder in {parent / path.name.removesuffix(_LOCK) for path in parent.glob(f"{_PREFIX}*")}:
        try:
            lock = os.open(_lock_of(folder), os.O_RDWR)
        except OSError:
            _remove(folder)
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            _remove(folder)
        finally:
            os.close(lock)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        _lock_of(folder).unlink()


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{_LOCK}")
