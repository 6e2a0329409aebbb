"""Where a root is, and what git says about it: the work tree around it, its ignore files, what is tracked.

This module knows git's layout on disk: work trees whose .git is a file, directories that they share. It runs
no git.
Source: gitrepository-layout(5).
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from gitops_run.adapters.files.reading import read_regular
from gitops_run.errors import UsageError
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.git_index import SHA1_BYTES, SHA256_BYTES, GitIndex, parse_git_index
from gitops_run.model.tree.ignore import GIT_EXCLUDE_FILE, GIT_RULES_FILE, Matcher, matcher

RULES_BYTES_MAX: Final = 256 * 1024
"""Thirty thousand rules, which take seconds to translate."""
INDEX_BYTES_MAX: Final = 128 * 1024 * 1024
"""An index of a million files."""
_SHA256: Final = re.compile(r"^\s*objectformat\s*=\s*sha256\s*$", re.IGNORECASE | re.MULTILINE)

_Stamp = tuple[int, int, int] | None


def find_root(target: Path, root: Path | None = None) -> Path:
    """Find the root of a target: the given one, otherwise its git work tree, otherwise the target.

    Raises UsageError where the target doesn't exist, is a file, or lies outside the root.
    """
    try:
        is_there = target.exists()
    except OSError as error:
        raise UsageError(
            f"{target} can't be used: {error.strerror}", hint="name another directory"
        ) from error
    if not is_there:
        raise UsageError(f"{target} doesn't exist", hint="name a directory that exists")
    if not target.is_dir():
        raise UsageError(f"{target} is a file", hint=f"name its directory: {target.parent}")
    target = target.resolve()
    _refuse_unwatchable(target)
    if root is not None:
        if not root.is_dir():
            raise UsageError(
                f"--root {root} is not a directory", hint="name a directory that contains the target"
            )
        if not target.is_relative_to(root.resolve()):
            raise UsageError(f"{target} is not within --root {root}", hint="name a root that contains it")
        return root.resolve()
    return _work_tree(target) or target


def _refuse_unwatchable(folder: Path) -> None:
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        shown = os.fsencode(folder).decode("utf-8", "backslashreplace")
        raise UsageError(
            f"{shown} can't be watched: its name is not UTF-8", hint="rename the folder"
        ) from error


class IgnoreFiles:
    """Read the ignore rules of a root, and keep them parsed as long as their files stay the same.

    What is no file, or can't be read, has no rules, as with git. problems: files that are too large.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.problems: dict[str, Problem] = {}
        self._texts: dict[str, str | None] = {}
        self._exclude = ""
        self._exclude_file = root / GIT_EXCLUDE_FILE
        self._matcher: Matcher | None = None
        self._top = root
        self._indexes: dict[Path, tuple[_Stamp, GitIndex | None]] = {}

    @property
    def files_besides(self) -> tuple[Path, ...]:
        """List the files of rules that count and lie in no folder of the root, there or not.

        An index counts once it was asked for: git writes it often, and mostly no rule hides what is needed.
        """
        above = len(self._root.relative_to(self._top).parts)
        folders = tuple(self._root.parents[index] for index in range(above))
        return (*(folder / GIT_RULES_FILE for folder in folders), self._exclude_file, *self._indexes)

    def matcher(self) -> Matcher:
        """Hand out the rules as they are now."""
        top = _work_tree(self._root) or self._root
        self._exclude_file = _git_folder(top) / "info" / "exclude"
        self.problems = {}
        exclude = self._rules(self._exclude_file, GIT_EXCLUDE_FILE) or ""
        of_exclude = dict(self.problems)
        is_same = (top, exclude) == (self._top, self._exclude)
        texts = {path: self._rules(self._root / path, path) for path in self._texts}
        is_same = is_same and all(_stamp(file) == stamp for file, (stamp, _) in self._indexes.items())
        if self._matcher is None or not is_same or texts != self._texts:
            self._top, self._exclude, self._texts, self.problems = top, exclude, {}, of_exclude
            place = "" if top == self._root else self._root.relative_to(top).as_posix()
            self._indexes = {}
            self._matcher = matcher(self._read, place=place, git_exclude=exclude, read_index=self._read_index)
        return self._matcher

    def _read_index(self, place: str) -> GitIndex | None:
        """Read the index of a work tree once. place: "" for the root's, otherwise a submodule in it."""
        folder = _own_git_folder(self._top / place)
        file = folder / "index"
        if file not in self._indexes:
            stamp = _stamp(file)
            self._indexes[file] = (stamp, _index(file, _common_folder(folder)) if stamp else None)
        return self._indexes[file][1]

    def _read(self, path: str) -> str | None:
        self._texts[path] = self._rules(self._root / path, path)
        return self._texts[path]

    def _rules(self, file: Path, path: str) -> str | None:
        """Read a file of rules. Since 2.32, git follows no link of the name .gitignore."""
        try:
            content = read_regular(file, RULES_BYTES_MAX, is_link_followed=not path.endswith(GIT_RULES_FILE))
        except OSError as error:
            if error.errno == errno.EFBIG:
                message, hint = f"its rules can't be read: {error.strerror}", "remove rules from it"
                self.problems[path] = Problem(path=path, message=message, hint=hint)
            return None
        return content.decode("utf-8", "surrogateescape")


def _work_tree(folder: Path) -> Path | None:
    return next((parent for parent in (folder, *folder.parents) if _is_there(parent / ".git")), None)


def _is_there(path: Path) -> bool:
    with suppress(OSError):
        return path.exists()
    return False


def _git_folder(top: Path) -> Path:
    """Find the directory that all work trees of a repository share. Source: gitrepository-layout(5)."""
    return _common_folder(_own_git_folder(top))


def _own_git_folder(top: Path) -> Path:
    """Find the directory of one work tree; that of a submodule or another work tree lies elsewhere."""
    link = _text(top / ".git")
    if link is None or not link.startswith("gitdir:"):
        return top / ".git"
    return top / link.removeprefix("gitdir:").strip()


def _common_folder(folder: Path) -> Path:
    common = _text(folder / "commondir")
    return folder / common.strip() if common else folder


def _stamp(file: Path) -> _Stamp:
    """Identify one content of an index: git writes each to a new file."""
    with suppress(OSError):
        status = file.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns
    return None


def _index(file: Path, common: Path) -> GitIndex | None:
    """Read what is tracked; None if that can't be determined, so that the rules alone count."""
    with suppress(OSError):
        name_bytes = SHA256_BYTES if _SHA256.search(_text(common / "config") or "") else SHA1_BYTES
        return parse_git_index(read_regular(file, INDEX_BYTES_MAX), name_bytes=name_bytes)
    return None


def _text(path: Path) -> str | None:
    with suppress(OSError):
        return read_regular(path, RULES_BYTES_MAX).decode("utf-8", "surrogateescape")
    return None
