"""A session's root on disk: what changed of what its target needs, and a stable copy of that.

This module knows watchfiles, and when a file must be read again. The copy (the stage) is what is rendered and
uploaded, so that a file which changes meanwhile can't get into a save half way. It never writes into the root
itself.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import watchfiles

from gitops_run.adapters.files.disk import RootDisk, unreadable
from gitops_run.adapters.files.hidden import hidden_needs
from gitops_run.adapters.files.reading import is_folder, read_regular
from gitops_run.adapters.files.root import IgnoreFiles
from gitops_run.adapters.files.snapshot import FolderSnapshot
from gitops_run.adapters.files.watch import Watch, fingerprint, is_about_a_name, is_utf8, watch_of
from gitops_run.adapters.machine.watching import until_cancelled
from gitops_run.errors import TransientError, ungrouped
from gitops_run.model.names import STORE_PREFIX
from gitops_run.model.state.events import WatchLimited
from gitops_run.model.store.objects import key_problem
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.closure import Closure, ClosureFinder
from gitops_run.model.tree.ignore import ignoring
from gitops_run.model.tree.tree import FileEntry, Tree

MAX_FILES: Final = 20_000
MAX_BYTES: Final = 256 * 1024 * 1024
WATCH_STEP_MS: Final = 10
WATCH_GROUP_MS: Final = 30
SCAN_ATTEMPTS: Final = 5
ROOT_CHECK_MS: Final = 2_000
"""How often it is looked whether the root is still the folder that is watched. What deletes or moves it is
reported at once; a parent that is moved, or a file system that is mounted over it, is not."""
ROOT_WAIT_S: Final = 0.5
"""How often it is looked whether there is a root again."""
POLL_S: Final = 1.0
"""How often the folders are looked at where the system doesn't watch them."""
FLOOD: Final = 1000
"""Events at once behind which the kernel may have dropped others, whatever they are about."""
RACY_NS: Final = 50_000_000
"""A file that changed this shortly before it was read may change again within the same tick of its times."""

_Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Stamp:
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> _Stamp:
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    @property
    def newest_ns(self) -> int:
        return max(self.mtime_ns, self.ctime_ns)


@dataclass(frozen=True, slots=True)
class _Known:
    stamp: _Stamp
    entry: FileEntry
    is_sure: bool

    def is_still(self, stamp: _Stamp) -> bool:
        return self.is_sure and self.stamp == stamp


@dataclass(frozen=True, slots=True)
class _Scan:
    """Hold what one look at the root found."""

    disk: RootDisk
    closure: Closure
    problems: list[Problem]
    remarks: list[str] = field(default_factory=list)

    def snapshot(self, stage: Path) -> FolderSnapshot:
        return FolderSnapshot(
            folder=stage,
            problems=tuple(dict.fromkeys(self.problems)),
            whole_root_reason=self.closure.whole_root_reason,
            rules=self.disk.rules,
            hidden=self.disk.hidden,
            remarks=tuple(self.remarks),
            meant=self.closure.meant,
        )


