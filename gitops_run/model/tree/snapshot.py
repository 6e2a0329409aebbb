"""One state of a session's root, as everything reads it that renders, checks, pushes or keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.ignore import Rule
from gitops_run.model.tree.tree import Tree


class Snapshot(Protocol):
    """One state of what a target needs, stable while the next one isn't taken.

    folder: where its files lie. problems: why it can't be saved. whole_root_reason: why all of the root is
    part of it, "" where it isn't. remarks: lines for a person about what is left out. taken: when an earlier
    snapshot was kept, RFC 3339; "" for one of now.
    """

    @property
    def tree(self) -> Tree: ...  # noqa: D102
    @property
    def folder(self) -> Path: ...  # noqa: D102
    @property
    def problems(self) -> tuple[Problem, ...]: ...  # noqa: D102
    @property
    def whole_root_reason(self) -> str: ...  # noqa: D102
    @property
    def remarks(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def taken(self) -> str: ...  # noqa: D102
    def read_bytes(self, path: str) -> bytes:
        """Read a file of this snapshot."""
        ...

    def read_text(self, path: str) -> str | None:
        """Read a file of this snapshot as text; None where it has no such file."""
        ...

    def hidden_by(self, path: str) -> Rule | None:
        """Find the ignore rule that hides a path."""
        ...

    def meant_by(self, path: str) -> str:
        """Name the file of the root that a path of the copy stands for, where a link leads to it."""
        ...
