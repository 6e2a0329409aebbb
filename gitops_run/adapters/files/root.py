"""Where a root is, and what git says about it: the work tree around it, its ignore files.

Knows git's layout on disk: work trees whose .git is a file, directories that they share. Runs no git.
Source: gitrepository-layout(5).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from gitops_run.errors import UsageError
from gitops_run.model.ignore import GIT_EXCLUDE_FILE, GIT_RULES_FILE, Matcher, matcher


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
    return _work_tree(target) or target


class IgnoreFiles:
    """Read the ignore rules of a root, and keep them parsed as long as their files stay the same."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._texts: dict[str, str | None] = {}
        self._exclude = ""
        self._exclude_file = root / GIT_EXCLUDE_FILE
        self._matcher: Matcher | None = None
        self._top = root

    @property
    def files_besides(self) -> tuple[Path, ...]:
        """List the files of rules that count and lie in no folder of the root, there or not."""
        above = len(self._root.relative_to(self._top).parts)
        folders = tuple(self._root.parents[index] for index in range(above))
        return (*(folder / GIT_RULES_FILE for folder in folders), self._exclude_file)

    def matcher(self) -> Matcher:
        """Hand out the rules as they are now."""
        top = _work_tree(self._root) or self._root
        self._exclude_file = _git_folder(top) / "info" / "exclude"
        exclude = _text(self._exclude_file) or ""
        is_same = (top, exclude) == (self._top, self._exclude)
        is_same = is_same and all(_text(self._root / path) == text for path, text in self._texts.items())
        if self._matcher is None or not is_same:
            self._top, self._exclude, self._texts = top, exclude, {}
            place = self._root.relative_to(top).as_posix().removeprefix(".")
            self._matcher = matcher(self._read, place=place, git_exclude=exclude)
        return self._matcher

    def _read(self, path: str) -> str | None:
        self._texts[path] = _text(self._root / path)
        return self._texts[path]


def _work_tree(folder: Path) -> Path | None:
    return next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), None)


def _git_folder(top: Path) -> Path:
    """Find the directory that all work trees of a repository share. Source: gitrepository-layout(5)."""
    link = _text(top / ".git")
    if link is None or not link.startswith("gitdir:"):
        return top / ".git"
    folder = top / link.removeprefix("gitdir:").strip()
    common = _text(folder / "commondir")
    return folder / common.strip() if common else folder


def _text(path: Path) -> str | None:
    with suppress(OSError):
        return path.read_text("utf-8", errors="surrogateescape")
    return None
