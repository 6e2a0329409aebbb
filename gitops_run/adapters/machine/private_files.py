"""Files that their owner alone may read."""

from __future__ import annotations

import os
from pathlib import Path

from gitops_run.errors import BackendError


def create_private(path: Path, text: str) -> None:
    """Write a new file that its owner alone may read. Raises FileExistsError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        path.unlink(missing_ok=True)  # one that is cut off would be taken for whole
        raise unwritable(path, error) from error


def unwritable(file: Path, error: OSError) -> BackendError:
    """Make the error of a file that the disk refuses."""
    return BackendError(
        f"{file} can't be written: {error.strerror or error}",
        hint="make room on its disk, or check its permissions, and try again: nothing was changed",
    )
