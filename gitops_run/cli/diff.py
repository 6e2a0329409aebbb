"""`gitops-run diff`: what a save would change now, against the cluster; nothing is written anywhere."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import anyio
import click

from gitops_run.adapters.cluster.connection import connect
from gitops_run.adapters.cluster.sessions import read_session
from gitops_run.cli.basics import json_flag
from gitops_run.cli.hints import place_of, told, with_completed_hints
from gitops_run.cli.inspection import Inspection, compose_inspector, render_limits, work_tree
from gitops_run.cli.options import CLUSTER_KEYS, RENDER_KEYS, session_settings, settings_flags
from gitops_run.cli.output import print_json
from gitops_run.cli.render import SIGNS, overridden_lines
from gitops_run.cli.signals import until_interrupted
from gitops_run.cli.sync import history_of, root_of
from gitops_run.cli.terminal import marks_for, painted
from gitops_run.cli.text import for_terminal, lines_after
from gitops_run.errors import ReconcileFailed
from gitops_run.flows.preflight import Live, Preflight
from gitops_run.model.conditions import ApplierStatus
from gitops_run.model.masking import Masker
from gitops_run.model.session import SessionName
from gitops_run.model.settings import Settings

DIFFERENT = 1


@click.command()
@click.argument("name")
@click.option("--root", type=click.Path(path_type=Path), help="What is saved; else the git work tree here.")
@settings_flags(*CLUSTER_KEYS, *RENDER_KEYS)
@json_flag
def diff(name: str, root: Path | None, output: str, **flags: object) -> int:
    """Show what a save would change now in session NAME; nothing is written.

    Exit code: 0 without differences, 1 with some, above 1 on an error; 4 where the save would be refused.
    """
    parsed = SessionName.parse(name)
    settings = session_settings(parsed, flags)
    found: Preflight = anyio.run(until_interrupted, _inspect, parsed, settings, root)
    if output == "json":
        document = {
            "changes": [asdict(change) for change in found.changes],
            "problems": [asdict(problem) for problem in found.problems],
            "not_checked": list(found.not_checked),
            "overridden": [asdict(place) for place in found.overridden],
        }
        print_json(with_completed_hints(document, place_of(click.get_current_context())))
    else:
        print_difference(found, settings.namespace or parsed.namespace)
    if found.problems:
        return ReconcileFailed.exit_code
    return DIFFERENT if found.changes else 0


async def _inspect(name: SessionName, settings: Settings, named_root: Path | None) -> Preflight:
    namespace = settings.namespace or name.namespace
    async with connect(settings.require("kubeconfig"), settings.require("context")) as connection:
        session = await read_session(connection, name.text, namespace)
        root = root_of(session, named_root, history_of(session, connection.context))
        with tempfile.TemporaryDirectory(prefix="gitops-run-") as folder:
            work = Path(folder)
            inspection = Inspection(
                work=work / "render", limits=render_limits(settings), masker=Masker(), has_dry_run=True
            )
            inspector = await compose_inspector(connection, session, inspection)
            snapshot = await work_tree(session, root, work / "tree").snapshot()
            applier = session.applier or ApplierStatus()
            live = Live(digests={}, inventory=applier.inventory, versions=applier.versions)
            return await inspector.inspect(snapshot, live, _no_mark)


def _no_mark(step: str) -> None:
    """Measure nothing."""
    del step


def print_difference(found: Preflight, namespace: str) -> None:
    """Print what a save would change. namespace: the session's."""
    for line in _lines(found, namespace):
        click.echo(painted(told(line), sys.stdout))


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
