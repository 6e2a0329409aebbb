"""What a stream can show: marks and colours on a terminal, plain words everywhere else.

This module knows NO_COLOR (no-color.org), TERM=dumb, and encodings that lack the marks. Colours say nothing
that the marks don't say.
"""

from __future__ import annotations

import os
from typing import Any, Final

import click

from gitops_run.cli.render import PLAIN_MARKS, TERMINAL_MARKS, Marks

_COLOURS: Final = {
    TERMINAL_MARKS.good: "green",
    TERMINAL_MARKS.bad: "red",
    TERMINAL_MARKS.note: "cyan",
    "+": "green",
    "~": "yellow",
    "-": "red",
    "±": "yellow",
}
"""The colour of a line's first word, by that word."""


def marks_for(stream: Any) -> Marks:
    """Choose the marks for a stream."""
    return TERMINAL_MARKS if _is_capable(stream) else PLAIN_MARKS


def painted(line: str, stream: Any) -> str:
    """Colour a line's mark where a stream shows colours."""
    indent = len(line) - len(line.lstrip())
    mark = line[indent:].partition(" ")[0]
    if mark not in _COLOURS or os.environ.get("NO_COLOR") or not _is_capable(stream):
        return line
    return line[:indent] + click.style(mark, fg=_COLOURS[mark]) + line[indent + len(mark) :]


def _is_capable(stream: Any) -> bool:
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return False
    try:
        "✓✗•".encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
