"""Make, show and take away what a cluster needs for sessions."""

from __future__ import annotations

from dataclasses import dataclass

from gitops_run.adapters.cluster.platform import PlatformCluster
from gitops_run.adapters.flux_manifests import read_manifests
from gitops_run.adapters.machine import user_files
from gitops_run.adapters.machine.kubeconfig import read_kubeconfig
from gitops_run.adapters.pulumi.command import require_pulumi
from gitops_run.adapters.pulumi.project import PLATFORMS, ProjectHome, find_home
from gitops_run.adapters.pulumi.stacks import Stacks
from gitops_run.api.caller import Caller
from gitops_run.declare.platform_program import declare_platform
from gitops_run.flows import platform as flow
from gitops_run.model.platform.facts import PlatformFacts
from gitops_run.model.platform.flux_install import images as images_of
from gitops_run.model.platform.flux_install import install
from gitops_run.model.platform.platform import (
    PLATFORM_PROJECT,
    PlatformSettings,
    flux_choice,
    resolve_platform,
    stack_name,
)
from gitops_run.model.platform.setting_table import PLATFORM_SETTINGS
from gitops_run.model.session import contexts
from gitops_run.model.session.setting_table import STORE_IMAGE
from gitops_run.model.session.settings import Origin, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformRequest:
    """Ask for one platform: its stack, and what was chosen."""

    stack: str
    settings: PlatformSettings


def choose(named: str | None, said: Source, caller: Caller) -> PlatformRequest:
    """Choose the stack and its settings. named: None for the stack of the chosen context.

    Refuses nothing of the cluster: refuse_kubeconfig does. Raises UsageError where neither a stack nor a
    cluster was named.
    """
    stack = named
    if stack is None:
        chosen = choose_alone(said, caller)
        if chosen.context is None:
            raise read_kubeconfig(chosen.require("kubeconfig")).no_cluster_named()
        stack = stack_name(chosen.context)
    file = _home(caller).stack_file(stack)
    from_stack = user_files.read_stack_file(file, PLATFORM_PROJECT, PLATFORM_SETTINGS)
    return PlatformRequest(stack=stack, settings=_resolved(said, from_stack, caller))


def choose_alone(said: Source, caller: Caller) -> PlatformSettings:
    """Choose settings without any stack."""
    return _resolved(said, Source(origin=Origin.STACK, values={}), caller)


def refuse_kubeconfig(settings: PlatformSettings) -> None:
    """Refuse a kubeconfig that can't be used, or lacks the context. Raises UsageError."""
    read_kubeconfig(settings.require("kubeconfig")).require(settings.require("context"))


async def up(request: PlatformRequest, caller: Caller) -> None:
    """Make the platform, or bring it up to its settings. Raises as flows.platform.up."""
    await flow.up(request.stack, request.settings, _ports(request, caller), caller.tell)


async def down(request: PlatformRequest, caller: Caller) -> PlatformFacts:
    """Take away what the platform's stack made, and look what is left. Raises as flows.platform.down."""
    return await flow.down(request.stack, request.settings, _ports(request, caller), caller.tell)


async def down_without_cluster(request: PlatformRequest, caller: Caller) -> None:
    """Forget the platform of a cluster that is gone."""
    await flow.down_without_cluster(request.stack, _ports(request, caller), caller.tell)


async def facts(settings: PlatformSettings) -> PlatformFacts:
    """Look what a cluster has of a platform, as far as this user may.

    Raises GuardError on a context that nobody allowed.
    """
    contexts.guard(settings.require("context"), settings.allow_contexts)
    return await _cluster(settings).facts()


async def images(settings: PlatformSettings) -> tuple[str, ...]:
    """List the images that platform and sessions run. Asks no cluster. Raises as read_manifests."""
    documents = await read_manifests(settings.manifests)
    return (*images_of(install(documents, flux_choice("", settings))), STORE_IMAGE)


def _resolved(said: Source, stack: Source, caller: Caller) -> PlatformSettings:
    others = user_files.sources(caller.environment, stack=stack, table=PLATFORM_SETTINGS)
    return resolve_platform((said, *others))


def _ports(request: PlatformRequest, caller: Caller) -> flow.PlatformPorts:
    require_pulumi()
    return flow.PlatformPorts(
        stacks=Stacks(_home(caller)),
        cluster=_cluster(request.settings),
        read_manifests=read_manifests,
        declare=declare_platform,
    )


def _cluster(settings: PlatformSettings) -> PlatformCluster:
    return PlatformCluster(settings.require("kubeconfig"), settings.require("context"))


def _home(caller: Caller) -> ProjectHome:
    data = user_files.data_directory(caller.environment)
    return find_home(caller.here, data, caller.environment, PLATFORMS)
