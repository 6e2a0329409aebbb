"""`gitops-run platform`: what a cluster needs for sessions, made, shown and taken away."""

from __future__ import annotations

from typing import Final

import anyio
import click

from gitops_run.api import platform as api
from gitops_run.api.platform import PlatformRequest
from gitops_run.cli.basics import help_without_command, json_flag
from gitops_run.cli.caller import this_caller
from gitops_run.cli.hints import know_place
from gitops_run.cli.options import flag_source, settings_flags
from gitops_run.cli.output import ok, print_json
from gitops_run.cli.signals import until_interrupted
from gitops_run.cli.table import print_table
from gitops_run.model.platform.setting_table import PLATFORM_SETTINGS
from gitops_run.model.platform.status import PlatformStatus, rows, to_json, to_status

CLUSTER_KEYS: Final = ("kubeconfig", "context", "allowContexts")
FLUX_KEYS: Final = ("fluxVersion", "fluxManifests", "fluxRegistry", "fluxReceiver")
_COLLECTOR_KEYS: Final = ("collectorImage", "collectorSchedule")
_SESSION_KEYS: Final = (
    "sessionIsolation",
    "sessionQuota",
    "sessionMaxQuota",
    "teamQuota",
    "sessionIngressFrom",
    "sessionPodSecurity",
    "sessionTtl",
    "sessionMaxTtl",
    "sessionIdleLimit",
    "sessionMaxIdleLimit",
)

_which_stack = click.option(
    "--stack", "named", help="The stack's name; by default derived from the context's."
)


@click.group(invoke_without_command=True)
def platform() -> None:
    """Prepare a cluster for sessions: Flux with lockdown, roles, and admission policies for owners."""
    help_without_command()


@platform.command()
@_which_stack
@settings_flags(*CLUSTER_KEYS, *FLUX_KEYS, *_SESSION_KEYS, *_COLLECTOR_KEYS, table=PLATFORM_SETTINGS)
@json_flag
def up(named: str | None, output: str, **flags: object) -> None:
    """Create or update the platform. An existing Flux is never changed."""
    request = _cluster_request(named, flags)
    anyio.run(until_interrupted, api.up, request, this_caller())
    ok(f"platform {request.stack} is up")
    _print(to_status(anyio.run(api.facts, request.settings)), request, output)


@platform.command()
@_which_stack
@click.option(
    "--cluster-gone", "is_cluster_gone", is_flag=True, help="The cluster no longer exists: forget it."
)
@settings_flags(*CLUSTER_KEYS, table=PLATFORM_SETTINGS)
@json_flag
def down(named: str | None, output: str, *, is_cluster_gone: bool, **flags: object) -> None:
    """Remove what the platform's stack created. This is refused while sessions exist."""
    request = _request(named, flags)
    if is_cluster_gone:
        anyio.run(until_interrupted, api.down_without_cluster, request, this_caller())
        ok(f"platform {request.stack} is forgotten; its cluster was not queried")
        return
    api.refuse_kubeconfig(request.settings)
    left = anyio.run(until_interrupted, api.down, request, this_caller())
    ok(f"platform {request.stack} is down")
    _print(to_status(left), request, output)


@platform.command()
@settings_flags(*CLUSTER_KEYS, table=PLATFORM_SETTINGS)
@json_flag
def status(output: str, **flags: object) -> None:
    """Show the state of a cluster's platform, as far as you may read it."""
    request = _cluster_request(None, flags)
    _print(to_status(anyio.run(api.facts, request.settings)), request, output)


@platform.command()
@settings_flags(*FLUX_KEYS, table=PLATFORM_SETTINGS)
@json_flag
def images(output: str, **flags: object) -> None:
    """List the images of platform and sessions, for a closed network's registry. No cluster is needed."""
    settings = api.choose_alone(flag_source(flags, PLATFORM_SETTINGS), this_caller())
    found = anyio.run(api.images, settings)
    if output == "json":
        print_json(list(found))
    else:
        click.echo("\n".join(found))


def _cluster_request(named: str | None, flags: dict[str, object]) -> PlatformRequest:
    """Choose as _request does, and refuse a kubeconfig that can't be used for it. Raises UsageError."""
    request = _request(named, flags)
    api.refuse_kubeconfig(request.settings)
    return request


def _request(named: str | None, flags: dict[str, object]) -> PlatformRequest:
    """Choose the stack and its settings, and let the hints know them. Raises UsageError."""
    request = api.choose(named, flag_source(flags, PLATFORM_SETTINGS), this_caller())
    know_place("", request.settings, flags, stack=named or "")
    return request


def _print(status: PlatformStatus, request: PlatformRequest, output: str) -> None:
    if output == "json":
        print_json(to_json(status, request.settings.require("context")))
    else:
        print_table(("", ""), list(rows(status)))
