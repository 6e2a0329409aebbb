"""The last snapshots of a session that Flux has applied, kept with the developer's state.

Knows their folder: `objects/` holds each content once, by its SHA-256; `snapshots/` a small file for each
snapshot, whose name says order and revision; `requests/` what other processes of this developer ask for.
A snapshot is listed only once its file was renamed into place, after its contents. What a crash leaves
beside that is swept by the next one who records. Never writes into the root.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol

import anyio
import anyio.to_thread
import watchfiles

from gitops_run.adapters.machine.host import parse_witness, witness
from gitops_run.adapters.machine.watching import until_cancelled
from gitops_run.errors import BackendError, NotFound, ungrouped
from gitops_run.model.state.history import (
    ORDER_DIGITS,
    KeptFile,
    KeptSnapshot,
    UndoRequest,
    order_of,
    parse_files,
    parse_name,
    revision_of,
    snapshot_name,
    to_text,
)
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.ignore import Rule
from gitops_run.model.tree.tree import FileEntry, Tree

SNAPSHOTS_MAX: Final = 50
WATCH_STEP_MS: Final = 10
WATCH_GROUP_MS: Final = 30
LOOK_AGAIN_S: Final = 2.0
_TEMPORARY: Final = ".tmp-"

_Key = tuple[str, int]
"""What tells contents apart before they are read: MD5 and size, as FileEntry has them."""


class RecordedSnapshot(Protocol):
    """A snapshot whose files can be read."""

    @property
    def tree(self) -> Tree: ...  # noqa: D102
    def read_bytes(self, path: str) -> bytes: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidOut:
    """Hold an earlier snapshot in a folder of its own: it was applied before, so nothing is wrong with it.

    taken: when it was kept, RFC 3339.
    """

    tree: Tree
    folder: Path
    taken: str
    problems: tuple[Problem, ...] = ()
    whole_root_reason: str = ""
    remarks: tuple[str, ...] = ()

    def read_bytes(self, path: str) -> bytes:
        """Read a file of this snapshot."""
        return (self.folder / path).read_bytes()

    def read_text(self, path: str) -> str | None:
        """Read a file of this snapshot as text; None where it has no such file."""
        if path not in self.tree.files:
            return None
        return self.read_bytes(path).decode("utf-8", "replace")

    def hidden_by(self, path: str) -> Rule | None:
        """Find the ignore rule that hides a path: none does, since what was hidden was never kept."""
        del path
        return None

    def meant_by(self, path: str) -> str:
        """Name a file as it is: a snapshot that was kept has no links."""
        return path


def forget_history(folder: Path) -> None:
    """Remove what is kept of a session that has ended: its snapshots hold its Secrets."""
    shutil.rmtree(folder, ignore_errors=True)


class SessionHistory:
    """Keep the snapshots of one session. work: where one is laid out, beside the folder of renderings."""

    def __init__(self, folder: Path, work: Path) -> None:
        self._folder = folder
        self._objects = folder / "objects"
        self._snapshots = folder / "snapshots"
        self._requests = folder / "requests"
        self._stage = work / "undo"
        self._seen: list[str] | None = None
        self._contents: dict[_Key, str] = {}
        self._uses: Counter[str] = Counter()

    async def keep(self, snapshot: RecordedSnapshot) -> None:
        """Keep the contents of a snapshot while they can be read; it isn't listed before it is recorded.

        Raises BackendError where the disk refuses.
        """
        await anyio.to_thread.run_sync(self._keep, snapshot)

    async def record(self, snapshot: RecordedSnapshot, revision: str) -> str:
        """Keep an applied snapshot under the revision that Flux knows; the same again moves to the end.

        Returns when it was kept, RFC 3339, or "" where it was left out, as its files were overwritten before
        `keep` or this could read them. Raises BackendError where the disk refuses.
        """
        return await anyio.to_thread.run_sync(self._record, snapshot, revision)

    async def snapshot(self, revision: str) -> LaidOut:
        """Lay out an earlier snapshot, whole, in a folder of its own. revision: whole. Raises NotFound."""
        return await anyio.to_thread.run_sync(self._lay_out, revision)

    async def requests(self) -> AsyncIterator[UndoRequest]:
        """Yield undo requests from other processes of this developer, as they come. Never ends by itself."""
        with _disk_errors(self._folder):
            _make_private(self._requests)
        with _disk_errors(self._folder):
            for request in await anyio.to_thread.run_sync(self._take_requests):
                yield request
            while True:
                async for request in self._watched_requests():
                    yield request
                await anyio.sleep(LOOK_AGAIN_S)

    async def _watched_requests(self) -> AsyncIterator[UndoRequest]:
        """Yield requests as they come; ends where the folder can't be watched (any more)."""
        # It also wakes up each few seconds, for what came before the watch was set.
        with (
            suppress(RuntimeError),
            ungrouped(RuntimeError),
        ):  # the system's limits, or a name in the folder that is not UTF-8
            stop = anyio.Event()
            watched = watchfiles.awatch(
                self._requests,
                step=WATCH_STEP_MS,
                debounce=WATCH_GROUP_MS,
                recursive=False,
                watch_filter=None,
                yield_on_timeout=True,
                stop_event=stop,
            )
            async for _ in until_cancelled(watched, stop):
                for request in await anyio.to_thread.run_sync(self._take_requests):
                    yield request
        for request in await anyio.to_thread.run_sync(self._take_requests):
            yield request

    @contextmanager
    def asking(self, revision: str) -> Iterator[None]:
        """Ask the process that syncs for a revision, for as long as this lasts."""
        request = self._requests / f"{time.time_ns():0{ORDER_DIGITS}d}-{secrets.token_hex(4)}.json"
        with _disk_errors(self._folder):
            _make_private(self._requests)
            _write(request, json.dumps({"revision": revision, **asdict(witness(os.getpid()))}).encode())
        try:
            yield
        finally:
            request.unlink(missing_ok=True)

    def kept(self) -> tuple[KeptSnapshot, ...]:
        """List what is kept, oldest first, without what can't be read."""
        return tuple(self._listed())

    def _listed(self) -> Iterator[KeptSnapshot]:
        for name in self._names():
            if (found := self._read(name)) is not None:
                yield found

    def _names(self) -> list[str]:
        """List the files of snapshots, oldest first, and one for each revision, whatever a crash has left."""
        ours = sorted(name for name in _names_in(self._snapshots) if parse_name(name) is not None)
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

    def _keep(self, snapshot: RecordedSnapshot) -> None:
        with _disk_errors(self._folder), self._locked():
            self._catch_up()
            self._keep_contents(snapshot)

    def _keep_contents(self, snapshot: RecordedSnapshot) -> bool:
        """Write the contents that are new; say whether all could be read as the tree describes them."""
        is_whole = True
        for entry in snapshot.tree.files.values():
            if _key(entry) in self._contents:
                continue
            try:
                content = snapshot.read_bytes(entry.path)
            except OSError:
                content = b""
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != entry.digest:
                is_whole = False
                continue
            name = hashlib.sha256(content).hexdigest()
            if not self._has(name, len(content)):
                _write(self._objects / name, content)
            self._contents[_key(entry)] = name
        return is_whole

    def _has(self, name: str, size: int) -> bool:
        """Say whether a content is there, and not one that a power failure has cut."""
        with suppress(OSError):
            return (self._objects / name).stat().st_size == size
        return False

    def _record(self, snapshot: RecordedSnapshot, revision: str) -> str:
        with _disk_errors(self._folder), self._locked():
            seen = self._catch_up()
            if not self._keep_contents(snapshot):
                return ""
            files = {
                path: KeptFile(size=entry.size, digest=entry.digest, content=self._contents[_key(entry)])
                for path, entry in snapshot.tree.files.items()
            }
            newest = max((order for name in seen if (order := order_of(name))), default=0)
            kept = KeptSnapshot(revision=revision, order=max(time.time_ns(), newest + 1), files=files)
            _write(self._snapshots / snapshot_name(kept.order, revision), to_text(files).encode())
            self._uses.update({file.content for file in files.values()})
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
        if dropped is None:
            return
        contents = {file.content for file in dropped.files.values()}
        self._uses.subtract(contents)
        unused = {content for content in contents if self._uses[content] <= 0}
        for content in unused:
            del self._uses[content]
            (self._objects / content).unlink(missing_ok=True)
        if unused:
            self._contents = {key: name for key, name in self._contents.items() if name not in unused}

    def _catch_up(self) -> list[str]:
        """Learn what is kept, where this isn't what we left, and sweep what belongs to nothing."""
        for folder in (self._objects, self._snapshots):
            _make_private(folder)
        names = self._names()
        if names == self._seen:
            return names
        self._contents.clear()
        self._uses.clear()
        for kept in self._listed():
            self._uses.update({file.content for file in kept.files.values()})
            self._contents |= {(file.digest, file.size): file.content for file in kept.files.values()}
        for folder, known in ((self._objects, self._uses), (self._snapshots, frozenset(names))):
            for stranger in _names_in(folder) - set(known):
                (folder / stranger).unlink(missing_ok=True)
        self._seen = names
        self._contents = {key: name for key, name in self._contents.items() if self._has(name, key[1])}
        return names

    def _lay_out(self, revision: str) -> LaidOut:
        with _disk_errors(self._folder), self._locked():
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
            return LaidOut(tree=found.tree, folder=self._stage, taken=found.taken)

    def _content(self, path: str, file: KeptFile, kept: KeptSnapshot) -> bytes:
        """Read a content. Raises NotFound where it isn't the one that was kept."""
        content = b""
        with suppress(FileNotFoundError):
            content = (self._objects / file.content).read_bytes()
        if hashlib.sha256(content).hexdigest() != file.content:
            raise NotFound(
                f"{path} of the snapshot of {kept.taken} is damaged in {self._folder}",
                hint="choose another one: gitops-run history NAME",
            )
        return content

    def _take_requests(self) -> tuple[UndoRequest, ...]:
        """Take what is asked for, without what nobody waits for any more."""
        taken = []
        for name in sorted(_names_in(self._requests)):
            path = self._requests / name
            if path.suffix != ".json":
                continue
            found = self._find(_read_request(path))
            path.unlink(missing_ok=True)
            if found is not None:
                taken.append(UndoRequest(revision=found.revision, taken=found.taken))
        return tuple(taken)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time change what is kept; a killed one lets go by itself."""
        _make_private(self._folder)
        descriptor = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _names_in(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return set()


def _read_request(path: Path) -> str:
    """Read which revision is asked for; "" where whoever asked has ended, or the file says nothing."""
    try:
        asked = json.loads(path.read_text(encoding="utf-8"))
        return str(asked["revision"]) if parse_witness(asked).is_running else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _key(entry: FileEntry) -> _Key:
    return entry.digest, entry.size


def _make_private(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)


def _write(path: Path, content: bytes) -> None:
    """Write a file for its owner's eyes, whole or not at all."""
    temporary = path.parent / f"{_TEMPORARY}{secrets.token_hex(8)}"
    try:
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackendError(
            f"the history in {folder} can't be kept or read: {error.strerror or error}",
            hint="check its disk and its permissions",
        ) from error
