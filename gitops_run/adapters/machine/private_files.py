"""Files that their owner alone may read."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from gitops_run.errors import BackendError


def create_private(path: Path, text: str) -> None:
    """Write a new file that its owner alone may read, whole or not at all. Raises FileExistsError.

    Of two processes that do so at once, one makes the file, and the other sees all of it.
    """
    _write(path, text, os.link)


def replace_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, whole or not at all, in place of what is there."""
    _write(path, text, os.replace)


def _write(path: Path, text: str, put: Callable[[Path, Path], None]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        put(temporary, path)
    except FileExistsError:
        raise
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def unwritable(file: Path, error: OSError) -> BackendError:
    """Make the error of a file that the disk refuses."""
    return BackendError(
        f"{file} can't be written: {error.strerror or error}",
        hint="make room on its disk, or check its permissions, and try again: nothing was changed",
    )
