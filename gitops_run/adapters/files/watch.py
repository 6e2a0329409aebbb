"""The folders to watch for a closure, and the events that matter to it.

This module knows folders, links and what an event's path means. Folders are watched one by one, never with
what lies below, so that a watch costs what the target needs. All paths of events are real ones: links are
resolved here.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gitops_run.adapters.files.disk import RootDisk
from gitops_run.adapters.files.reading import is_folder
from gitops_run.model.tree.closure import Closure
from gitops_run.model.tree.ignore import RULES_FILES, Matcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Hold what is watched, as absolute real paths.

    folders: to be watched. paths: whose changes matter. listed: folders whose members all matter, to the
    paths that the rules know them by.
    """

    folders: frozenset[str]
    paths: frozenset[str]
    listed: Mapping[str, str]
    rules: Matcher | None = field(default=None, compare=False)

    @classmethod
    def whole(cls, root: Path) -> Watch:
        """Watch a root of which nothing is known yet."""
        name = str(root)
        return cls(folders=frozenset({name}), paths=frozenset(), listed={name: ""})

    def concerns(self, path: str) -> bool:
        """Report whether a change of this path may change a snapshot."""
        folder, _, name = path.rpartition("/")
        if path in self.paths or name in RULES_FILES:
            return True
        known_as = self.listed.get(folder)
        if known_as is None:
            return False
        inside = f"{known_as}/{name}" if known_as else name
        return self.rules is None or self.rules.hidden_by(inside) is None


def watch_of(closure: Closure, disk: RootDisk, also: Collection[Path]) -> Watch:
    """Find what to watch for a closure. also: further ignore files."""
    named = {parent for path in (*closure.files, *closure.missing) for parent in (path, *_parents(path))}
    named |= {parent for path in closure.listed for parent in (path, *_parents(path))}
    paths = {disk.real(path) for path in named} | {f"{disk.root}/{path}" for path in named if path}
    paths |= {os.path.realpath(file) for file in also}
    for hop in disk.hops:
        paths |= {hop, *_parents_within(hop, disk.root)}
    folders = {os.path.dirname(path) for path in paths} | {disk.real(path) for path in closure.listed}  # noqa: PTH120
    inside = {os.path.realpath(folder) for folder in folders if _is_below(folder, disk.root)}
    inside |= {disk.root, *(os.path.realpath(file.parent) for file in also)}
    return Watch(
        folders=frozenset(folder for folder in inside if is_folder(folder)),
        paths=frozenset(paths),
        listed={disk.real(path): path for path in closure.listed},
        rules=disk.rules,
    )


def fingerprint(watch: Watch) -> frozenset[tuple[str, int, int, int, int]]:
    """Look at all that a watch would report on, for when the system watches nothing."""
    found = set()
    for folder in watch.folders:
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if watch.concerns(entry.path):
                    status = entry.stat(follow_symlinks=False)
                    times = (status.st_mtime_ns, status.st_ctime_ns)
                    found.add((entry.path, status.st_ino, status.st_size, *times))
    return frozenset(found)


def is_utf8(path: str) -> bool:
    """Report whether watchfiles can watch a folder; one whose name is not UTF-8 has no S3 keys either."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_about_a_name(error: Exception) -> bool:
    """Report whether a watch ended because a file's name is not UTF-8. Its other events are lost with it.

    watchfiles (1.2) reports that only by its text.
    """
    return isinstance(error, RuntimeError) and "Unable to decode path" in str(error)


def _parents(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path


def _parents_within(path: str, root: str) -> Iterator[str]:
    while _is_below(path := path.rpartition("/")[0], root):
        yield path


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root.rstrip('/')}/")
