"""The last snapshots of a session that Flux has applied, kept with the developer's state.

Knows their folder: `objects/` holds each content once, by its SHA-256; `snapshots/` a small file for each
snapshot, whose name says order and revision. A snapshot is listed only once its file was renamed into place,
after its contents. The next process that records removes what a crash leaves. Never writes into the root.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio.to_thread

from gitops_run.adapters.files.contents import Contents
from gitops_run.adapters.files.private_folder import history_errors, make_private, names_in, write_whole
from gitops_run.adapters.files.snapshot import FolderSnapshot
from gitops_run.errors import NotFound
from gitops_run.model.state.history import (
    KeptFile,
    KeptSnapshot,
    order_of,
    parse_files,
    parse_name,
    revision_of,
    snapshot_name,
    to_text,
)
from gitops_run.model.tree.snapshot import Snapshot

SNAPSHOTS_MAX: Final = 50


def forget_history(folder: Path) -> None:
    """Remove what is kept of a session that has ended: its snapshots hold its Secrets."""
    shutil.rmtree(folder, ignore_errors=True)


class SessionHistory:
    """Keep the snapshots of one session. work: where one is laid out, alongside the folder of renderings."""

    def __init__(self, folder: Path, work: Path) -> None:
        self._folder = folder
        self._contents = Contents(folder / "objects")
        self._snapshots = folder / "snapshots"
        self._stage = work / "undo"
        self._seen: list[str] | None = None

    async def keep(self, snapshot: Snapshot) -> None:
        """Keep the contents of a snapshot while they can be read; it isn't listed before it is recorded.

        Raises BackendError where the disk refuses.
        """
        await anyio.to_thread.run_sync(self._keep, snapshot)

    async def record(self, snapshot: Snapshot, revision: str) -> str:
        """Keep an applied snapshot under the revision that Flux knows; the same again moves to the end.

        Returns when it was kept, RFC 3339, or "" where it was left out, as its files were overwritten before
        `keep` or this could read them. Raises BackendError where the disk refuses.
        """
        return await anyio.to_thread.run_sync(self._record, snapshot, revision)

    async def snapshot(self, revision: str) -> Snapshot:
        """Lay out an earlier snapshot, whole, in a folder of its own. revision: whole. Raises NotFound."""
        return await anyio.to_thread.run_sync(self._lay_out, revision)

    def kept(self) -> tuple[KeptSnapshot, ...]:
        """List what is kept, oldest first, without what can't be read."""
        return tuple(self._listed())

    def read(self, file: KeptFile) -> bytes | None:
        """Read a file of a kept snapshot; None where it isn't there or isn't what was kept."""
        return self._contents.read(file.content)

    def _listed(self) -> Iterator[KeptSnapshot]:
        for name in self._names():
            if (found := self._read(name)) is not None:
                yield found

    def _names(self) -> list[str]:
        """List the files of snapshots, oldest first, and one for each revision, whatever a crash has left."""
        ours = sorted(name for name in names_in(self._snapshots) if parse_name(name) is not None)
        return sorted({revision_of(name): name for name in ours}.values())

    def _find(self, revision: str) -> KeptSnapshot | None:
        return next((self._read(name) for name in self._names() if revision_of(name) == revision), None)

    def _read(self, name: str) -> KeptSnapshot | None:
        parsed = parse_name(name)
        try:
            files = parse_files((self._snapshots / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return KeptSnapshot(order=parsed[0], revision=parsed[1], files=files) if parsed else None

    def _keep(self, snapshot: Snapshot) -> None:
        with history_errors(self._folder), self._locked():
            self._catch_up()
            self._contents.keep(snapshot)

    def _record(self, snapshot: Snapshot, revision: str) -> str:
        with history_errors(self._folder), self._locked():
            seen = self._catch_up()
            if not self._contents.keep(snapshot):
                return ""
            files = self._contents.files(snapshot.tree)
            newest = max((order for name in seen if (order := order_of(name))), default=0)
            kept = KeptSnapshot(revision=revision, order=max(time.time_ns(), newest + 1), files=files)
            write_whole(self._snapshots / snapshot_name(kept.order, revision), to_text(files).encode())
            self._contents.use(files.values())
            older = [old for old in seen if revision_of(old) == revision]
            others = [old for old in seen if old not in older]
            surplus = others[: max(0, len(others) + 1 - SNAPSHOTS_MAX)]
            for old in (*older, *surplus):
                self._drop(old)
            self._seen = self._names()
            return kept.taken

    def _drop(self, name: str) -> None:
        """Remove a snapshot, and then the contents that no other one has."""
        dropped = self._read(name)
        (self._snapshots / name).unlink(missing_ok=True)
        if dropped is not None:
            self._contents.release(dropped.files.values())

    def _catch_up(self) -> list[str]:
        """Learn what is kept, where this isn't what we left, and sweep what belongs to nothing."""
        self._contents.make()
        make_private(self._snapshots)
        names = self._names()
        if names == self._seen:
            return names
        self._contents.learn(self._listed())
        for other in names_in(self._snapshots) - set(names):
            (self._snapshots / other).unlink(missing_ok=True)
        self._seen = names
        return names

    def _lay_out(self, revision: str) -> FolderSnapshot:
        with history_errors(self._folder), self._locked():
            found = self._find(revision)
            if found is None:
                raise NotFound(
                    f"revision {revision} is not in this session's history",
                    hint="to see what there is: gitops-run history NAME",
                )
            shutil.rmtree(self._stage, ignore_errors=True)
            self._stage.mkdir(parents=True, mode=0o700)
            for path, file in found.files.items():
                copy = self._stage / path
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(self._content(path, file, found))
            return FolderSnapshot(tree=found.tree, folder=self._stage, taken=found.taken)

    def _content(self, path: str, file: KeptFile, kept: KeptSnapshot) -> bytes:
        """Read a content. Raises NotFound where it isn't the one that was kept."""
        content = self._contents.read(file.content)
        if content is None:
            raise NotFound(
                f"{path} of the snapshot of {kept.taken} is damaged in {self._folder}",
                hint="choose another one: gitops-run history NAME",
            )
        return content

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time change what is kept; the kernel releases the lock of a killed one."""
        make_private(self._folder)
        descriptor = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
