"""Which files of a root are not part of a session: .gitignore, .sourceignore and a few built-in rules.

Knows git's meaning of ignore files: each holds for its directory and below, the deepest one that has
an opinion wins, and what lies in an ignored directory can't be brought back. .sourceignore is read the
same way, but on its own: it can leave out more, it can't bring back what git ignores. Reads nothing:
the caller hands in the texts. Source: gitignore(5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pathspec import GitIgnoreSpec

GIT_RULES_FILE = ".gitignore"
FLUX_RULES_FILE = ".sourceignore"
RULES_FILES = (GIT_RULES_FILE, FLUX_RULES_FILE)

BUILT_IN_RULES = (
    ".git",  # a folder, or a file in a worktree
    FLUX_RULES_FILE,  # applied here; Flux must not apply it a second time
    "*.sw[a-p]",  # Vim's swap files
    "4913",  # Vim's probe whether a directory can be written
    "*~",  # backups of Vim, Emacs and others
    ".#*",  # Emacs' locks
    "#*#",  # Emacs' unsaved files
    "*___jb_tmp___",  # JetBrains' safe writes
    "*___jb_old___",
    ".DS_Store",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Name the rule that hides a file. source: the file that has it, relative to the root."""

    source: str
    line: int
    pattern: str

    def __str__(self) -> str:
        if not self.source:
            return f"{self.pattern} (built in)"
        return f"{self.pattern} in {self.source}:{self.line}"


@dataclass(frozen=True, slots=True)
class _RuleSet:
    """Hold the rules of one file. directory: "" for the root, else with a trailing "/"."""

    source: str
    directory: str
    lines: Sequence[str]
    spec: GitIgnoreSpec

    def verdict(self, path: str) -> tuple[bool, Rule] | None:
        """Decide on a path relative to the root, directories with a trailing "/"; None has no opinion."""
        if not path.startswith(self.directory) or path == self.directory:
            return None
        result = self.spec.check_file(path[len(self.directory) :])
        if result.include is None or result.index is None:
            return None
        rule = Rule(source=self.source, line=result.index + 1, pattern=self.lines[result.index].strip())
        return result.include, rule


def _rule_set(source: str, directory: str, text: str) -> _RuleSet:
    lines = text.splitlines()
    return _RuleSet(source, directory, lines, GitIgnoreSpec.from_lines(lines))


@dataclass(frozen=True, slots=True)
class Matcher:
    """Decide which paths are ignored. Made by `matcher`."""

    families: tuple[tuple[_RuleSet, ...], ...]
    _known: dict[str, Rule | None] = field(default_factory=dict, compare=False, repr=False)

    def hidden_by(self, path: str, *, is_dir: bool = False) -> Rule | None:
        """Find the rule that ignores a path, or one of the directories that hold it.

        path: relative to the root, with "/", without a trailing one.
        """
        parent, _, name = path.rpartition("/")
        if not name:
            return None
        inherited = self.hidden_by(parent, is_dir=True) if parent else None
        if inherited is not None:
            return inherited
        key = f"{path}/" if is_dir else path
        if key not in self._known:
            self._known[key] = self._own_rule(key)
        return self._known[key]

    def _own_rule(self, key: str) -> Rule | None:
        for family in self.families:
            for rules in family:
                verdict = rules.verdict(key)
                if verdict is None:
                    continue
                is_ignored, rule = verdict
                if is_ignored:
                    return rule
                break
        return None


def matcher(texts: Mapping[str, str], *, git_exclude: str = "") -> Matcher:
    """Build the matcher of a root.

    texts: the ignore files' contents by their paths relative to the root ("a/.gitignore").
    git_exclude: the content of .git/info/exclude, the weakest of git's rules.
    """
    built_in = _rule_set("", "", "\n".join(BUILT_IN_RULES))
    git = [_rule_set(".git/info/exclude", "", git_exclude)] if git_exclude else []
    return Matcher(
        (
            (built_in,),
            (*_deepest_first(texts, GIT_RULES_FILE), *git),
            _deepest_first(texts, FLUX_RULES_FILE),
        )
    )


def _deepest_first(texts: Mapping[str, str], name: str) -> tuple[_RuleSet, ...]:
    sets = [
        _rule_set(path, path.removesuffix(name), text)
        for path, text in texts.items()
        if path == name or path.endswith(f"/{name}")
    ]
    return tuple(sorted(sets, key=lambda rules: len(rules.directory), reverse=True))
