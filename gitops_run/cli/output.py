"""Where results go: lines for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import anyio
import click

from gitops_run.cli.hints import place_of
from gitops_run.cli.render import lines
from gitops_run.cli.terminal import marks_for, painted
from gitops_run.cli.text import for_terminal, lines_after
from gitops_run.model.session.commands import completed, with_completed_hints
from gitops_run.model.state.envelope import Envelope, EventStream, Stamp, to_json
from gitops_run.model.text.problem import printable


def event_printer(output: str) -> Callable[[Envelope], None]:
    """Make what prints events. output: "text", or "json" for a JSON line each, none left out."""
    place = place_of(click.get_current_context(silent=True))

    def print_json(envelope: Envelope) -> None:
        click.echo(_json(with_completed_hints(to_json(envelope), place)))

    def print_text(envelope: Envelope) -> None:
        for line in lines(envelope.event, marks_for(sys.stdout)):
            click.echo(painted(for_terminal(completed(line, place)), sys.stdout))

    return print_json if output == "json" else print_text


def event_stream(output: str, session: str) -> EventStream:
    """Make a session's stream of events that is printed."""
    return EventStream(Stamp(session, _now), event_printer(output))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def print_json(value: object) -> None:
    """Print one JSON document."""
    click.echo(_json(value, indent=2))


def print_json_line(value: object) -> None:
    """Print one JSON document on one line."""
    click.echo(_json(value))


def _json(value: object, indent: int | None = None) -> str:
    """Write JSON so that it says the same in whatever encoding standard output has."""
    is_utf8 = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    return printable(json.dumps(value, indent=indent, ensure_ascii=not is_utf8))


def note(text: str) -> None:
    """Report progress, on stderr."""
    _beside(marks_for(sys.stderr).note, text)


def ok(text: str) -> None:
    """Report that something was done, on stderr."""
    _beside(marks_for(sys.stderr).good, text)


def _beside(mark: str, text: str) -> None:
    click.echo(painted(lines_after(mark, text), sys.stderr), err=True)


async def is_confirmed(question: str) -> bool:
    """Ask a person at a terminal; anything but yes means no.

    Waits for a whole line without a thread: one that nobody answers would keep the process.
    """
    click.echo(f"{for_terminal(question)} [y/N]: ", err=True, nl=False)
    await anyio.wait_readable(sys.stdin)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
