"""`gitops-run request`: what may be asked of a session that somebody else syncs or ends."""

from __future__ import annotations

from dataclasses import asdict

import anyio
import click

from gitops_run.api import requests
from gitops_run.api.control import parse_reason
from gitops_run.api.requests import Made
from gitops_run.cli.basics import json_flag
from gitops_run.cli.caller import this_caller
from gitops_run.cli.control import session_key
from gitops_run.cli.hints import completed_here
from gitops_run.cli.options import CLUSTER_KEYS, settings_flags
from gitops_run.cli.output import note, ok, print_json
from gitops_run.model.flux.requests import Verb


@click.command()
@click.argument("name")
@click.argument("verb", type=click.Choice([str(verb) for verb in Verb]))
@click.argument("argument", required=False, default="")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for whoever is asked.")
@settings_flags(*CLUSTER_KEYS)
@json_flag
def request(name: str, verb: str, argument: str, reason: str, output: str, **flags: object) -> None:
    """Ask for VERB of session NAME: its live sync carries it out, otherwise the collector does.

    ARGUMENT is a duration for extend, and the beginning of a revision for undo. Only the collector ends a
    session. The answer is in the session's record, as status shows it.
    """
    key, why = session_key(name, flags), parse_reason(reason)
    asked = anyio.run(requests.ask, key, Verb(verb), argument, why, this_caller())
    if output == "json":
        print_json(
            {"request": asdict(asked.request), "answer": asdict(asked.answer) if asked.answer else None}
        )
    else:
        _tell(name, asked)
    if asked.answer is not None and not asked.answer.is_accepted:
        raise requests.refused(name, asked.request, asked.answer)


def _tell(name: str, asked: Made) -> None:
    verb = asked.request.verb
    if asked.answer is None:
        who = "the collector carries it out, or refuses it, when it next runs: gitops-run gc --apply"
        note(completed_here(f"asked to {verb} session {name}; {who}"))
    elif asked.answer.is_accepted:
        ok(f"the sync of {name} carries it out: {verb}")