class WorkTree:
    """Watch what a target needs of a root, and take snapshots of it.

    One at a time: a snapshot overwrites the stage. also: further files that are needed, relative to the root.
    report: takes what a person should know of the watch. is_chart: only helm renders the target.
    """

    def __init__(  # noqa: PLR0913 - what a session knows of its files
        self,
        root: Path,
        stage: Path,
        target: str = ".",
        also: tuple[str, ...] = (),
        report: Callable[[WatchLimited], None] = lambda _: None,
        *,
        is_chart: bool = False,
    ) -> None:
        self.root = root.resolve()
        self._stage = stage
        self._target = target
        self._also = also
        self._is_chart = is_chart
        self._known: dict[str, _Known] = {}
        self._rules = IgnoreFiles(self.root)
        self._finder = ClosureFinder()
        self._watch = self._next_watch = Watch.whole(self.root)
        self._moved = anyio.Event()
        self._report = report
        self._polled: frozenset[object] | None = None

    @property
    def watched(self) -> frozenset[str]:
        """List the folders that are watched."""
        return self._watch.folders

    async def batches(self) -> AsyncIterator[frozenset[str]]:
        """Yield the paths that changed, relative to the root, without ignored ones. It never ends on its own.

        An empty set means: scan again. It is yielded when watches were set, too, since what
        changed before that was seen by nobody.
        """
        while True:
            self._moved = anyio.Event()
            watched = {folder: _identity(folder) for folder in self._watch.folders}
            try:
                with ungrouped(Exception):
                    async for batch in until_cancelled(self._changes(watched), self._moved):
                        paths = frozenset(self._relative(n) for _, n in batch if self._watch.concerns(n))
                        if paths or len(batch) > FLOOD:
                            yield paths
                        if self._is_lost(batch, watched):
                            break
            except FileNotFoundError:
                pass  # it went before the watches were set
            except (OSError, RuntimeError) as error:
                if not is_about_a_name(error):
                    await self._poll(str(error))
            # The watches went with the folder: they are set again once there is one again.
            while _identity(str(self.root)) is None:  # noqa: ASYNC110 - no event reports a new folder
                await anyio.sleep(ROOT_WAIT_S)
            yield frozenset()

    async def _poll(self, reason: str) -> None:
        """Wait until something changed, where the system watches no folders (any more)."""
        if self._polled is None:
            self._report(
                WatchLimited(
                    message=f"{self.root} can't be watched, and is polled every {POLL_S:.0f} s: {reason}",
                    hint="raise the system's limits, fs.inotify.max_user_watches and _instances, "
                    "or name a smaller --root",
                )
            )
        seen = self._polled
        while seen == self._polled:
            seen = await anyio.to_thread.run_sync(fingerprint, self._watch)
            await anyio.sleep(POLL_S if seen == self._polled else 0)
        self._polled = seen

    def _changes(
        self, watched: Mapping[str, _Identity | None]
    ) -> AsyncGenerator[set[tuple[watchfiles.Change, str]], None]:
        """Watch the present folders until others must be watched. Now and then it yields an empty set."""
        return watchfiles.awatch(
            *sorted(folder for folder, identity in watched.items() if identity and is_utf8(folder)),
            watch_filter=None,
            step=WATCH_STEP_MS,
            debounce=WATCH_GROUP_MS,
            rust_timeout=ROOT_CHECK_MS,
            yield_on_timeout=True,
            ignore_permission_denied=True,
            recursive=False,
            stop_event=self._moved,
        )

    def _is_lost(
        self, batch: set[tuple[watchfiles.Change, str]], watched: Mapping[str, _Identity | None]
    ) -> bool:
        """Report whether a watch died with its folder. One in its place may have the same identity."""
        if any(name in watched and change is not watchfiles.Change.modified for change, name in batch):
            return True
        root = str(self.root)
        return _identity(root) != watched[root]

    async def snapshot(self, touched: frozenset[str] = frozenset()) -> FolderSnapshot:
        """Copy what the target needs now. touched: paths to read again even where they look the same."""
        try:
            return await anyio.to_thread.run_sync(self._snapshot, touched)
        finally:
            self._follow_watch()

    def _follow_watch(self) -> None:
        """Let the watcher know what to watch; a snapshot that nobody waits for any more counts too."""
        is_elsewhere = self._watch.folders != self._next_watch.folders
        self._watch = self._next_watch
        if is_elsewhere:
            self._moved.set()

    def _relative(self, name: str) -> str:
        return os.path.relpath(name, self.root).replace(os.sep, "/")

    def _snapshot(self, touched: frozenset[str]) -> FolderSnapshot:
        if not is_folder(self.root):
            message, hint = f"{self.root} is gone", "restore it, or end the session"
            return FolderSnapshot(folder=self._stage, problems=(Problem(message=message, hint=hint),))
        for _ in range(SCAN_ATTEMPTS):
            scan = self._scan()
            files = {path: scan.disk.file(path) for path in sorted(scan.closure.files)}
            if too_much := tuple(over_limit(files)):
                return replace(scan.snapshot(self._stage), problems=too_much)
            self._forget(files)
            again = frozenset(scan.disk.real(path) for path in touched if not path.startswith("../"))
            if (entries := self._read(scan, files, again)) is not None:
                return replace(scan.snapshot(self._stage), tree=Tree(entries))
        message, hint = (
            "files keep vanishing while they are read",
            "save again once the files no longer change",
        )
        return FolderSnapshot(folder=self._stage, problems=(Problem(message=message, hint=hint),))

    def _scan(self) -> _Scan:
        """Find what the target needs now, and what to watch for it."""
        disk = RootDisk(str(self.root), self._rules.matcher())
        closure = self._finder.find(self._target, disk, self._also, is_chart=self._is_chart)
        problems = [*closure.problems, *disk.problems(), *self._rules.problems.values()]
        scan = _Scan(disk, closure, [*problems, *unstorable(closure.files)])
        target = "" if self._target == "." else self._target
        problems_of_rules, remarks = hidden_needs(closure, disk, target)
        scan.problems.extend(problems_of_rules)
        scan.remarks.extend(remarks)
        if rule := disk.hidden.get(target) or disk.rules.hidden_by(""):
            message = f"the target is hidden by an ignore rule: {rule}"
            scan.problems.append(Problem(path=target, message=message, hint="change the rule"))
        self._next_watch = watch_of(closure, disk, self._rules.files_besides)
        return scan

    def _read(
        self, scan: _Scan, files: Mapping[str, tuple[Path, os.stat_result]], touched: frozenset[str]
    ) -> dict[str, FileEntry] | None:
        """Read what is new or changed into the stage; None where a file vanished meanwhile."""
        entries = {}
        unstorable = {problem.path for problem in scan.problems}
        for path, (real, status) in files.items():
            stamp = _Stamp.of(status)
            known = self._known.get(path)
            if known is not None and known.is_still(stamp) and str(real) not in touched:
                entries[path] = known.entry
                continue
            if path in unstorable:
                continue
            now = time.time_ns()
            try:
                content = read_regular(real, MAX_BYTES)
            except FileNotFoundError:
                return None
            except OSError as error:
                scan.problems.append(unreadable(path, error))
                continue
            digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
            entry = FileEntry(path=path, size=len(content), digest=digest)
            if known is None or known.entry != entry:
                self._copy(path, content)
            self._known[path] = _Known(stamp, entry, is_sure=now - stamp.newest_ns > RACY_NS)
            entries[path] = entry
        return entries

    def _copy(self, path: str, content: bytes) -> None:
        """Write a file's copy. Raises TransientError where the disk refuses: there may be room later."""
        copy = self._stage / path
        try:
            try:
                copy.write_bytes(content)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                _make_room(copy)
                copy.write_bytes(content)
        except OSError as error:
            raise TransientError(
                f"the copy of {path} can't be written to {self._stage}: {error.strerror}",
                hint="check that disk: it must hold a copy of the files that the target needs",
            ) from error

    def _forget(self, found: Collection[str]) -> None:
        """Drop the copies of what is gone, before a folder may need to take a file's place."""
        for path in [path for path in self._known if path not in found]:
            del self._known[path]
            copy = self._stage / path
            copy.unlink(missing_ok=True)
            with suppress(OSError):
                for parent in copy.relative_to(self._stage).parents[:-1]:
                    (self._stage / parent).rmdir()


