"""`gitops-run platform`: what a cluster needs for sessions, made, shown and taken away."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import click

from gitops_run.adapters import user_files
from gitops_run.adapters.cluster.platform import PlatformCluster
from gitops_run.adapters.flux_manifests import read_manifests
from gitops_run.adapters.kubeconfig import read_kubeconfig
from gitops_run.adapters.pulumi.project import PLATFORMS, find_home
from gitops_run.adapters.pulumi.stacks import Stacks
from gitops_run.cli.basics import help_without_command, json_flag
from gitops_run.cli.hints import know_place
from gitops_run.cli.lifecycle import tell_step
from gitops_run.cli.options import flag_source, settings_flags
from gitops_run.cli.output import ok, print_json
from gitops_run.cli.signals import until_interrupted
from gitops_run.cli.table import print_table
from gitops_run.declare.platform_program import declare_platform
from gitops_run.flows import platform as flow
from gitops_run.model import contexts
from gitops_run.model.flux_install import images as images_of
from gitops_run.model.flux_install import install
from gitops_run.model.platform import (
    PLATFORM_PROJECT,
    PLATFORM_SETTINGS,
    PlatformFacts,
    PlatformSettings,
    flux_choice,
    resolve_platform,
    stack_name,
)
from gitops_run.model.platform_status import PlatformStatus, rows, to_json, to_status
from gitops_run.model.setting_table import STORE_IMAGE
from gitops_run.model.settings import Origin, Source

CLUSTER_KEYS: Final = ("kubeconfig", "context", "allowContexts")
FLUX_KEYS: Final = ("fluxVersion", "fluxManifests", "fluxRegistry", "fluxReceiver")
_SESSION_KEYS: Final = ("sessionPodSecurity",)
_NO_STACK: Final = Source(origin=Origin.STACK, values={})

_which_stack = click.option("--stack", "named", help="The stack's name; else made from the context's.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Ask for one platform: its stack, and what was chosen."""

    stack: str
    settings: PlatformSettings


@click.group(invoke_without_command=True)
def platform() -> None:
    """Give a cluster what sessions need: Flux, locked down, roles, and a rule that owners can't bend."""
    help_without_command()


@platform.command()
@_which_stack
@settings_flags(*CLUSTER_KEYS, *FLUX_KEYS, *_SESSION_KEYS, table=PLATFORM_SETTINGS)
@json_flag
def up(named: str | None, output: str, **flags: object) -> None:
    """Make the platform, or bring it up to its settings. A Flux that is found is never changed."""
    request = _cluster_request(named, flags)
    anyio.run(until_interrupted, flow.up, request.stack, request.settings, _ports(request), tell_step)
    ok(f"platform {request.stack} is up")
    _print(to_status(anyio.run(_facts, request.settings)), request, output)


@platform.command()
@_which_stack
@click.option("--cluster-gone", "is_cluster_gone", is_flag=True, help="The cluster is no more: forget it.")
@settings_flags(*CLUSTER_KEYS, table=PLATFORM_SETTINGS)
@json_flag
def down(named: str | None, output: str, *, is_cluster_gone: bool, **flags: object) -> None:
    """Take away what the platform's stack made. Refused while sessions live."""
    request = _request(named, flags)
    if is_cluster_gone:
        anyio.run(until_interrupted, flow.down_without_cluster, request.stack, _ports(request), tell_step)
        ok(f"platform {request.stack} is forgotten; its cluster was not asked")
        return
    _refuse_kubeconfig(request.settings)
    left = anyio.run(
        until_interrupted, flow.down, request.stack, request.settings, _ports(request), tell_step
    )
    ok(f"platform {request.stack} is down")
    _print(to_status(left), request, output)


@platform.command()
@settings_flags(*CLUSTER_KEYS, table=PLATFORM_SETTINGS)
@json_flag
def status(output: str, **flags: object) -> None:
    """Show what a cluster has of a platform, as far as you may read it."""
    request = _cluster_request(None, flags)
    settings = request.settings
    contexts.guard(settings.require("context"), settings.allow_contexts)
    _print(to_status(anyio.run(_facts, settings)), request, output)


@platform.command()
@settings_flags(*FLUX_KEYS, table=PLATFORM_SETTINGS)
@json_flag
def images(output: str, **flags: object) -> None:
    """List the images that platform and sessions run, for a closed network's registry. Asks no cluster."""
    settings = _resolve(flags, _NO_STACK)
    documents = anyio.run(read_manifests, settings.manifests)
    found = (*images_of(install(documents, flux_choice("", settings))), STORE_IMAGE)
    if output == "json":
        print_json(list(found))
    else:
        click.echo("\n".join(found))


def _cluster_request(named: str | None, flags: dict[str, object]) -> Request:
    """Choose as _request does, and refuse a kubeconfig that can't be used for it. Raises UsageError."""
    request = _request(named, flags)
    _refuse_kubeconfig(request.settings)
    return request


def _refuse_kubeconfig(settings: PlatformSettings) -> None:
    read_kubeconfig(settings.require("kubeconfig")).require(settings.require("context"))


def _request(named: str | None, flags: dict[str, object]) -> Request:
    """Choose the stack and its settings. Raises UsageError where neither a stack nor a cluster was named."""
    stack = named
    if stack is None:
        chosen = _resolve(flags, _NO_STACK)
        if chosen.context is None:
            raise read_kubeconfig(chosen.require("kubeconfig")).no_cluster_named()
        stack = stack_name(chosen.context)
    file = find_home(Path.cwd(), user_files.data_directory(os.environ), os.environ, PLATFORMS).stack_file(
        stack
    )
    said = user_files.read_stack_file(file, PLATFORM_PROJECT, PLATFORM_SETTINGS)
    settings = _resolve(flags, said)
    know_place("", settings, flags, stack=named or "")
    return Request(stack=stack, settings=settings)


def _resolve(flags: dict[str, object], stack: Source) -> PlatformSettings:
    others = user_files.sources(os.environ, stack=stack, table=PLATFORM_SETTINGS)
    return resolve_platform((flag_source(flags, PLATFORM_SETTINGS), *others))


def _ports(request: Request) -> flow.PlatformPorts:
    settings = request.settings
    home = find_home(Path.cwd(), user_files.data_directory(os.environ), os.environ, PLATFORMS)
    return flow.PlatformPorts(
        stacks=Stacks(home),
        cluster=PlatformCluster(settings.require("kubeconfig"), settings.require("context")),
        read_manifests=read_manifests,
        declare=declare_platform,
    )


async def _facts(settings: PlatformSettings) -> PlatformFacts:
    return await PlatformCluster(settings.require("kubeconfig"), settings.require("context")).facts()


def _print(status: PlatformStatus, request: Request, output: str) -> None:
    if output == "json":
        print_json(to_json(status, request.settings.require("context")))
    else:
        print_table(("", ""), list(rows(status)))
