"""`gitops-run up` and `gitops-run down`: a session's beginning and its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import anyio
import click

from gitops_run.api import sessions
from gitops_run.api.caller import Caller
from gitops_run.cli.basics import json_flag
from gitops_run.cli.caller import this_caller
from gitops_run.cli.hints import completed_here, know_place
from gitops_run.cli.options import CLUSTER_KEYS, SESSION_KEYS, flag_source, settings_flags
from gitops_run.cli.output import note, ok, print_json
from gitops_run.cli.signals import until_interrupted
from gitops_run.errors import UsageError
from gitops_run.model.names import SessionName
from gitops_run.model.session.receipt import Receipt
from gitops_run.model.session.request import SessionRequest
from gitops_run.model.session.settings import Source, resolve
from gitops_run.model.session.spec import SessionSpec


@click.command()
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option(
    "--root", type=click.Path(path_type=Path), help="The directory to watch; by default the git work tree."
)
@settings_flags(*CLUSTER_KEYS, *SESSION_KEYS)
@json_flag
def up(name: str, path: Path | None, root: Path | None, output: str, **flags: object) -> None:
    """Create session NAME, which applies PATH, or update it to its settings."""
    parsed = SessionName.parse(name)
    request = request_to_make(parsed, {**sessions.place_of(path, root), **said(flags)})
    note(beginning(request))
    making = partial(until_interrupted, says=_stopping(f"gitops-run up {name}"))
    spec = anyio.run(making, make_session, request, this_caller())
    if output == "json":
        print_json(_to_json(spec))
    else:
        click.echo(f"session {name}: namespace {spec.namespace}, bucket {spec.bucket}")
        click.echo(completed_here("  to push saves to it: gitops-run sync NAME"))


@click.command()
@click.argument("name")
@click.option(
    "--cluster-gone", "is_cluster_gone", is_flag=True, help="The cluster no longer exists: end the rest."
)
@click.option(
    "--from-cluster",
    "is_state_lost",
    is_flag=True,
    help="Pulumi's state is lost: end what the cluster and the store have of the session, by its labels.",
)
@settings_flags(*CLUSTER_KEYS)
@json_flag
def down(name: str, output: str, *, is_cluster_gone: bool, is_state_lost: bool, **flags: object) -> None:
    """End session NAME: remove all of it, and have the cluster and the store confirm that it is gone."""
    if is_cluster_gone and is_state_lost:
        raise UsageError(
            "--cluster-gone and --from-cluster exclude each other",
            hint="--from-cluster needs the cluster, and --cluster-gone is for one that no longer exists",
        )
    parsed, caller = SessionName.parse(name), this_caller()
    sources = known_sources(parsed, flags)
    request = sessions.ending(parsed, sources, caller, has_cluster=not is_cluster_gone)
    run = partial(anyio.run, partial(until_interrupted, says=_stopping(f"gitops-run down {name}")))
    if is_cluster_gone:
        receipt = run(sessions.down_without_cluster, request, caller)
        ok(f"session {name} is down; its cluster was not queried")
    else:
        receipt = run(sessions.down_from_cluster if is_state_lost else sessions.down, request, caller)
    if output == "json":
        print_json([asdict(line) for line in receipt.lines])
    else:
        print_receipt(receipt)


def said(flags: Mapping[str, object]) -> dict[str, object]:
    """Leave out the flags that nobody gave."""
    return {key: value for key, value in flags.items() if value not in (None, ())}


def known_sources(name: SessionName, flags: Mapping[str, object]) -> Sequence[Source]:
    """Bring what says how a session is made or ended, and let the hints know it. Raises UsageError."""
    sources = anyio.run(sessions.stack_sources, name, flag_source(flags), this_caller())
    know_place(name.text, resolve(sources), flags)
    return sources


def request_to_make(name: SessionName, flags: Mapping[str, object]) -> SessionRequest:
    """Gather what a session is made with. Raises UsageError."""
    return sessions.making(name, known_sources(name, flags), this_caller())


def beginning(request: SessionRequest) -> str:
    """Describe what takes the next seconds, before the first of it is done."""
    place = f"session {request.key.name} on {request.key.context}"
    return f"preparing {place}: namespace, bucket, keys, Flux objects"


async def make_session(request: SessionRequest, caller: Caller) -> SessionSpec:
    """Create a session, and report each resource once it is done."""
    spec = await sessions.up(request, caller)
    ok(f"session {request.key.name} is up")
    return spec


def _stopping(command: str) -> str:
    return f"Pulumi finishes its current work; to continue later: {command}"


def print_receipt(receipt: Receipt) -> None:
    """Print what was looked for and is gone."""
    for line in receipt.lines:
        ok(f"{line.what}: gone")


def _to_json(spec: SessionSpec) -> dict[str, str]:
    return {
        "name": spec.name.text,
        "namespace": spec.namespace,
        "bucket": spec.bucket,
        "owner": spec.owner,
        "context": spec.cluster.context,
        "target": spec.target,
    }
