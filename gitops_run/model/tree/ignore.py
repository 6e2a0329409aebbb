"""Which files of a root are not part of a session: .gitignore, .sourceignore and a few built-in rules.

This module knows git's meaning of ignore files: each holds for its directory and below, the deepest one that
has an opinion wins, and what lies in an ignored directory can't be brought back. Where the root lies within a
git work tree, the files of the directories above it count too. .sourceignore is read the same way, but on its
own and from the root on: it can leave out more, it can't bring back what git ignores. A link to a directory
is a directory here, since it is followed as content. No rule of git's ignores what git tracks, and in a
submodule only its own rules count. It reads nothing: the caller hands in the texts.
Source: gitignore(5), git's dir.c.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from gitops_run.model.tree.git_index import GitIndex
from gitops_run.model.tree.wildmatch import Pattern, parse_pattern

GIT_RULES_FILE = ".gitignore"
FLUX_RULES_FILE = ".sourceignore"
RULES_FILES = (GIT_RULES_FILE, FLUX_RULES_FILE)
GIT_EXCLUDE_FILE = ".git/info/exclude"

BUILT_IN_RULES = (
    ".git",  # a folder, or a file in a worktree
    FLUX_RULES_FILE,  # applied here; Flux must not apply it a second time
    "*.sw[a-p]",  # Vim's swap files
    "4913",  # Vim's probe whether a directory can be written
    "*~",  # backups of Vim, Emacs and others
    ".#*",  # Emacs' locks
    r"\#*#",  # Emacs' unsaved files
    "*___jb_tmp___",  # JetBrains' safe writes
    "*___jb_old___",
    ".DS_Store",
)

ReadRules = Callable[[str], str | None]
"""Reads an ignore file by its path relative to the root, "../.gitignore" too; None where there is none."""

ReadIndex = Callable[[str], GitIndex | None]
"""Reads the index of a work tree by its path in the root's one: "" for that, "a/b/" for a submodule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Name the rule that hides a file. source: the file that has it, relative to the root."""

    source: str
    line: int
    pattern: str

    @property
    def is_of_git(self) -> bool:
        """Report whether git knows this rule."""
        return self.source.endswith((GIT_RULES_FILE, GIT_EXCLUDE_FILE))

    def __str__(self) -> str:
        if not self.source:
            return f"{self.pattern} (built in)"
        return f"{self.pattern} in {self.source}:{self.line}"


@dataclass(frozen=True, slots=True)
class _RuleSet:
    """Hold the rules of one file. directory: in the work tree; "" for its top, or with a trailing "/"."""

    directory: str
    rules: tuple[tuple[Pattern, Rule], ...]
    """The last one first, since that has the last word."""

    def verdict(self, key: str, *, is_dir: bool) -> tuple[bool, Rule] | None:
        """Decide on a path in the work tree; None has no opinion."""
        path = key[len(self.directory) :].encode("utf-8", "surrogateescape")
        for pattern, rule in self.rules:
            if pattern.matches(path, is_dir=is_dir):
                return not pattern.is_negative, rule
        return None


def _rule_set(source: str, directory: str, text: str) -> _RuleSet:
    # Not splitlines: a form feed or U+2028 is part of a name to git.
    lines = text.removeprefix("\ufeff").split("\n")
    found = [
        (pattern, Rule(source=source, line=number, pattern=line.strip()))
        for number, line in enumerate(lines, 1)
        if (pattern := parse_pattern(line)) is not None
    ]
    return _RuleSet(directory, tuple(reversed(found)))


