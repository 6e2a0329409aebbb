"""The Pulumi program of platforms: settings, a cluster's facts and Flux's manifests become one platform.

`pulumi up` typed by hand runs `main`, the tool runs `declare_platform` with what it has read already: the
same resources, names and state either way.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pulumi

from gitops_run.adapters.cluster.platform import PlatformCluster
from gitops_run.adapters.flux_manifests import read_manifests
from gitops_run.adapters.machine import user_files
from gitops_run.adapters.machine.scratch import own_temporary_files
from gitops_run.declare.platform import Platform
from gitops_run.errors import GitOpsRunError
from gitops_run.model.platform.platform import (
    PLATFORM_PROJECT,
    PlatformSettings,
    PlatformSpec,
    make_spec,
    needs_manifests,
    platform_outputs,
    resolve_platform,
)
from gitops_run.model.platform.setting_table import PLATFORM_SETTINGS
from gitops_run.model.session import contexts
from gitops_run.model.session.settings import Source
from gitops_run.model.stack.project import stack_file


def main() -> None:
    """Declare the stack's platform, for `pulumi up` typed by hand."""
    try:
        with own_temporary_files(os.environ):
            spec = _read_spec()
        declare_platform(spec)
    except GitOpsRunError as error:
        hint = f"\n{error.hint}" if error.hint else ""
        raise pulumi.RunError(f"{error.message}{hint}") from error


def declare_platform(spec: PlatformSpec) -> None:
    """Declare a platform, and export what it is."""
    Platform(spec)
    for key, value in platform_outputs(spec).items():
        pulumi.export(key, value)


async def read_spec(stack: str, settings: PlatformSettings) -> PlatformSpec:
    """Look at the cluster and read what is to be made there. Raises as needs_manifests and the adapters."""
    contexts.guard(settings.require("context"), settings.allow_contexts)
    cluster = PlatformCluster(settings.require("kubeconfig"), settings.require("context"))
    facts = await cluster.facts()
    is_ours = needs_manifests(stack, settings, facts)
    return make_spec(stack, settings, facts, await read_manifests(settings.manifests) if is_ours else ())


def _read_spec() -> PlatformSpec:
    stack = pulumi.get_stack()
    settings = resolve_platform(
        user_files.sources(os.environ, stack=_stack_config(stack), table=PLATFORM_SETTINGS)
    )
    with ThreadPoolExecutor(max_workers=1) as pool:  # this thread's event loop is Pulumi's, and is running
        return pool.submit(anyio.run, read_spec, stack, settings).result()


def _stack_config(stack: str) -> Source:
    config = pulumi.Config(PLATFORM_PROJECT)
    values = {setting.key: config.get(setting.key) for setting in PLATFORM_SETTINGS}
    return user_files.stack_source(values, Path.cwd() / stack_file(stack), PLATFORM_SETTINGS)
