"""Choose the settings of what works on one pinned cluster.

This module reads what the caller says, their environment and settings file, and the stack file near where
they are.
"""

from __future__ import annotations

from pathlib import Path

from gitops_run.adapters.machine import user_files
from gitops_run.adapters.machine.kubeconfig import read_kubeconfig
from gitops_run.api.caller import Caller
from gitops_run.model.names import SessionName
from gitops_run.model.session import contexts
from gitops_run.model.session.settings import NO_STACK, Settings, Source, resolve


def cluster_settings(said: Source, caller: Caller) -> Settings:
    """Choose the settings of what asks a whole cluster; refuse_unpinned says whether it may be asked."""
    return resolve((said, *user_files.sources(caller.environment, stack=NO_STACK)))


def session_settings(name: SessionName, said: Source, caller: Caller) -> Settings:
    """Choose the settings of a session that may have a stack file near the caller.

    Refuses nothing of the cluster: refuse_unpinned does. Raises UsageError on a setting that can't be used.
    """
    stack_file = stack_file_of(name, caller)
    stack = user_files.read_stack_file(stack_file) if stack_file else NO_STACK
    return resolve((said, *user_files.sources(caller.environment, stack=stack)))


def refuse_unpinned(settings: Settings) -> None:
    """Refuse settings by which no cluster can or may be asked.

    Raises UsageError where no context was named, since what happens to be current is never taken, and where
    the kubeconfig doesn't have it; GuardError where nobody allowed it.
    """
    kubeconfig = read_kubeconfig(settings.require("kubeconfig"))
    if settings.context is None:
        raise kubeconfig.no_cluster_named()
    kubeconfig.require(settings.context)
    contexts.guard(settings.context, settings.allow_contexts)


def stack_file_of(name: SessionName, caller: Caller) -> Path | None:
    """Find the stack file of a session: next to the nearest project, or in the user's data directory."""
    here, data = caller.here, user_files.data_directory(caller.environment) / "project"
    candidates = [folder / "stacks" / f"Pulumi.{name}.yaml" for folder in (here, *here.parents, data)]
    return next((path for path in candidates if path.is_file()), None)
