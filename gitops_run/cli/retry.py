"""`gitops-run retry`."""

from __future__ import annotations

import anyio
import click

from gitops_run.api import acting
from gitops_run.cli.basics import json_flag
from gitops_run.cli.caller import this_caller
from gitops_run.cli.options import CLUSTER_KEYS, session_settings, settings_flags
from gitops_run.cli.output import ok, print_json
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey


@click.command()
@click.argument("name")
@settings_flags(*CLUSTER_KEYS)
@json_flag
def retry(name: str, output: str, **flags: object) -> None:
    """Retry session NAME: its sync checks and pushes the files again; without one, Flux applies again.

    Waits for the answer of the sync, and fails where it refuses.
    """
    parsed = SessionName.parse(name)
    key = SessionKey.of(parsed, session_settings(parsed, flags))
    retried = anyio.run(acting.retry, key, this_caller())
    if output == "json":
        print_json({"session": name, "by": retried.by, "request": retried.request})
    elif retried.by == "sync":
        ok(f"the sync of {name} checks and pushes the files again")
    else:
        ok(f"Flux fetches and applies again what is stored of {name}")
