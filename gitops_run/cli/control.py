"""`gitops-run extend`, `suspend` and `resume`."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import click

from gitops_run.api import control
from gitops_run.cli.basics import json_flag
from gitops_run.cli.hints import completed_here
from gitops_run.cli.options import CLUSTER_KEYS, session_settings, settings_flags
from gitops_run.cli.output import ok, print_json
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.limits import Duration
from gitops_run.model.state.reasons import suspended_by


@click.command()
@click.argument("name")
@click.argument("duration", required=False)
@settings_flags(*CLUSTER_KEYS)
@json_flag
def extend(name: str, duration: str | None, output: str, **flags: object) -> None:
    """Let session NAME live DURATION longer, such as 4h or 2d; its TTL once more where none is given."""
    by = Duration.parse(duration) if duration else None
    expires = anyio.run(control.extend, session_key(name, flags), by)
    if output == "json":
        print_json({"session": name, "expires": expires})
    else:
        ok(f"session {name} ends at {expires}")


@click.command()
@click.argument("name")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for everybody who looks at the session.")
@settings_flags(*CLUSTER_KEYS)
@json_flag
def suspend(name: str, reason: str, output: str, **flags: object) -> None:
    """Suspend session NAME: what was applied stays, and saves are stored until it is resumed."""
    why = control.parse_reason(reason)
    before = anyio.run(control.suspend, session_key(name, flags), why)
    if output == "json":
        print_json({"session": name, "suspended": True, "changed": not before.is_suspended})
    elif before.is_suspended:
        ok(f"session {name} is suspended already{suspended_by(before)}")
    else:
        ok(completed_here(f"session {name} is suspended; to apply saves again: gitops-run resume NAME"))


@click.command()
@click.argument("name")
@settings_flags(*CLUSTER_KEYS)
@json_flag
def resume(name: str, output: str, **flags: object) -> None:
    """Resume session NAME: Flux applies what is stored, and later saves."""
    before = anyio.run(control.resume, session_key(name, flags))
    if output == "json":
        print_json({"session": name, "suspended": False, "changed": before.is_suspended})
    else:
        ok(f"session {name} is resumed" if before.is_suspended else f"session {name} is not suspended")


def session_key(name: str, flags: Mapping[str, object]) -> SessionKey:
    """Say which session a command is about."""
    parsed = SessionName.parse(name)
    return SessionKey.of(parsed, session_settings(parsed, flags))
