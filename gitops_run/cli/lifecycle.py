"""`gitops-run up` and `gitops-run down`: compose the life cycle of one session."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import click

from gitops_run.adapters import user_files
from gitops_run.adapters.cluster.connection import connect
from gitops_run.adapters.cluster.remains import SessionCluster
from gitops_run.adapters.cluster.states import list_states
from gitops_run.adapters.files import find_root
from gitops_run.adapters.history import forget_history, history_folder
from gitops_run.adapters.kubeconfig import read_kubeconfig
from gitops_run.adapters.pulumi.project import ProjectHome, find_home
from gitops_run.adapters.pulumi.stacks import Stacks
from gitops_run.adapters.remembered import remember_root
from gitops_run.adapters.session_keys import keys_elsewhere, with_keys_file
from gitops_run.adapters.store_admin import open_store
from gitops_run.adapters.store_keys import open_keys
from gitops_run.cli.basics import json_flag
from gitops_run.cli.hints import know_place, told
from gitops_run.cli.options import CLUSTER_KEYS, SESSION_KEYS, flag_source, settings_flags
from gitops_run.cli.output import note, ok, print_json
from gitops_run.cli.signals import unfinished, until_interrupted
from gitops_run.declare.program import declare_session
from gitops_run.errors import GitOpsRunError, NotFound, UsageError
from gitops_run.flows import lifecycle
from gitops_run.model.helm_release import CHART_FILE
from gitops_run.model.masking import Masker
from gitops_run.model.receipt import Receipt
from gitops_run.model.session import SessionName
from gitops_run.model.session_spec import SessionSpec
from gitops_run.model.settings import SETTINGS, Origin, Settings, Source, resolve
from gitops_run.model.stack_events import ResourceStep, StackEvent


@click.command()
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--root", type=click.Path(path_type=Path), help="What to watch; else the git work tree.")
@settings_flags(*CLUSTER_KEYS, *SESSION_KEYS)
@json_flag
def up(name: str, path: Path | None, root: Path | None, output: str, **flags: object) -> None:
    """Make session NAME, which applies PATH, or bring it up to its settings."""
    parsed = SessionName.parse(name)
    request = session_request(parsed, {**place_flags(path, root), **said(flags)})
    note(beginning(request))
    spec = anyio.run(
        partial(until_interrupted, says=_stopping(f"gitops-run up {name}")), make_session, request
    )
    if output == "json":
        print_json(_to_json(spec))
    else:
        click.echo(f"session {name}: namespace {spec.namespace}, bucket {spec.bucket}")
        click.echo(told("  to save into it: gitops-run sync NAME"))


@click.command()
@click.argument("name")
@click.option("--cluster-gone", "is_cluster_gone", is_flag=True, help="The cluster is no more: end the rest.")
@click.option(
    "--from-cluster",
    "is_state_lost",
    is_flag=True,
    help="Pulumi's state is lost: end what the cluster and the store have of the session, by its labels.",
)
@settings_flags(*CLUSTER_KEYS)
@json_flag
def down(name: str, output: str, *, is_cluster_gone: bool, is_state_lost: bool, **flags: object) -> None:
    """End session NAME: everything of it goes, and the cluster and the store are asked whether it went."""
    if is_cluster_gone and is_state_lost:
        raise UsageError(
            "--cluster-gone and --from-cluster exclude each other",
            hint="--from-cluster asks the cluster, and --cluster-gone doesn't",
        )
    request = session_request(SessionName.parse(name), flags, is_ending=True, has_cluster=not is_cluster_gone)
    run = partial(anyio.run, partial(until_interrupted, says=_stopping(f"gitops-run down {name}")))
    if is_cluster_gone:
        receipt = run(end_without_cluster, request)
        ok(f"session {name} is down; its cluster was not asked")
    else:
        receipt = run(end_from_cluster if is_state_lost else end_session, request)
    if output == "json":
        print_json([asdict(line) for line in receipt.lines])
    else:
        print_receipt(receipt)


def place_flags(path: Path | None, root: Path | None) -> dict[str, str]:
    """Turn a target's path and its root into settings, and see whether it is a chart.

    Raises UsageError where they don't fit.
    """
    if path is None:
        return {"root": str(find_root(root, root))} if root else {}
    found = find_root(path, root)
    applier = "helm" if (path / CHART_FILE).is_file() else "kustomize"
    target = path.resolve().relative_to(found).as_posix()
    return {"root": str(found), "target": target, "applier": applier}


def said(flags: Mapping[str, object]) -> dict[str, object]:
    """Leave out the flags that nobody gave."""
    return {key: value for key, value in flags.items() if value not in (None, ())}


def session_request(
    name: SessionName, flags: Mapping[str, object], *, is_ending: bool = False, has_cluster: bool = True
) -> lifecycle.Request:
    """Gather what a session is made or ended with. is_ending: its reader's and writer's keys aren't needed.

    The kubeconfig's current context counts when a session is made, and never again: it's pinned then.
    has_cluster: whether the cluster is asked, so that the kubeconfig has to be usable. Raises UsageError.
    """
    stack_file = _home().stack_file(name.text)
    sources: tuple[Source, ...] = (
        flag_source(flags),
        *user_files.sources(os.environ, stack=_stack_source(name, stack_file)),
    )
    settings = resolve(sources)
    know_place(name.text, settings, flags)
    if has_cluster:
        kubeconfig = read_kubeconfig(settings.require("kubeconfig"))
        if settings.context is None and not stack_file.is_file():
            if not kubeconfig.current:
                raise kubeconfig.no_cluster_named()
            sources = (*sources, Source(origin=Origin.DEFAULT, values={"context": kubeconfig.current}))
            settings = resolve(sources)
        kubeconfig.require(settings.require("context"))
    elsewhere: dict[str, str] = {}
    if not is_ending:
        settings = with_keys_file(settings, sources)
        elsewhere = keys_elsewhere(os.environ, stack_file, settings)
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    ca = user_files.read_ca(settings.ca_file)
    return lifecycle.Request(name=name, settings=settings, ca=ca, now=now, keys_elsewhere=elsewhere)


def _stack_source(name: SessionName, stack_file: Path) -> Source:
    """Bring what a session's stack file says, with the keys of the store that Pulumi has encrypted in it."""
    plain = user_files.read_stack_file(stack_file)
    if not user_files.has_encrypted_keys(stack_file):
        return plain
    encrypted = anyio.run(Stacks(_home()).encrypted_settings, name.text)
    keys = {setting.key: encrypted.get(setting.key) for setting in SETTINGS if setting.is_store_key}
    return replace(plain, values={**plain.values, **{key: value for key, value in keys.items() if value}})


