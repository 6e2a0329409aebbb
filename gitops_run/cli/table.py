"""Columns for people."""

from __future__ import annotations

from collections.abc import Sequence

import click

from gitops_run.cli.text import for_terminal


def print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print columns, aligned; the last one isn't padded."""
    for line in table_lines([head, *rows]):
        click.echo(line)


def table_lines(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Write rows as aligned columns; a row may end early, and one that is empty is left out."""
    table = [tuple(map(for_terminal, row)) for row in rows if any(row)]
    widths: list[int] = []
    for row in table:
        lengths = [len(cell) for cell in row]
        widths = [*map(max, widths, lengths), *widths[len(lengths) :], *lengths[len(widths) :]]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
