"""A snapshot whose files lie in a folder: a copy of the root, or what was kept of an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.ignore import Matcher, Rule
from gitops_run.model.tree.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSnapshot:
    """Hold a snapshot in a folder. rules, hidden: what is left out of it, and by which rules.

    meant: what is behind links, by its copy.
    """

    folder: Path
    tree: Tree = field(default_factory=Tree)
    problems: tuple[Problem, ...] = ()
    whole_root_reason: str = ""
    rules: Matcher | None = field(default=None, repr=False)
    hidden: Mapping[str, Rule] = field(default_factory=dict, repr=False)
    remarks: tuple[str, ...] = ()
    meant: Mapping[str, str] = field(default_factory=dict, repr=False)
    taken: str = ""

    def read_bytes(self, path: str) -> bytes:
        """Read a file of this snapshot."""
        return (self.folder / path).read_bytes()

    def read_text(self, path: str) -> str | None:
        """Read a file of this snapshot as text; None where it has no such file."""
        if path not in self.tree.files:
            return None
        return (self.folder / path).read_text(encoding="utf-8", errors="replace")

    def meant_by(self, path: str) -> str:
        """Name the file of the root that a path of the copy stands for, where a link leads to it."""
        folder = next((one for one in self.meant if f"{path}/".startswith(f"{one}/")), "")
        return self.meant[folder] + path.removeprefix(folder) if folder else path

    def hidden_by(self, path: str) -> Rule | None:
        """Find the ignore rule that hides a path."""
        if path in self.hidden:
            return self.hidden[path]
        return self.rules.hidden_by(path) if self.rules is not None else None
