"""Reading of what lies in a tree: regular files alone, up to a size, never waiting.

A name in a tree may stand for anything: a pipe that nobody writes to, a device without an end, a file that
grows while it is read. This module knows nothing of what a file means.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

NO_FILE_MESSAGE = "this is not a regular file"


def read_regular(path: str | Path, limit: int, *, is_link_followed: bool = True) -> bytes:
    """Read a regular file whole. Raises OSError on anything else, and on one larger than limit bytes."""
    _refuse_others(Path(path).stat(follow_symlinks=is_link_followed))
    # It may have become something else since: then opening neither waits nor takes a terminal.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(path, flags if is_link_followed else flags | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        _refuse_others(os.fstat(descriptor))
        content = file.read(limit + 1)
    if content is None:  # some files of the kernel are regular ones, and would wait here
        raise OSError(errno.EAGAIN, "it never ends")
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit / 2**20:g} MiB")
    return content


def is_folder(path: str | Path) -> bool:
    """Report whether a folder is visible: pathlib raises if a folder above it may not be read."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def _refuse_others(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, NO_FILE_MESSAGE)
