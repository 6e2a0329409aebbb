"""`gitops-run run`: a session on a directory from its beginning to its end."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import click

from gitops_run.api.caller import Caller
from gitops_run.api.sessions import down, place_of
from gitops_run.api.sync import SyncRequest, sync_session
from gitops_run.cli.basics import json_flag
from gitops_run.cli.caller import this_caller
from gitops_run.cli.hints import completed_here
from gitops_run.cli.lifecycle import beginning, make_session, print_receipt, request_to_make, said
from gitops_run.cli.options import (
    CLUSTER_KEYS,
    LOOP_KEYS,
    SESSION_KEYS,
    no_preflight_flag,
    settings_flags,
)
from gitops_run.cli.output import event_stream, note
from gitops_run.cli.signals import HurriedInterrupt, until_interrupted
from gitops_run.cli.sync import GOING_ON, LETTING_GO
from gitops_run.errors import NotFound
from gitops_run.model.names import SessionName, suggest_name
from gitops_run.model.session.request import SessionRequest


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--name", help="The session's name; by default derived from the directory's.")
@click.option(
    "--root", type=click.Path(path_type=Path), help="The directory to watch; by default the git work tree."
)
@click.option("--keep", "is_kept", is_flag=True, help="Keep the session when interrupted.")
@click.option("--take-over", "is_take_over", is_flag=True, help="Take over the session from another writer.")
@click.option("--allow-prune", "is_prune_allowed", is_flag=True, help="Allow a save to delete most objects.")
@no_preflight_flag
@settings_flags(*CLUSTER_KEYS, *SESSION_KEYS, *LOOP_KEYS)
@json_flag
def run(  # noqa: PLR0913 - one argument for each flag
    path: Path,
    name: str | None,
    root: Path | None,
    output: str,
    *,
    is_kept: bool,
    is_take_over: bool,
    is_prune_allowed: bool,
    has_dry_run: bool,
    **flags: object,
) -> None:
    """Create a session that applies PATH, sync it until interrupted, and end it."""
    place = place_of(path, root)
    parsed = SessionName.parse(name) if name else _name_for(place)
    request = request_to_make(parsed, {**place, **said(flags)})
    syncing = SyncRequest(
        key=request.key,
        settings=request.settings,
        root=Path(place["root"]),
        is_take_over=is_take_over,
        has_dry_run=has_dry_run,
    )
    caller = this_caller(event_stream(output, parsed.text), is_prune_allowed=is_prune_allowed)
    note(f"{beginning(request)}; Ctrl-C {'keeps it' if is_kept else 'ends it'}")
    try:
        says = LETTING_GO if is_kept else f"session {parsed} ends"
        anyio.run(partial(until_interrupted, says=says), _up_and_sync, request, syncing, caller)
    except HurriedInterrupt:
        note(_left(parsed))
        raise
    except KeyboardInterrupt:
        if is_kept:
            caller.emit(GOING_ON)
        else:
            _end(request, caller)
        raise


async def _up_and_sync(request: SessionRequest, syncing: SyncRequest, caller: Caller) -> None:
    await make_session(request, caller)
    await sync_session(syncing, caller)


def _end(request: SessionRequest, caller: Caller) -> None:
    note(f"ending session {request.key.name}; interrupt again to leave it unfinished")
    ending = partial(until_interrupted, is_interrupted=True)
    try:
        print_receipt(anyio.run(ending, down, request, caller))
    except NotFound:
        note("nothing was created yet")
    except KeyboardInterrupt:
        note(_left(request.key.name))
        raise


def _left(name: SessionName) -> str:
    return completed_here(f"left unchanged; to end it: gitops-run down {name}")


def _name_for(place: dict[str, str]) -> SessionName:
    """Name a session after its root and the last part of its target: web-production."""
    root, target = Path(place["root"]).name, Path(place["target"]).name
    return SessionName.parse(suggest_name(f"{root}-{target}" if target else root))
