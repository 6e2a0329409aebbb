"""Make and end sessions, by Pulumi's state of them and their cluster."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gitops_run.adapters.cluster.connection import connect
from gitops_run.adapters.cluster.listing import list_states
from gitops_run.adapters.cluster.remains import SessionCluster
from gitops_run.adapters.files import find_root
from gitops_run.adapters.files.history import forget_history
from gitops_run.adapters.machine import user_files
from gitops_run.adapters.machine.kubeconfig import read_kubeconfig
from gitops_run.adapters.machine.remembered import history_folder, remember_root
from gitops_run.adapters.machine.session_files import request_to_end, request_to_make
from gitops_run.adapters.pulumi.command import require_pulumi
from gitops_run.adapters.pulumi.project import ProjectHome, find_home
from gitops_run.adapters.pulumi.stacks import Stacks
from gitops_run.adapters.store.admin import open_store
from gitops_run.adapters.store.keys import open_keys
from gitops_run.api.caller import Caller
from gitops_run.api.stack_here import made_in
from gitops_run.declare.program import declare_session
from gitops_run.errors import GitOpsRunError, GuardError, NotFound, UsageError
from gitops_run.flows import lifecycle
from gitops_run.model.flux.helm_release import CHART_FILE
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.receipt import Receipt
from gitops_run.model.session.request import SessionRequest
from gitops_run.model.session.settings import SETTINGS, Origin, Settings, Source, resolve
from gitops_run.model.session.spec import SessionSpec
from gitops_run.model.session.tombstone import Tombstone
from gitops_run.model.text.masking import Masker


def place_of(path: Path | None, root: Path | None) -> dict[str, str]:
    """Turn a target's path and its root into settings, and see whether it is a chart.

    path: None where the session has one already. root: None for the git work tree around the target. Raises
    UsageError where they don't fit.
    """
    if path is None:
        return {"root": str(find_root(root, root))} if root else {}
    found = find_root(path, root)
    applier = "helm" if (path / CHART_FILE).is_file() else "kustomize"
    return {"root": str(found), "target": path.resolve().relative_to(found).as_posix(), "applier": applier}


async def stack_sources(name: SessionName, said: Source, caller: Caller) -> tuple[Source, ...]:
    """Bring what says how a session is made or ended, first what wins.

    The keys of the store that Pulumi has encrypted in the session's stack file are decrypted. Raises
    UsageError on a file that can't be used.
    """
    home = home_of(caller)
    stack_file = home.stack_file(name.text)
    stack = user_files.read_stack_file(stack_file)
    if user_files.has_encrypted_keys(stack_file):
        encrypted = await Stacks(home).encrypted_settings(name.text)
        keys = {setting.key: encrypted.get(setting.key) for setting in SETTINGS if setting.is_store_key}
        decrypted = {key: value for key, value in keys.items() if value}
        stack = replace(stack, values={**stack.values, **decrypted})
    return (said, *user_files.sources(caller.environment, stack=stack))


def making(name: SessionName, sources: Sequence[Source], caller: Caller) -> SessionRequest:
    """Gather what a session is made with.

    The kubeconfig's current context counts when a session is made, and never again: it's pinned then. Raises
    UsageError on a kubeconfig or a file that can't be used.
    """
    stack_file = home_of(caller).stack_file(name.text)
    request = request_to_make(name, _with_context(sources, stack_file), stack_file, caller.environment)
    _refuse_missing_values(request.settings)
    return request


def ending(
    name: SessionName, sources: Sequence[Source], caller: Caller, *, has_cluster: bool = True
) -> SessionRequest:
    """Gather what a session is ended with.

    has_cluster: whether the cluster is asked, so that the kubeconfig must be usable. Raises UsageError.
    """
    if has_cluster:
        sources = _with_context(sources, home_of(caller).stack_file(name.text))
    return request_to_end(name, sources)


async def up(request: SessionRequest, caller: Caller) -> SessionSpec:
    """Make a session, or bring it up to its settings. Raises as lifecycle.up."""
    with caller.unfinished(_at_work(request, f"gitops-run up {request.key.name}")):
        spec = await lifecycle.up(request, _ports(request, caller), caller.tell)
    if request.settings.root:
        remember_root(history_folder(caller.environment, request.key), request.settings.root)
    return spec


async def down(request: SessionRequest, caller: Caller) -> Receipt:
    """End a session, and say what was looked for and is gone. Raises as lifecycle.down."""
    try:
        with caller.unfinished(_at_work(request, f"gitops-run down {request.key.name}")):
            receipt = await lifecycle.down(request, _ports(request, caller), caller.tell)
    except NotFound as error:
        raise await _with_existing(request, error) from error
    return _forgotten(request, receipt, caller)


async def down_from_cluster(
    request: SessionRequest, caller: Caller, stone: Tombstone | None = None
) -> Receipt:
    """End a session whose state is lost, or out of reach where a stone is given. Raises as lifecycle.down."""
    ports = _ports(request, caller, needs_stack=stone is None)
    receipt = await lifecycle.down_from_cluster(request, ports, caller.tell, stone)
    return _forgotten(request, receipt, caller)


async def down_without_cluster(request: SessionRequest, caller: Caller) -> Receipt:
    """End what a session has outside of its cluster. Raises as lifecycle.down_without_cluster."""
    with caller.unfinished(_at_work(request, f"gitops-run down {request.key.name}")):
        receipt = await lifecycle.down_without_cluster(request, _ports(request, caller), caller.tell)
    return _forgotten(request, receipt, caller)


async def stacks_of(cluster: str, caller: Caller) -> frozenset[tuple[str, str]]:
    """List the stacks that are here, with a file, and whose session is in this cluster: namespace and name.

    cluster: the UID of its kube-system namespace. A stack whose file can't be used is left out. Raises
    BackendError where Pulumi isn't here or fails.
    """
    home = home_of(caller)
    found = set()
    for name in await Stacks(home).names():
        with suppress(GitOpsRunError, OSError):
            stack = user_files.read_stack_file(home.stack_file(name))
            its_cluster, namespace = made_in(SessionName.parse(name), stack)
            if its_cluster == cluster:
                found.add((namespace, name))
    return frozenset(found)


async def ending_by_stack(
    key: SessionKey, cluster: str, allowed: Sequence[str], caller: Caller
) -> SessionRequest:
    """Gather what a session is ended with whose stack is here.

    cluster: as in has_stack_of. allowed: contexts. Raises GuardError where the stack of this name is of
    another session, and as ending.
    """
    said = Source(origin=Origin.FLAG, values={"allowContexts": tuple(allowed)} if allowed else {})
    sources = await stack_sources(key.name, said, caller)
    stack = next(source for source in sources if source.origin is Origin.STACK)
    request = ending(key.name, sources, caller)
    made = made_in(key.name, stack)
    if made != (cluster, key.namespace) or request.key.namespace != key.namespace:
        raise GuardError(
            f"the stack {key.name} on this machine is of another session: it was created in namespace "
            f"{made[1]} of the cluster {made[0] or 'unknown'}",
            hint=f"whoever has the session's stack ends it: gitops-run down {key.name}",
        )
    return request


def _with_context(sources: Sequence[Source], stack_file: Path) -> Sequence[Source]:
    """Add the kubeconfig's current context for a session without a stack file, where none is chosen.

    Raises UsageError on a kubeconfig or a context that can't be used.
    """
    settings = resolve(sources)
    kubeconfig = read_kubeconfig(settings.require("kubeconfig"))
    if settings.context is None and not stack_file.is_file():
        if not kubeconfig.current:
            raise kubeconfig.no_cluster_named()
        current = Source(origin=Origin.DEFAULT, values={"context": kubeconfig.current})
        sources = (*sources, current)
    kubeconfig.require(resolve(sources).require("context"))
    return sources


def _refuse_missing_values(settings: Settings) -> None:
    root = Path(settings.root or "")
    for path in settings.values_files if root.is_dir() else ():
        if not (root / path).is_file():
            raise UsageError(
                f"valuesFiles names {path}, and there is no such file in {root}",
                hint="name it as a path within root",
            )


async def _with_existing(request: SessionRequest, missing: NotFound) -> NotFound:
    """Report which sessions exist, where one does not and this user may list them."""
    key = request.key
    try:
        async with connect(key.kubeconfig, key.context) as connection:
            names = [session.name for session in await list_states(connection)]
    except GitOpsRunError:
        return missing
    if key.name.text in names:
        return missing
    there = f"it has {', '.join(names)}" if names else "it has none"
    return NotFound(
        f"there is no session {key.name} on {key.context}; {there}",
        hint="to see them: gitops-run list",
    )


def _at_work(request: SessionRequest, command: str) -> str:
    """Describe what a process leaves that doesn't wait for Pulumi."""
    name = request.key.name
    return f"Pulumi may still be running for session {name}; to continue once it has ended: {command}"


def _forgotten(request: SessionRequest, receipt: Receipt, caller: Caller) -> Receipt:
    """Forget what this machine has kept of a session that has ended."""
    forget_history(history_folder(caller.environment, request.key))
    return receipt


def _ports(request: SessionRequest, caller: Caller, *, needs_stack: bool = True) -> lifecycle.Ports:
    if needs_stack:
        require_pulumi()
    masker = Masker()
    masker.learn(request.secrets())
    return lifecycle.Ports(
        stacks=Stacks(home_of(caller), masker),
        cluster=SessionCluster(request.key),
        open_store=open_store,
        open_keys=open_keys,
        declare=declare_session,
    )


def home_of(caller: Caller) -> ProjectHome:
    """Find the project that has the stacks of sessions. Raises UsageError."""
    return find_home(caller.here, user_files.data_directory(caller.environment), caller.environment)
