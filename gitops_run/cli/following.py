"""A table that follows what it shows: redrawn in its place on a terminal, one row a change elsewhere.

Redrawn without flicker: every line is written over the old one and its rest cleared, in one write. A table
that is larger than the terminal is cut, since lines that have scrolled off can't be written over.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final, Protocol

import click

from gitops_run.api.listing import changes
from gitops_run.cli.output import print_json_line
from gitops_run.cli.table import table_lines
from gitops_run.model.state.document import to_document
from gitops_run.model.state.session_state import SessionState

_CLEAR_LINE: Final = "\x1b[K"
_CLEAR_BELOW: Final = "\x1b[J"

States = tuple[SessionState, ...]
Row = Callable[[SessionState], tuple[str, ...]]


class Screen(Protocol):
    """Show what there is, and then each change."""

    def show(self, before: States, after: States) -> None:
        """Show what there is now."""


async def follow(source: AsyncGenerator[States, None], screen: Screen) -> None:
    """Show each state of a list until it ends."""
    before: States = ()
    async with aclosing(source) as all_states:
        async for states in all_states:
            screen.show(before, states)
            before = states


def screen_of(stream: Any, heads: tuple[str, ...], row: Row) -> Screen:
    """Choose how a stream shows a table: one that is no terminal, or a dumb one, keeps what was written."""
    is_drawn = stream.isatty() and os.environ.get("TERM") != "dumb"
    return TableScreen(heads, row) if is_drawn else RowScreen(heads, row)


class JsonScreen:
    """Write the session that has changed as a line of JSON; at first, each session."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now

    def show(self, before: States, after: States) -> None:
        """Write a line for each change."""
        for state, is_gone in changes(before, after):
            print_json_line(to_document(state, self._now(), is_gone=is_gone))


class RowScreen:
    """Write the row of a session that has changed, below what was written before."""

    def __init__(self, heads: tuple[str, ...], row: Row) -> None:
        self._row = row
        self._heads: tuple[str, ...] | None = heads

    def show(self, before: States, after: States) -> None:
        """Write a row for each change."""
        rows = [
            (state.name, "gone") if is_gone else self._row(state) for state, is_gone in changes(before, after)
        ]
        lines = table_lines(([self._heads] if self._heads else []) + rows)
        self._heads = None
        for line in lines:
            click.echo(line)


class TableScreen:
    """Draw the whole table over the one before."""

    def __init__(self, heads: tuple[str, ...], row: Row) -> None:
        self._heads = heads
        self._row = row
        self._drawn = 0

    def show(self, before: States, after: States) -> None:
        """Draw the table."""
        del before
        size = shutil.get_terminal_size()
        lines = fitted(table_lines([self._heads, *map(self._row, after)]), size.columns, size.lines)
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        drawn = "".join(f"{line}{_CLEAR_LINE}\n" for line in lines)
        self._drawn = len(lines)
        click.echo(f"{up}\r{drawn}{_CLEAR_BELOW}", nl=False, color=True)


def fitted(lines: Sequence[str], columns: int, height: int) -> list[str]:
    """Cut lines to a terminal's size. One line of it stays for the cursor."""
    most = max(height - 1, 2)
    kept = list(lines) if len(lines) <= most else [*lines[: most - 1], f"… and {len(lines) - most + 1} more"]
    return [line if len(line) <= columns else f"{line[: max(columns - 1, 0)]}…" for line in kept]
