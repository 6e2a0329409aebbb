"""`gitops-run diff`: what a save would change now, against the cluster; nothing is written anywhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import anyio
import click

from gitops_run.api.diff import diff as inspect
from gitops_run.cli.basics import json_flag
from gitops_run.cli.caller import this_caller
from gitops_run.cli.hints import completed_here, place_of
from gitops_run.cli.options import CLUSTER_KEYS, RENDER_KEYS, session_settings, settings_flags
from gitops_run.cli.output import print_json
from gitops_run.cli.render import SIGNS, overridden_lines
from gitops_run.cli.signals import until_interrupted
from gitops_run.cli.terminal import marks_for, painted
from gitops_run.cli.text import for_terminal, lines_after
from gitops_run.errors import ReconcileFailed
from gitops_run.flows.judgement import Preflight
from gitops_run.model.names import SessionName
from gitops_run.model.session.commands import with_completed_hints
from gitops_run.model.session.key import SessionKey

DIFFERENT = 1


@click.command()
@click.argument("name")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="The directory that is saved; by default the git work tree.",
)
@settings_flags(*CLUSTER_KEYS, *RENDER_KEYS)
@json_flag
def diff(name: str, root: Path | None, output: str, **flags: object) -> int:
    """Show what a save would change now in session NAME; nothing is written.

    Exit code: 0 without differences, 1 with some, above 1 on an error; 4 where the save would be refused.
    """
    parsed = SessionName.parse(name)
    settings = session_settings(parsed, flags)
    key = SessionKey.of(parsed, settings)
    found: Preflight = anyio.run(until_interrupted, inspect, key, settings, root, this_caller())
    if output == "json":
        document = {
            "changes": [asdict(change) for change in found.changes],
            "problems": [asdict(problem) for problem in found.problems],
            "not_checked": list(found.not_checked),
            "overridden": [asdict(place) for place in found.overridden],
        }
        print_json(with_completed_hints(document, place_of(click.get_current_context())))
    else:
        print_difference(found, key.namespace)
    if found.problems:
        return ReconcileFailed.exit_code
    return DIFFERENT if found.changes else 0


def print_difference(found: Preflight, namespace: str) -> None:
    """Print what a save would change. namespace: the session's."""
    for line in _lines(found, namespace):
        click.echo(painted(completed_here(line), sys.stdout))


def _lines(found: Preflight, namespace: str) -> Iterator[str]:
    marks = marks_for(sys.stdout)
    for change in found.changes:
        yield for_terminal(f"{SIGNS[change.action]} {change.object}")
        for field in change.fields:
            yield for_terminal(f"    {field.path}: {field.before or '(none)'} → {field.after or '(none)'}")
    yield from map(for_terminal, overridden_lines(namespace, found.overridden, marks))
    yield from (for_terminal(f"not checked: {text}") for text in found.not_checked)
    for problem in found.problems:
        yield lines_after(marks.bad, str(problem))
        if problem.hint:
            yield lines_after(" ", problem.hint)
    if not (found.changes or found.problems):
        click.echo("a save would change nothing that was checked" if found.not_checked else "no differences")
