"""A session's root on disk: what changed, and a stable copy of what is there.

Knows watchfiles, stat and hashing. The copy (the stage) is what is rendered and uploaded, so that a file
which changes meanwhile can't get into a save half way. Never writes into the root itself.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import watchfiles

from gitops_run.errors import BackendError, UsageError
from gitops_run.model.ignore import RULES_FILES, Matcher, Rule, matcher
from gitops_run.model.problem import Problem
from gitops_run.model.session import STORE_PREFIX
from gitops_run.model.store import key_problem
from gitops_run.model.tree import FileEntry, Tree

MAX_FILES: Final = 20_000
MAX_BYTES: Final = 256 * 1024 * 1024
WATCH_STEP_MS: Final = 10
WATCH_GROUP_MS: Final = 30
SCAN_ATTEMPTS: Final = 5
ROOT_CHECK_MS: Final = 500
"""How often it is looked whether the root is still the folder that is watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Hold one state of the root. folder: a copy of its files. problems: why it can't be saved."""

    tree: Tree
    folder: Path
    problems: tuple[Problem, ...] = ()
    rules: Matcher = field(default_factory=lambda: matcher({}), repr=False)

    def read_bytes(self, path: str) -> bytes:
        """Read a file of this snapshot."""
        return (self.folder / path).read_bytes()

    def read_text(self, path: str) -> str | None:
        """Read a file of this snapshot as text; None where it has no such file."""
        if path not in self.tree.files:
            return None
        return (self.folder / path).read_text(encoding="utf-8", errors="replace")

    def hidden_by(self, path: str) -> Rule | None:
        """Find the ignore rule that hides a path."""
        return self.rules.hidden_by(path)


@dataclass(frozen=True, slots=True)
class _Stamp:
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> _Stamp:
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