def _make_room(copy: Path) -> None:
    """Make the folders for a copy, where a file may have become a folder or the other way round."""
    if copy.is_dir():
        shutil.rmtree(copy)
    for parent in reversed(copy.parents):
        if parent.is_file():
            parent.unlink()
    copy.parent.mkdir(parents=True, exist_ok=True)


def _identity(folder: str) -> _Identity | None:
    """Identify a folder, so that one that replaced it differs; None if there is none."""
    try:
        status = Path(folder).stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None


def unstorable(paths: Iterable[str]) -> Iterator[Problem]:
    """Refuse names that no object in a store can have."""
    for path in sorted(paths):
        if reason := key_problem(f"{STORE_PREFIX}{path}"):
            shown = path.encode("utf-8", "backslashreplace").decode()
            can_be_written = path.isprintable()
            hint = f"rename it, or {ignoring(path)}" if can_be_written else "rename it"
            yield Problem(path=shown, message=reason, hint=hint)


def over_limit(files: Mapping[str, tuple[Path, os.stat_result]]) -> Iterator[Problem]:
    """Refuse what is too large, before any of it is read."""
    size = sum(status.st_size for _, status in files.values())
    if len(files) > MAX_FILES or size > MAX_BYTES:
        largest = max(files, key=lambda path: files[path][1].st_size)
        yield Problem(
            path=largest,
            message=f"{len(files)} files and {size / 2**20:.0f} MiB are needed, this is the largest; "
            f"at most {MAX_FILES} and {MAX_BYTES // 2**20} MiB are synced",
            hint="name a smaller target or --root, or ignore unneeded files in .sourceignore",
        )
