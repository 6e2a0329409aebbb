"""The files of a session as values: what a snapshot holds, and what a push must do.

This module knows paths, sizes and digests. It knows nothing of disks, stores or Flux; `model.store` knows how
a store names and tags what this describes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """Describe one file. path: relative to the root, with "/". digest: MD5 of its bytes, 32 hex digits.

    MD5, since that is the ETag of a plain upload: a listing can then be compared without reading.
    """

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Tree:
    """Hold the files of one snapshot by path."""

    files: Mapping[str, FileEntry] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[FileEntry]) -> Tree:
        """Build a tree from entries in any order. Raises ValueError on a path that occurs twice."""
        files: dict[str, FileEntry] = {}
        for entry in entries:
            if entry.path in files:
                raise ValueError(f"{entry.path} occurs twice")
            files[entry.path] = entry
        return cls(files)

    @property
    def digests(self) -> dict[str, str]:
        """Map each path to its digest."""
        return {path: entry.digest for path, entry in self.files.items()}

    def has_files_in(self, directory: str) -> bool:
        """Report whether any file lies in this directory or below it; "." is the root."""
        if directory == ".":
            return bool(self.files)
        return any(path.startswith(f"{directory}/") for path in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """List what turns one tree into another: paths to put, then paths to delete, each sorted."""

    puts: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Report whether there is nothing to do."""
        return not self.puts and not self.deletes

    @property
    def is_single(self) -> bool:
        """Report whether one operation does it all, so that the store is never between two trees."""
        return len(self.puts) + len(self.deletes) == 1

    @property
    def shadowing(self) -> tuple[str, ...]:
        """List the deletes that a put needs done first: a file that became a folder, or the other way round.

        Stores that keep objects as files can't hold both at once.
        """
        folders = {parent for path in self.puts for parent in _parents(path)}
        puts = set(self.puts)
        return tuple(path for path in self.deletes if path in folders or puts.intersection(_parents(path)))

    @property
    def paths(self) -> tuple[str, ...]:
        """List every path that the plan touches, sorted."""
        return tuple(sorted((*self.puts, *self.deletes)))


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


def diff(old: Mapping[str, str], new: Mapping[str, str]) -> Plan:
    """Compare two mappings of path to digest and plan the way from the old to the new one."""
    return Plan(
        puts=tuple(sorted(path for path, digest in new.items() if old.get(path) != digest)),
        deletes=tuple(sorted(path for path in old if path not in new)),
    )


def edited_file(old: Mapping[str, str], tree: Tree) -> str:
    """Name the one file whose content is all that differs from old; "" where more differs, or less.

    old: digests by path. A file that is empty now does not count: it may have been truncated to be written.
    """
    plan = diff(old, tree.digests)
    path = plan.puts[0] if plan.is_single and plan.puts else ""
    return path if path in old and tree.files[path].size else ""