class WorkTree:
    """Watch one root and take snapshots of it. One at a time: a snapshot overwrites the stage."""

    def __init__(self, root: Path, stage: Path) -> None:
        self.root = root.resolve()
        self._stage = stage
        self._known: dict[str, tuple[_Stamp, FileEntry]] = {}
        self._rules = matcher({})

    async def batches(self) -> AsyncIterator[frozenset[str]]:
        """Yield the paths that changed, relative to the root, without ignored ones. Never ends by itself."""
        while True:
            watched = _identity(self.root)
            try:
                async for batch in self._changes():
                    if paths := frozenset(path for _, name in batch if (path := self._relevant(name))):
                        yield paths
                    # Its own removal is looked for too: the folder in its place may have the same inode.
                    if (watchfiles.Change.deleted, str(self.root)) in batch or _identity(
                        self.root
                    ) != watched:
                        break
            except FileNotFoundError:
                pass  # it went before the watches were set
            except (OSError, RuntimeError) as error:
                raise BackendError(
                    f"{self.root} can't be watched: {error}",
                    hint="raise the system's limits, fs.inotify.max_user_watches and _instances, "
                    "or name a smaller --root",
                ) from error
            # The watches went with the folder: they are set anew once there is one again.
            while _identity(self.root) is None:  # noqa: ASYNC110 - nothing tells when a folder appears
                await anyio.sleep(ROOT_CHECK_MS / 1000)
            yield frozenset()

    def _changes(self) -> AsyncGenerator[set[tuple[watchfiles.Change, str]], None]:
        """Watch the root as it is now; nothing is told each ROOT_CHECK_MS, too."""
        return watchfiles.awatch(
            self.root,
            watch_filter=None,
            step=WATCH_STEP_MS,
            debounce=WATCH_GROUP_MS,
            rust_timeout=ROOT_CHECK_MS,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        )

    async def snapshot(self, touched: frozenset[str] = frozenset()) -> Snapshot:
        """Copy what is there now. touched: paths to read again even where size and times look the same."""
        return await anyio.to_thread.run_sync(self._snapshot, touched)

    def _relevant(self, name: str) -> str:
        path = os.path.relpath(name, self.root).replace(os.sep, "/")
        if path == "." or path.startswith("../"):
            return ""
        if path.rpartition("/")[2] in RULES_FILES:
            return path
        return "" if self._rules.hidden_by(path) else path

    def _snapshot(self, touched: frozenset[str]) -> Snapshot:
        if not self.root.is_dir():
            problem = Problem(message=f"{self.root} is gone", hint="bring it back, or end the session")
            return Snapshot(tree=Tree(), folder=self._stage, problems=(problem,))
        for _ in range(SCAN_ATTEMPTS):
            scan = _Scan(self.root)
            scan.run()
            if too_much := tuple(_over_limit(scan.files)):
                return Snapshot(tree=Tree(), folder=self._stage, problems=too_much, rules=scan.rules)
            self._forget(scan.files)
            if (entries := self._read(scan, touched)) is not None:
                break
        else:
            problem = Problem(
                message="files keep vanishing while they are read", hint="save again when it's quiet"
            )
            return Snapshot(tree=Tree(), folder=self._stage, problems=(problem,))
        self._rules = scan.rules
        problems = tuple(scan.problems)
        return Snapshot(tree=Tree(entries), folder=self._stage, problems=problems, rules=scan.rules)

    def _read(self, scan: _Scan, touched: frozenset[str]) -> dict[str, FileEntry] | None:
        """Read what is new or changed into the stage; None where a file vanished meanwhile."""
        entries = {}
        for path, (real, status) in scan.files.items():
            stamp = _Stamp.of(status)
            known = self._known.get(path)
            if known is not None and known[0] == stamp and path not in touched:
                entries[path] = known[1]
                continue
            try:
                content = real.read_bytes()
            except FileNotFoundError:
                return None
            except OSError as error:
                scan.problems.append(_unreadable(path, error))
                continue
            entry = FileEntry(
                path=path, size=len(content), digest=hashlib.md5(content, usedforsecurity=False).hexdigest()
            )
            if known is None or known[1] != entry:
                copy = self._stage / path
                _make_room(copy)
                copy.write_bytes(content)
            self._known[path] = (stamp, entry)
            entries[path] = entry
        return entries

    def _forget(self, found: Collection[str]) -> None:
        """Drop the copies of what is gone, before a folder may have to take a file's place."""
        for path in [path for path in self._known if path not in found]:
            del self._known[path]
            copy = self._stage / path
            copy.unlink(missing_ok=True)
            with suppress(OSError):
                for parent in copy.relative_to(self._stage).parents[:-1]:
                    (self._stage / parent).rmdir()


