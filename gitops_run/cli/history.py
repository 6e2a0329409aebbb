"""`gitops-run history` and `gitops-run undo`: the snapshots that a session can go back to.

A process that syncs the session here is asked to bring one back; where none does, this one pushes it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import anyio
import click

from gitops_run.adapters.cluster.connection import Connection, connect
from gitops_run.adapters.cluster.flux import watch_flux
from gitops_run.adapters.cluster.lease import Holder
from gitops_run.adapters.cluster.sessions import LiveSession, read_session
from gitops_run.adapters.history import SessionHistory, history_folder
from gitops_run.adapters.user_files import cache_directory
from gitops_run.cli.basics import json_flag
from gitops_run.cli.options import CLUSTER_KEYS, session_settings, settings_flags
from gitops_run.cli.output import event_stream, note, print_json, silent_stream
from gitops_run.cli.signals import until_interrupted
from gitops_run.cli.sync import SyncRequest, sync_session
from gitops_run.cli.table import print_table
from gitops_run.errors import BackendError, NotFound, ReconcileFailed, WaitTimeout
from gitops_run.flows.undo import UNDO_S
from gitops_run.model.conditions import ApplierStatus, Standing, applier_verdict
from gitops_run.model.history import KeptSnapshot, before, difference, find, short
from gitops_run.model.session import SessionName
from gitops_run.model.settings import Settings
from gitops_run.model.state.envelope import EventStream


@click.command()
@click.argument("name")
@settings_flags(*CLUSTER_KEYS)
@json_flag
def history(name: str, output: str, **flags: object) -> None:
    """List the snapshots that session NAME can go back to, newest first."""
    parsed = SessionName.parse(name)
    settings = session_settings(parsed, flags)
    kept = _history(parsed, settings).kept()
    if not kept:
        raise _nothing_kept(name)
    live = anyio.run(_live_revision, parsed, settings)
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
    """Bring an earlier snapshot of session NAME back: REV, or the one before what is live.

    REV is the beginning of a revision, as history lists it. Your files stay as they are.
    """
    parsed = SessionName.parse(name)
    settings = session_settings(parsed, flags)
    events = event_stream(output, name) if output == "text" else silent_stream(name)
    request = SyncRequest(name=parsed, settings=settings, root=None)
    undone = anyio.run(until_interrupted, _undo, request, rev, events)
    if output == "json":
        print_json({"undone_to": undone.snapshot.revision, "taken": undone.snapshot.taken, "by": undone.by})
    elif undone.by == "sync":
        click.echo(f"undone to {short(undone.snapshot.revision)} of {undone.snapshot.taken}")
        click.echo("  your files are as they were; the next save applies them again")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Undone:
    """by: "sync" where a running one did it, "undo" where this process did, "" where it was live already."""

    snapshot: KeptSnapshot
    by: str


async def _undo(request: SyncRequest, rev: str | None, events: EventStream) -> _Undone:
    """Bring a snapshot back. Raises UsageError, NotFound, LockedError, ReconcileFailed or WaitTimeout."""
    settings, name = request.settings, request.name
    namespace = settings.namespace or name.namespace
    past = _history(name, settings)
    async with connect(settings.require("kubeconfig"), settings.require("context")) as connection:
        session = await read_session(connection, name.text, namespace)
        wanted = _wanted(past.kept(), rev, session)
        if wanted.revision == _applied(session):
            note(f"{short(wanted.revision)} is what is live: there is nothing to undo")
            return _Undone(snapshot=wanted, by="")
        if Holder(session.writer).is_running_here:
            with past.asking(wanted.revision):
                await _until_applied(connection, session, wanted)
            return _Undone(snapshot=wanted, by="sync")
    await sync_session(replace(request, undo_to=wanted.revision), events)
    return _Undone(snapshot=wanted, by="undo")


async def _until_applied(connection: Connection, session: LiveSession, wanted: KeptSnapshot) -> None:
    """Wait until Flux has applied a snapshot. Raises WaitTimeout, or ReconcileFailed where Flux refuses."""
    is_helm = session.helm is not None
    async with watch_flux(connection, session.namespace, session.name, is_helm=is_helm) as flux:
        with anyio.move_on_after(UNDO_S):
            while not _is_applied(flux.source.revision, flux.applier, wanted.revision):
                await flux.news()
            return
    raise WaitTimeout(
        f"{short(wanted.revision)} was not applied within {UNDO_S:.0f} s",
        hint=f"see what the sync of {session.name} says; it runs as {session.writer}",
    )


def _is_applied(fetched: str, applier: ApplierStatus, revision: str) -> bool:
    """Say whether Flux has applied what it fetched. Raises ReconcileFailed where it can't or may not."""
    if fetched != revision:
        return False
    verdict = applier_verdict(applier, revision=revision)
    if verdict.standing in (Standing.FAILED, Standing.SUSPENDED):
        raise ReconcileFailed(verdict.message, hint=verdict.hint)
    return verdict.standing is Standing.APPLIED


def _wanted(kept: Sequence[KeptSnapshot], rev: str | None, session: LiveSession) -> KeptSnapshot:
    if not kept:
        raise _nothing_kept(session.name)
    return before(kept, _applied(session)) if rev is None else find(kept, rev)


def _nothing_kept(name: str) -> NotFound:
    return NotFound(
        f"session {name} has no history on this machine",
        hint="it is kept for each save that Flux has applied: gitops-run sync NAME",
    )


def _history(name: SessionName, settings: Settings) -> SessionHistory:
    namespace = settings.namespace or name.namespace
    folder = history_folder(os.environ, settings.require("context"), namespace, name.text)
    return SessionHistory(folder, Path(cache_directory(os.environ)))


async def _live_revision(name: SessionName, settings: Settings) -> str | None:
    """Ask the cluster which revision is live, "" for none; None where it doesn't say."""
    try:
        async with connect(settings.require("kubeconfig"), settings.require("context")) as connection:
            return _applied(await read_session(connection, name.text, settings.namespace or name.namespace))
    except (BackendError, NotFound) as error:
        note(f"which one is live is not known: {error.message}")
        return None


def _applied(session: LiveSession) -> str:
    """Say which revision is live: none where a later one was pushed and Flux has refused it."""
    applied = session.applier.applied if session.applier else ""
    return applied if applied == session.source.revision else ""


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
