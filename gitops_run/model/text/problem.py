"""One thing that is wrong with a save, as a person needs to read it."""

from __future__ import annotations

from dataclasses import dataclass


def printable(text: str) -> str:
    """Write a text so that it can be printed; a path may hold bytes that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Describe a fault, its place and its fix. path: relative to the root, "" where no file is to blame."""

    message: str
    path: str = ""
    line: int | None = None
    hint: str = ""

    def __post_init__(self) -> None:
        """Write names so that they can be printed."""
        for name in ("path", "message", "hint"):
            text: str = getattr(self, name)
            object.__setattr__(self, name, printable(text))

    @property
    def place(self) -> str:
        """Write the place as editors read it: "deploy/app.yaml:12"."""
        return f"{self.path}:{self.line}" if self.path and self.line else self.path

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.path else self.message