class _Scan:
    """Walk a root once. files: path to real path and status, without what the rules ignore."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, tuple[Path, os.stat_result]] = {}
        self.problems: list[Problem] = []
        self._texts: dict[str, str] = {}
        self._exclude = _git_exclude(root)
        self.rules = matcher({}, git_exclude=self._exclude)

    def run(self) -> None:
        """Fill `files` and `problems`."""
        self._walk(self.root, "", (self.root.resolve(),))

    def _walk(self, folder: Path, prefix: str, trail: tuple[Path, ...]) -> None:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        except OSError as error:
            self.problems.append(_unreadable(prefix.rstrip("/"), error))
            return
        self._read_rules(entries, prefix)
        for entry in entries:
            self._visit(entry, f"{prefix}{entry.name}", trail)

    def _read_rules(self, entries: list[os.DirEntry[str]], prefix: str) -> None:
        found = [entry for entry in entries if entry.name in RULES_FILES]
        for entry in found:
            with suppress(OSError):
                self._texts[f"{prefix}{entry.name}"] = Path(entry.path).read_text("utf-8", errors="replace")
        if found:
            self.rules = matcher(self._texts, git_exclude=self._exclude)

    def _visit(self, entry: os.DirEntry[str], path: str, trail: tuple[Path, ...]) -> None:
        try:
            is_dir = entry.is_dir()
            if self.rules.hidden_by(path, is_dir=is_dir):
                return
            real = Path(entry.path)
            if entry.is_symlink():
                real = real.resolve(strict=True)
                if not real.is_relative_to(self.root):
                    self.problems.append(_leaves_root(path))
                    return
            if is_dir:
                if real in trail:
                    self.problems.append(
                        Problem(path=path, message="this link leads back to a folder that holds it")
                    )
                    return
                self._walk(real, f"{path}/", (*trail, real))
            elif real.is_file():
                self._add(path, real)
        except FileNotFoundError:
            if entry.is_symlink():
                self.problems.append(
                    Problem(path=path, message="this link leads nowhere", hint="mend it or ignore it")
                )
        except OSError as error:
            self.problems.append(_unreadable(path, error))

    def _add(self, path: str, real: Path) -> None:
        reason = key_problem(f"{STORE_PREFIX}{path}")
        if reason:
            shown = path.encode("utf-8", "backslashreplace").decode()
            self.problems.append(Problem(path=shown, message=reason, hint="rename it, or ignore it"))
            return
        self.files[path] = (real, real.stat())


def _git_exclude(root: Path) -> str:
    with suppress(OSError):
        return (root / ".git" / "info" / "exclude").read_text("utf-8", errors="replace")
    return ""


def _make_room(copy: Path) -> None:
    """Make the folders for a copy, where a file may have become a folder or the other way round."""
    if copy.is_dir():
        shutil.rmtree(copy)
    for parent in reversed(copy.parents):
        if parent.is_file():
            parent.unlink()
    copy.parent.mkdir(parents=True, exist_ok=True)


def _over_limit(files: Mapping[str, tuple[Path, os.stat_result]]) -> Iterator[Problem]:
    """Refuse a root that is too large, before any of it is read."""
    size = sum(status.st_size for _, status in files.values())
    if len(files) > MAX_FILES or size > MAX_BYTES:
        largest = max(files, key=lambda path: files[path][1].st_size)
        yield Problem(
            path=largest,
            message=f"the root holds {len(files)} files and {size / 2**20:.0f} MiB, this is the largest; "
            f"at most {MAX_FILES} and {MAX_BYTES // 2**20} MiB are synced",
            hint="name a smaller --root, or ignore what isn't needed in .sourceignore",
        )


def _identity(folder: Path) -> tuple[int, int] | None:
    """Tell a folder from one that took its place; None where there is none."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _unreadable(path: str, error: OSError) -> Problem:
    return Problem(
        path=path,
        message=f"can't be read: {error.strerror}",
        hint=f"chmod u+r {path}, or ignore it in .sourceignore",
    )


def _leaves_root(path: str) -> Problem:
    return Problem(
        path=path,
        message="this link leads out of the root",
        hint="copy the file, name a wider --root, or ignore it in .sourceignore",
    )


def find_root(target: Path, root: Path | None = None) -> Path:
    """Find the root of a target: the one that was named, else the git work tree that holds it, else itself.

    Raises UsageError where the target doesn't exist, is a file, or lies outside the root.
    """
    try:
        is_there = target.exists()
    except OSError as error:
        raise UsageError(
            f"{target} can't be used: {error.strerror}", hint="name another directory"
        ) from error
    if not is_there:
        raise UsageError(f"{target} doesn't exist", hint="name a directory that does")
    if not target.is_dir():
        raise UsageError(f"{target} is a file", hint=f"name its directory: {target.parent}")
    target = target.resolve()
    if root is not None:
        if not root.is_dir():
            raise UsageError(f"--root {root} is no directory", hint="name a directory that holds the target")
        if not target.is_relative_to(root.resolve()):
            raise UsageError(f"{target} doesn't lie within --root {root}", hint="name a root that holds it")
        return root.resolve()
    return next((folder for folder in (target, *target.parents) if (folder / ".git").exists()), target)
