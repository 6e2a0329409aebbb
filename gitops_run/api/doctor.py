"""Check a laptop and its cluster, and say for each finding what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from anyio import to_thread

from gitops_run.adapters.cluster.bounds import read_flux_controllers
from gitops_run.adapters.cluster.connection import Connection, connect
from gitops_run.adapters.cluster.diagnosis import read_denied, read_node_images, read_skew_s, read_version
from gitops_run.adapters.cluster.facts import read_user
from gitops_run.adapters.cluster.platform import PlatformCluster
from gitops_run.adapters.machine import user_files
from gitops_run.adapters.machine.facts import ask_version, free_mb, inotify_limits
from gitops_run.adapters.machine.kubeconfig import read_kubeconfig
from gitops_run.adapters.pulumi.own_plugin import has_own_plugin, plugins_folder
from gitops_run.adapters.store.admin import open_store
from gitops_run.api.caller import Caller
from gitops_run.errors import GitOpsRunError
from gitops_run.model.platform import diagnosis
from gitops_run.model.platform.diagnosis import Finding, problem, warning, well
from gitops_run.model.platform.status import to_status
from gitops_run.model.session import contexts
from gitops_run.model.session.settings import NO_STACK, Settings, Source, resolve
from gitops_run.model.session.spec import parse_s3_store
from gitops_run.model.store.objects import StoreAccess

_PROBE = "gitops-run-doctor"
"""A bucket that nobody has: whether the store answers and knows the key is all that is asked."""


async def doctor(said: Source, caller: Caller) -> AsyncIterator[Finding]:
    """Yield what each check finds, as soon as it is known. said: what flags say of the cluster."""
    for program in diagnosis.PROGRAMS:
        answer = await to_thread.run_sync(ask_version, program.name, caller.environment)
        yield diagnosis.judge_program(program, answer)
    yield _plugin(caller)
    yield diagnosis.judge_watches(inotify_limits())
    data = user_files.data_directory(caller.environment)
    yield diagnosis.judge_disk(str(data), free_mb(data))
    try:
        settings = resolve((said, *user_files.sources(caller.environment, stack=NO_STACK)))
    except GitOpsRunError as error:
        yield problem("laptop", "settings", error)
        return
    yield well("laptop", "settings", "can be read")
    async for finding in _of_cluster(settings):
        yield finding
    if settings.endpoint:
        yield await _store(settings)


async def _of_cluster(settings: Settings) -> AsyncIterator[Finding]:
    try:
        kubeconfig = read_kubeconfig(settings.require("kubeconfig"))
        if settings.context is None:
            unnamed = kubeconfig.no_cluster_named()
            yield warning("cluster", "context", f"no cluster was checked: {unnamed.message}", unnamed.hint)
            return
        kubeconfig.require(settings.context)
        contexts.guard(settings.context, settings.allow_contexts)
    except GitOpsRunError as error:
        yield problem("laptop", "kubeconfig", error)
        return
    named = f"{settings.context} in {kubeconfig.path}"
    others = f"; it has {len(kubeconfig.contexts)} contexts" if len(kubeconfig.contexts) > 1 else ""
    yield well("laptop", "kubeconfig", f"{named}{others}")
    try:
        async with connect(kubeconfig.path, settings.context) as connection:
            yield diagnosis.judge_kubernetes(await read_version(connection))
            for check, ask in _questions(connection, settings):
                async for finding in _asked(check, ask):
                    yield finding
    except GitOpsRunError as error:
        yield problem("cluster", "reachable", error)


def _questions(
    connection: Connection, settings: Settings
) -> tuple[tuple[str, Callable[[], Awaitable[tuple[Finding, ...]]]], ...]:
    async def clock() -> tuple[Finding, ...]:
        return (diagnosis.judge_clock(await read_skew_s(connection)),)

    async def rights() -> tuple[Finding, ...]:
        denied = await read_denied(connection, diagnosis.rights())
        return diagnosis.judge_rights(denied, await read_user(connection))

    async def flux() -> tuple[Finding, ...]:
        cluster = PlatformCluster(settings.require("kubeconfig"), settings.require("context"))
        return diagnosis.judge_platform(to_status(await cluster.facts()))

    async def lockdown() -> tuple[Finding, ...]:
        found = await read_flux_controllers(connection)
        allowed = settings.allow_unlocked_flux
        return (diagnosis.judge_lockdown(found, is_unlocked_allowed=allowed),)

    async def image() -> tuple[Finding, ...]:
        if settings.store != "in-cluster":
            return (diagnosis.no_image(str(settings.store)),)
        return (diagnosis.judge_image(settings.store_image, await read_node_images(connection)),)

    return (
        *(("clock", clock), ("rights", rights), ("flux", flux)),
        *(("lockdown", lockdown), ("image", image)),
    )


async def _asked(check: str, ask: Callable[[], Awaitable[tuple[Finding, ...]]]) -> AsyncIterator[Finding]:
    """Yield what a question finds; one that fails is a finding too."""
    try:
        for finding in await ask():
            yield finding
    except GitOpsRunError as error:
        yield problem("cluster", check, error)


def _plugin(caller: Caller) -> Finding:
    folder = plugins_folder(caller.environment)
    if has_own_plugin(caller.environment):
        return well("laptop", "plugin", f"Pulumi finds this project's in {folder}")
    return warning(
        "laptop",
        "plugin",
        f"Pulumi finds no plugin of this project in {folder}: `pulumi destroy` by hand needs it",
        "install it: python -c 'from gitops_run import Session'; every `up` does so too",
    )


async def _store(settings: Settings) -> Finding:
    """Ask the store of the settings whether it answers and takes the key."""
    try:
        access = parse_s3_store(settings, user_files.read_ca(settings.ca_file)).access
        await to_thread.run_sync(_probe, access)
    except GitOpsRunError as error:
        return problem("store", "endpoint", error)
    return well("store", "endpoint", f"{settings.endpoint} answers, and takes the key")


def _probe(access: StoreAccess) -> None:
    with open_store(access) as buckets:
        buckets.exists(_PROBE)