@dataclass(frozen=True, slots=True)
class Matcher:
    """Decide which paths are ignored. Made by `matcher`; an ignore file is asked for where it matters."""

    read: ReadRules = field(repr=False)
    place: str
    git_exclude: str = field(repr=False)
    read_index: ReadIndex = field(compare=False, repr=False)
    _sets: dict[tuple[str, str], _RuleSet | None] = field(default_factory=dict, compare=False, repr=False)
    _known: dict[tuple[str, str | None], Rule | None] = field(default_factory=dict, compare=False, repr=False)
    _holding: dict[tuple[str, str, str], tuple[_RuleSet, ...]] = field(
        default_factory=dict, compare=False, repr=False
    )
    _above: dict[tuple[str, str | None], Rule | None] = field(default_factory=dict, compare=False, repr=False)

    def hidden_by(self, path: str, *, is_dir: bool = False) -> Rule | None:
        """Find the rule that ignores a path, or one of the directories that hold it.

        path: relative to the root, with "/", without a trailing one; "" for the root itself. The index is
        read only where a rule of git hides something.
        """
        whole, is_dir = f"{self.place}{path}".removesuffix("/"), is_dir or not path
        if not whole:
            return None
        top = ""
        while (rule := self._rule(whole, top, is_dir=is_dir)) is not None and rule.is_of_git:
            index = self.read_index(top)
            if index is None:
                break
            if submodule := index.submodule_around(whole[len(top) :]):
                top = f"{top}{submodule}/"
            elif index.tracks(whole[len(top) :]):
                return self._rule(whole, None, is_dir=is_dir)
            else:
                break
        return rule

    def _rule(self, whole: str, top: str | None, *, is_dir: bool) -> Rule | None:
        """Find a rule. top: where the work tree begins whose rules of git count; None for none of them."""
        parent = whole.rpartition("/")[0]
        key = (parent, top)
        if key not in self._above:
            self._above[key] = self._above_all(parent, top)
        return self._above[key] or self._own(whole, top, is_dir=is_dir)

    def _above_all(self, folder: str, top: str | None) -> Rule | None:
        """Find the rule that ignores a folder, or one that holds it: the uppermost decides."""
        path = ""
        for name in folder.split("/") if folder else ():
            path = f"{path}/{name}" if path else name
            if (rule := self._own(path, top, is_dir=True)) is not None:
                return rule
        return None

    def _own(self, whole: str, top: str | None, *, is_dir: bool) -> Rule | None:
        """Find the rule that ignores this very path, or remember it."""
        key = (f"{whole}/" if is_dir else whole, top)
        if key not in self._known:
            self._known[key] = self._own_rule(whole, top, is_dir=is_dir)
        return self._known[key]

    def _own_rule(self, whole: str, top: str | None, *, is_dir: bool) -> Rule | None:
        parent = whole.rpartition("/")[0]
        starts = {"": self.place, GIT_RULES_FILE: top, FLUX_RULES_FILE: self.place}
        for name, start in starts.items():
            if start is None or not whole.startswith(start):
                continue
            for rules in self._opinions(name, f"{parent}/" if parent else "", start):
                verdict = rules.verdict(whole, is_dir=is_dir)
                if verdict is not None:
                    if verdict[0]:
                        return verdict[1]
                    break
        return None

    def _opinions(self, name: str, directory: str, start: str) -> tuple[_RuleSet, ...]:
        """List the rules of one kind that hold in a directory of the work tree, the deepest first.

        start: the directory where rules of this kind begin.
        """
        if not name:
            built_in = self._set(name, "")
            return () if built_in is None else (built_in,)
        key = (name, directory, start)
        if key not in self._holding:
            above = directory[: directory.rstrip("/").rfind("/") + 1]
            weakest = self._exclude(start) if name == GIT_RULES_FILE else None
            weaker = (weakest,) if directory == start else self._opinions(name, above, start)
            found = (self._set(name, directory), *weaker)
            self._holding[key] = tuple(rules for rules in found if rules is not None)
        return self._holding[key]

    def _exclude(self, start: str) -> _RuleSet | None:
        """Find the rules of .git/info/exclude, which a submodule has not."""
        if start or not self.git_exclude:
            return None
        key = (GIT_EXCLUDE_FILE, "")
        if key not in self._sets:
            up = "../" * self.place.count("/")
            self._sets[key] = _rule_set(f"{up}{GIT_EXCLUDE_FILE}", "", self.git_exclude)
        return self._sets[key]

    def _set(self, name: str, directory: str) -> _RuleSet | None:
        key = (name, directory)
        if key not in self._sets:
            if name:
                source = self._from_root(directory) + name
                text = self.read(source)
            else:
                source, directory, text = "", self.place, "\n".join(BUILT_IN_RULES)
            self._sets[key] = None if text is None else _rule_set(source, directory, text)
        return self._sets[key]

    def _from_root(self, directory: str) -> str:
        """Name a directory of the work tree relative to the root: "a/", or "../" above it."""
        if directory.startswith(self.place):
            return directory[len(self.place) :]
        return "../" * (self.place.count("/") - directory.count("/"))


def matcher(
    read: ReadRules,
    *,
    place: str = "",
    git_exclude: str = "",
    read_index: ReadIndex = lambda _: None,
) -> Matcher:
    """Build the matcher of a root.

    place: the root's path in its git work tree, "" where it is the top or there is none.
    git_exclude: the content of .git/info/exclude, the weakest of git's rules.
    read_index: finds what git tracks; otherwise nothing is tracked.
    """
    return Matcher(read, re.sub("(?<=[^/])$", "/", place), git_exclude, read_index)


def ignoring(path: str) -> str:
    """Describe how a file is ignored: the line of .sourceignore that hides it, and nothing else."""
    pattern = re.sub(r"([\\*?\[])", r"\\\1", path)
    pattern = f"{pattern[:-1]}\\ " if pattern.endswith(" ") else pattern
    return f"ignore it: add the line /{pattern} to .sourceignore in the root"
