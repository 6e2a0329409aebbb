"""What one scan sees of a root: files, folders and links by their paths, without what is hidden.

This module knows stat and links. A link within the root is its content, one that leaves it is a problem for
whoever needs it. Each path is looked at once, so that a scan is of one mind about it.
"""

from __future__ import annotations

import codecs
import errno
import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from gitops_run.adapters.files.reading import NO_FILE_MESSAGE, read_regular
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.closure import DEPTH_MAX, Found
from gitops_run.model.tree.ignore import Matcher, Rule, ignoring

LINKS_MAX: Final = 40
"""Links that lead to links; as many as Linux follows."""
NAMES_MAX: Final = 200_000
"""How many names one scan lists: ten times the files that are synced, since most may not be needed."""
TEXT_BYTES_MAX: Final = 1024 * 1024
"""A file that is read to find what it names. The largest kustomizations have a tenth of that."""


@dataclass(slots=True)
class RootDisk:
    """Look at a root. hidden: the rules that hid what was looked for. hops: where links led, absolute."""

    root: str
    rules: Matcher
    hidden: dict[str, Rule] = field(default_factory=dict)
    hops: set[str] = field(default_factory=set)
    _found: dict[str, Found | None] = field(default_factory=dict)
    _real: dict[str, str] = field(default_factory=dict)
    _status: dict[str, os.stat_result] = field(default_factory=dict)
    _unread: dict[str, Problem] = field(default_factory=dict)
    _names_left: int = field(default_factory=lambda: NAMES_MAX)

    def look(self, path: str) -> Found | None:
        """Describe what is at a path; None where nothing is, or an ignore rule hides it."""
        if path not in self._found:
            self._found[path] = self._look(path) if path.count("/") < DEPTH_MAX else self._deep(path)
        return self._found[path]

    def names(self, folder: str) -> list[str]:
        """List a folder, sorted; empty where it vanished."""
        if self.look(folder) is None:
            return []
        try:
            with os.scandir(self._real[folder]) as entries:
                names = sorted(entry.name for entry in islice(entries, self._names_left + 1))
        except FileNotFoundError:
            return []
        except OSError as error:
            self._found[folder] = Found(is_folder=True, problem=unreadable(folder, error))
            return []
        self._names_left -= len(names)
        if self._names_left < 0:
            self._names_left = 0
            message = f"with this folder, more than {NAMES_MAX} files and folders are needed"
            hint = "name a smaller target or --root, or ignore unneeded files in .sourceignore"
            problem = Problem(path=folder, message=message, hint=hint)
            self._found[folder] = Found(is_folder=True, problem=problem)
            return []
        return names

    def text(self, path: str) -> str | None:
        """Read a file; None where that fails."""
        found = self.look(path)
        if found is None or found.is_folder or found.problem:
            return None
        try:
            return _decoded(read_regular(self._real[path], TEXT_BYTES_MAX))
        except FileNotFoundError:
            return None
        except OSError as error:
            self._unread[path] = unreadable(path, error)
            return None

    def led_to(self, path: str) -> str:
        """Follow the links in a path that was found; relative to the root."""
        real = self._real.get(path)
        return path if real is None else real.removeprefix(self.root).removeprefix("/")

    def stand_in(self, path: str, source: str) -> None:
        """Let what was found at source be found at a path where nothing is, too."""
        self._found[path] = self._found[source]
        self._real[path], self._status[path] = self._real[source], self._status[source]

    def file(self, path: str) -> tuple[Path, os.stat_result]:
        """Hand out the real path and the status of a file that was found."""
        return Path(self._real[path]), self._status[path]

    def real(self, path: str) -> str:
        """Follow the links in a path as far as it exists; absolute, without "..", perhaps not there."""
        rest = ""
        while path:
            if self.look(path) is not None and path in self._real:
                return f"{self._real[path]}{rest}"
            path, _, name = path.rpartition("/")
            rest = f"/{name}{rest}"
        return f"{self.root}{rest}"

    def problems(self) -> Iterator[Problem]:
        """List the folders that could not be listed, and the files that could not be read for their names."""
        yield from self._unread.values()
        for path, found in self._found.items():
            if found is not None and found.problem is not None and path in self._real and found.is_folder:
                yield found.problem

    def _look(self, path: str) -> Found | None:
        if not path:
            self._real[""] = self.root
            return Found(is_folder=True)
        parent, _, name = path.rpartition("/")
        above = self.look(parent)
        if above is None or not above.is_folder:
            return None
        if above.problem is not None:
            return above
        real = f"{self._real[parent]}/{name}"
        try:
            return self._classify(path, real)
        except (FileNotFoundError, NotADirectoryError):
            self._is_hidden(path, is_dir=False)
            return None
        except OSError as error:
            return Found(problem=unreadable(path, error))

    def _deep(self, path: str) -> Found | None:
        """Look no deeper than some folder, however long a path is that a file names."""
        above = "/".join(path.split("/")[:DEPTH_MAX])
        found = self.look(above)
        if found is None or found.problem is not None:
            return found
        if not found.is_folder:
            return None
        message = f"this folder is nested deeper than {DEPTH_MAX} others"
        return Found(problem=Problem(path=above, message=message, hint=f"move it, or {ignoring(above)}"))

    def _classify(self, path: str, real: str) -> Found | None:
        status = os.lstat(real)
        if stat.S_ISLNK(status.st_mode):
            return self._link(path, real)
        is_dir = stat.S_ISDIR(status.st_mode)
        if self._is_hidden(path, is_dir=is_dir):
            return None
        self._real[path], self._status[path] = real, status
        return self._usable(path, status)

    def _usable(self, path: str, status: os.stat_result) -> Found:
        """Distinguish files and folders from pipes, sockets and devices."""
        is_dir = stat.S_ISDIR(status.st_mode)
        if not is_dir and not stat.S_ISREG(status.st_mode):
            return Found(
                problem=Problem(path=path, message=NO_FILE_MESSAGE, hint=f"remove it, or {ignoring(path)}")
            )
        return Found(is_folder=is_dir)

    def _link(self, path: str, link: str) -> Found | None:
        is_dir = Path(link).is_dir()
        if self._is_hidden(path, is_dir=is_dir):
            return None
        self.hops.update(_hops(link))
        try:
            real = os.path.realpath(link, strict=True)
        except FileNotFoundError:
            hint = f"correct it, or {ignoring(path)}"
            return Found(problem=Problem(path=path, message="this link points to nothing", hint=hint))
        if not f"{real}/".startswith(f"{self.root.rstrip('/')}/"):
            return Found(is_folder=is_dir, problem=_leaves_root(path))
        if is_dir and real in self._trail(path):
            message = "this link points to a folder that contains it"
            return Found(is_folder=True, problem=Problem(path=path, message=message))
        self.hops.add(real)
        self._real[path], self._status[path] = real, Path(real).stat()
        return self._usable(path, self._status[path])

    def _trail(self, path: str) -> Iterator[str]:
        while path:
            path = path.rpartition("/")[0]
            yield self._real[path]

    def _is_hidden(self, path: str, *, is_dir: bool) -> bool:
        rule = self.rules.hidden_by(path, is_dir=is_dir)
        if rule is not None:
            self.hidden[path] = rule
        return rule is not None


def _decoded(content: bytes) -> str:
    """Decode a text as the YAML libraries of kustomize do: a byte order mark indicates UTF-16."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf16 else "utf-8", "replace")


def _hops(link: str) -> Iterator[str]:
    """Name where a link leads, and where that leads if it's a link."""
    for _ in range(LINKS_MAX):
        path = Path(link)
        if not path.is_symlink():
            return
        link = os.path.normpath(path.parent / path.readlink())
        yield link


def unreadable(path: str, error: OSError) -> Problem:
    """Report that something is there, but may not be read."""
    is_forbidden = error.errno in (errno.EACCES, errno.EPERM)
    mend = f"chmod u+r {shlex.quote(path)}" if is_forbidden else "replace it"
    return Problem(path=path, message=f"can't be read: {error.strerror}", hint=f"{mend}, or {ignoring(path)}")


def _leaves_root(path: str) -> Problem:
    return Problem(
        path=path,
        message="this link points outside the root",
        hint=f"copy the file, name a wider --root, or {ignoring(path)}",
    )
