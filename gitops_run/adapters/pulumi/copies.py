"""A complete copy of a stack's state, kept next to it, from which the next run continues.

On a full disk, Pulumi's file backend leaves the state and its own backup cut off (seen with 3.259). Before
each run the last complete state is written to another file and synced, so that it outlives whatever the run
does. This module does nothing where the state is not in files.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitops_run.adapters.pulumi.state import backend_folder, writing
from gitops_run.errors import BackendError
from gitops_run.model.session.settings import PROJECT

COPIES: Final = "complete"
"""The folder of the copies, next to Pulumi's own; a copy whose state is in use again is marked."""
ROOM_BYTES: Final = 128 * 1024
"""A session's state has 60 KB, and each copy is written next to the last."""
_CONTINUED: Final = ".continued"
_FORMS: Final = (".json", ".json.gz")


class StateLostError(BackendError):
    """Report a state that is cut off, and of which there is no complete copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateCopy:
    """Keep one stack's last complete state. stack: with its project, as in "gitops-run/web"."""

    backend: str
    stack: str

    def keep(self) -> None:
        """Copy the state while it is complete. Raises BackendError where the disk refuses."""
        for state, copy in self._files():
            if (content := _complete(state)) is None or _read(copy) == content:
                continue
            with writing(copy):
                copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                _write_synced(copy, content)

    def full_disk(self) -> str:
        """Name the folder of the states where its disk has no room for another one; "" where it has."""
        if self._folder is None or not self._folder.is_dir():
            return ""
        disk = os.statvfs(self._folder)
        return str(self._folder) if disk.f_bavail * disk.f_frsize < ROOM_BYTES else ""

    def restore(self) -> bool:
        """Put the copy in place of a state that is cut off; say whether it was. Raises StateLostError."""
        torn = [(state, copy) for state, copy in self._files() if _is_torn(state)]
        for state, copy in torn:
            content = _complete(copy)
            if content is None:
                raise StateLostError(
                    f"the state of stack {self.stack} is truncated, and has no complete copy: {state}",
                    hint=self._ending,
                )
            with writing(state):
                self._mark.touch(mode=0o600)
                _write_synced(state, content)
        return bool(torn)

    @property
    def is_continued(self) -> bool:
        """Report whether the state was continued from a copy, and may not know all that there is."""
        return self._folder is not None and self._mark.exists()

    def settle(self) -> None:
        """Note that the state knows everything again."""
        if self._folder is not None:
            self._mark.unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove the copy of a stack that is no more, and what is left of a state that is cut off."""
        self.settle()
        for state, copy in self._files():
            copy.unlink(missing_ok=True)
            if _is_torn(state):
                for name in (state.name, f"{state.name}.attrs"):
                    state.with_name(name).unlink(missing_ok=True)

    @property
    def _ending(self) -> str:
        project, _, name = self.stack.partition("/")
        if project == PROJECT:
            return f"to end the session by its labels: gitops-run down {name} --from-cluster"
        return "bring the file back from a backup of your own"

    @property
    def _folder(self) -> Path | None:
        return backend_folder(self.backend)

    @property
    def _mark(self) -> Path:
        return Path(self._folder or ".", COPIES, f"{self.stack}{_CONTINUED}")

    def _files(self) -> Iterator[tuple[Path, Path]]:
        """Name the state's file and the copy's, in both forms that Pulumi writes."""
        if self._folder is not None:
            for form in _FORMS:
                name = f"{self.stack}{form}"
                yield self._folder / "stacks" / name, self._folder / COPIES / name


def _is_torn(state: Path) -> bool:
    return state.exists() and _complete(state) is None


def _complete(file: Path) -> bytes | None:
    """Read a state; None where there is none, or one that is cut off."""
    content = _read(file)
    try:
        json.loads(gzip.decompress(content) if file.suffix == ".gz" else content)
    except (OSError, EOFError, ValueError):
        return None
    return content


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _write_synced(file: Path, content: bytes) -> None:
    """Write a file for its owner, whole or not at all, so that it outlives a power failure."""
    temporary = file.with_name(f".{file.name}.tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as written:
            written.write(content)
            written.flush()
            os.fsync(written.fileno())
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
