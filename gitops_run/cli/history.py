"""`gitops-run history` and `gitops-run undo`: the snapshots that a session can go back to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import anyio
import click

from gitops_run.api import history as past
from gitops_run.api.caller import silent_stream
from gitops_run.cli.basics import json_flag
from gitops_run.cli.caller import this_caller
from gitops_run.cli.options import CLUSTER_KEYS, session_settings, settings_flags
from gitops_run.cli.output import event_stream, print_json
from gitops_run.cli.signals import until_interrupted
from gitops_run.cli.table import print_table
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.state.history import KeptSnapshot, difference, short


@click.command()
@click.argument("name")
@settings_flags(*CLUSTER_KEYS)
@json_flag
def history(name: str, output: str, **flags: object) -> None:
    """List the snapshots that session NAME can go back to, newest first."""
    parsed = SessionName.parse(name)
    settings = session_settings(parsed, flags)
    found = anyio.run(past.history, SessionKey.of(parsed, settings), this_caller())
    kept, live = found.snapshots, found.live
    if output == "json":
        print_json([_to_json(kept, number, live) for number in reversed(range(len(kept)))])
    else:
        rows = [_row(kept, number, live) for number in reversed(range(len(kept)))]
        print_table(("REVISION", "WHEN", "FILES", "CHANGED", ""), rows)


@click.command()
@click.argument("name")
@click.argument("rev", required=False)
@settings_flags(*CLUSTER_KEYS)
@json_flag
def undo(name: str, rev: str | None, output: str, **flags: object) -> None:
    """Apply an earlier snapshot of session NAME again: REV, or the one before the live one.

    REV is the beginning of a revision, as history lists it. Your files stay as they are.
    """
    parsed = SessionName.parse(name)
    settings = session_settings(parsed, flags)
    caller = this_caller(event_stream(output, name) if output == "text" else silent_stream(name))
    key = SessionKey.of(parsed, settings)
    undone = anyio.run(until_interrupted, past.undo, key, settings, rev, caller)
    if output == "json":
        print_json({"undone_to": undone.snapshot.revision, "taken": undone.snapshot.taken, "by": undone.by})
    elif undone.by == "sync":
        click.echo(f"restored snapshot {short(undone.snapshot.revision)} from {undone.snapshot.taken}")
        click.echo("  your files are unchanged; the next save applies them again")


def _row(kept: Sequence[KeptSnapshot], number: int, live: str | None) -> tuple[str, ...]:
    snapshot = kept[number]
    changed = str(difference(kept[number - 1], snapshot)) if number else ""
    mark = "live" if snapshot.revision == live else ""
    return (short(snapshot.revision), snapshot.taken, str(len(snapshot.files)), changed, mark)


def _to_json(kept: Sequence[KeptSnapshot], number: int, live: str | None) -> dict[str, object]:
    snapshot = kept[number]
    changed = difference(kept[number - 1], snapshot) if number else None
    return {
        "revision": snapshot.revision,
        "short": short(snapshot.revision),
        "taken": snapshot.taken,
        "files": len(snapshot.files),
        "changed": asdict(changed) if changed else None,
        "is_live": None if live is None else snapshot.revision == live,
    }
