"""`gitops-run sync`: push every save to a session until interrupted."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import click

from gitops_run.api.sync import SyncRequest, sync_session
from gitops_run.cli.basics import json_flag
from gitops_run.cli.caller import this_caller
from gitops_run.cli.options import (
    CLUSTER_KEYS,
    LOOP_KEYS,
    no_preflight_flag,
    session_settings,
    settings_flags,
)
from gitops_run.cli.output import event_stream
from gitops_run.cli.signals import until_interrupted
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.state.events import SyncEnded

GOING_ON = SyncEnded(how_to_go_on="gitops-run sync NAME; to end the session: gitops-run down NAME")
LETTING_GO = "the sync stops, and the session stays"


@click.command()
@click.argument("name")
@click.option(
    "--root", type=click.Path(path_type=Path), help="The directory to watch; by default the git work tree."
)
@click.option("--take-over", "is_take_over", is_flag=True, help="Take over the session from another writer.")
@click.option("--allow-prune", "is_prune_allowed", is_flag=True, help="Allow a save to delete most objects.")
@no_preflight_flag
@settings_flags(*CLUSTER_KEYS, *LOOP_KEYS)
@json_flag
def sync(  # noqa: PLR0913 - one argument for each flag
    name: str,
    root: Path | None,
    output: str,
    *,
    is_take_over: bool,
    is_prune_allowed: bool,
    has_dry_run: bool,
    **flags: object,
) -> None:
    """Push every save to session NAME until interrupted. The session stays."""
    parsed = SessionName.parse(name)
    settings = session_settings(parsed, flags)
    request = SyncRequest(
        key=SessionKey.of(parsed, settings),
        settings=settings,
        root=root,
        is_take_over=is_take_over,
        has_dry_run=has_dry_run,
    )
    caller = this_caller(event_stream(output, name), is_prune_allowed=is_prune_allowed)
    try:
        anyio.run(partial(until_interrupted, says=LETTING_GO), sync_session, request, caller)
    except KeyboardInterrupt:
        caller.emit(GOING_ON)
        raise