def beginning(request: lifecycle.Request) -> str:
    """Say what takes the next seconds, before the first of it is done."""
    place = f"session {request.name} on {request.settings.context}"
    return f"preparing {place}: namespace, bucket, keys, Flux objects"


async def make_session(request: lifecycle.Request) -> SessionSpec:
    """Make a session, telling each resource as it's done."""
    _refuse_missing_values(request.settings)
    key = user_files.read_decryption_key(request.settings.decryption_key_file)
    variables = user_files.read_variables(request.settings.substitute_file)
    request = replace(request, decryption_key=key, variables=variables)
    with unfinished(_at_work(request, f"gitops-run up {request.name}")):
        spec = await lifecycle.up(request, _ports(request), tell_step)
    if request.settings.root:
        remember_root(_history_folder(request), request.settings.root)
    ok(f"session {request.name} is up")
    return spec


async def end_session(request: lifecycle.Request) -> Receipt:
    """End a session, telling each resource as it goes."""
    try:
        with unfinished(_at_work(request, f"gitops-run down {request.name}")):
            receipt = await lifecycle.down(request, _ports(request), tell_step)
    except NotFound as error:
        raise await _with_existing(request, error) from error
    _forget_history(request)
    return receipt


async def _with_existing(request: lifecycle.Request, missing: NotFound) -> NotFound:
    """Say which sessions exist, where one does not and this user may list them."""
    settings = request.settings
    try:
        async with connect(settings.require("kubeconfig"), settings.require("context")) as connection:
            names = [session.name for session in await list_states(connection)]
    except GitOpsRunError:
        return missing
    if request.name.text in names:
        return missing
    there = f"it has {', '.join(names)}" if names else "it has none"
    return NotFound(
        f"there is no session {request.name} on {settings.context}; {there}",
        hint="to see them: gitops-run list",
    )


async def end_from_cluster(request: lifecycle.Request) -> Receipt:
    """End a session whose state is lost."""
    receipt = await lifecycle.down_from_cluster(request, _ports(request), tell_step)
    _forget_history(request)
    return receipt


async def end_without_cluster(request: lifecycle.Request) -> Receipt:
    """End what a session has outside of its cluster."""
    with unfinished(_at_work(request, f"gitops-run down {request.name}")):
        receipt = await lifecycle.down_without_cluster(request, _ports(request), tell_step)
    _forget_history(request)
    return receipt


def _stopping(command: str) -> str:
    return f"Pulumi finishes what it is doing; to go on later: {command}"


def _at_work(request: lifecycle.Request, command: str) -> str:
    """Say what a process leaves that doesn't wait for Pulumi."""
    return f"Pulumi may still be at work on session {request.name}; to go on once it has ended: {command}"


def _forget_history(request: lifecycle.Request) -> None:
    forget_history(_history_folder(request))


def _history_folder(request: lifecycle.Request) -> Path:
    settings = request.settings
    namespace = settings.namespace or request.name.namespace
    return history_folder(os.environ, settings.require("context"), namespace, request.name.text)


def _refuse_missing_values(settings: Settings) -> None:
    root = Path(settings.root or "")
    for path in settings.values_files if root.is_dir() else ():
        if not (root / path).is_file():
            raise UsageError(
                f"valuesFiles names {path}, and there is no such file in {root}",
                hint="name it as a path within root",
            )


def print_receipt(receipt: Receipt) -> None:
    """Print what was looked for and is gone."""
    for line in receipt.lines:
        ok(f"{line.what}: gone")


def _ports(request: lifecycle.Request) -> lifecycle.Ports:
    settings, masker = request.settings, Masker()
    masker.learn(request.secrets())
    return lifecycle.Ports(
        stacks=Stacks(_home(), masker),
        cluster=SessionCluster(settings.require("kubeconfig"), settings.require("context")),
        open_store=open_store,
        open_keys=open_keys,
        declare=declare_session,
    )


def _home() -> ProjectHome:
    return find_home(Path.cwd(), user_files.data_directory(os.environ), os.environ)


def tell_step(event: StackEvent) -> None:
    """Tell a resource that was made, changed or removed."""
    if not isinstance(event, ResourceStep):
        note(event.text)
    elif event.phase == "done" and event.operation != "same":
        name = event.resource.removeprefix(f"{event.kind.lower()}-")
        note(f"{event.operation} {event.kind} {name}")


def _to_json(spec: SessionSpec) -> dict[str, str]:
    return {
        "name": spec.name.text,
        "namespace": spec.namespace,
        "bucket": spec.bucket,
        "owner": spec.owner,
        "context": spec.cluster.context,
        "target": spec.target,
    }
