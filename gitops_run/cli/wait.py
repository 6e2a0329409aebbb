"""`wait`: until a session has come to where a script needs it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Final

import anyio
import click

from gitops_run.api.wait import wait as api_wait
from gitops_run.cli.basics import json_flag
from gitops_run.cli.options import CLUSTER_KEYS, session_settings, settings_flags
from gitops_run.cli.output import ok, print_json
from gitops_run.cli.signals import until_interrupted
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.state.document import to_document
from gitops_run.model.state.goals import Goal

_WAIT_S: Final = 120.0


@click.command()
@click.argument("name")
@click.option(
    "--for",
    "goal",
    type=click.Choice([one.value for one in Goal]),
    required=True,
    help="What to wait for: the newest save is applied, its objects are healthy, or the session is gone.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=_WAIT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long at most.",
)
@settings_flags(*CLUSTER_KEYS)
@json_flag
def wait(name: str, output: str, *, goal: str, timeout_s: float, **flags: object) -> None:
    """Wait until session NAME is applied, healthy or gone.

    Ends with 0 once it is, 4 where its newest save was refused, 5 after the timeout, 7 where there is none.
    """
    parsed = SessionName.parse(name)
    settings = session_settings(parsed, flags)
    waiting = partial(until_interrupted, api_wait, SessionKey.of(parsed, settings), Goal(goal), timeout_s)
    session = anyio.run(waiting)
    if output == "json":
        print_json(to_document(session, datetime.now(UTC)) if session else None)
    else:
        ok(f"session {name} is {goal}")
