"""Where results go: lines for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import click

from gitops_run.cli.hints import completed, place_of, with_completed_hints
from gitops_run.cli.render import lines
from gitops_run.cli.terminal import marks_for, painted
from gitops_run.model.events import Event, to_json
from gitops_run.model.problem import printable

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


def for_terminal(text: str) -> str:
    """Write a text so that a name or a message in it can't steer the terminal."""
    return printable(text).translate(_CONTROLS)


def event_printer(output: str, session: str) -> Callable[[Event], None]:
    """Make what prints events. output: "text", or "json" for a JSON line each, none left out."""
    place = place_of(click.get_current_context(silent=True))

    def print_json(event: Event) -> None:
        ts = datetime.now(UTC).isoformat(timespec="milliseconds")
        document = with_completed_hints(to_json(event, session=session, ts=ts), place)
        click.echo(printable(json.dumps(document, ensure_ascii=False)))

    def print_text(event: Event) -> None:
        for line in lines(event, marks_for(sys.stdout)):
            click.echo(painted(for_terminal(completed(line, place)), sys.stdout))

    return print_json if output == "json" else print_text


def print_json(value: object) -> None:
    """Print one JSON document."""
    click.echo(printable(json.dumps(value, indent=2, ensure_ascii=False)))


def note(text: str) -> None:
    """Tell progress, beside the results."""
    _beside(f"{marks_for(sys.stderr).note} {text}")


def ok(text: str) -> None:
    """Tell that something was done, beside the results."""
    _beside(f"{marks_for(sys.stderr).good} {text}")


def _beside(line: str) -> None:
    click.echo(painted(for_terminal(line), sys.stderr), err=True)
