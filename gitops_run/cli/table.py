"""Columns for people."""

from __future__ import annotations

import click

from gitops_run.cli.text import for_terminal


def print_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print columns, aligned; the last one isn't padded."""
    table = [tuple(map(for_terminal, row)) for row in (head, *rows) if any(row)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())
