"""Whether the stack of a session is on this machine, by its file alone: Pulumi is not asked, nor imported."""

from __future__ import annotations

from gitops_run.adapters.machine import user_files
from gitops_run.adapters.pulumi.project import find_stack_file
from gitops_run.api.caller import Caller
from gitops_run.errors import GitOpsRunError
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.settings import Source, resolve


def has_stack_of(key: SessionKey, cluster: str, caller: Caller) -> bool:
    """Report whether the stack of this very session is here: made in this cluster, and for this key.

    cluster: the UID of its kube-system namespace, "" where that is not known. False where the stack's file
    can't be used.
    """
    try:
        name = SessionName.parse(key.name.text)
        data = user_files.data_directory(caller.environment)
        stack = user_files.read_stack_file(find_stack_file(name.text, caller.here, data))
        ended = SessionKey.of(name, resolve(user_files.sources(caller.environment, stack=stack)))
        return bool(cluster) and ended == key and made_in(name, stack) == (cluster, key.namespace)
    except (GitOpsRunError, OSError):
        return False


def made_in(name: SessionName, stack: Source) -> tuple[str, str]:
    """Read from a stack's file where its session was made: the cluster's UID, or "", and the namespace."""
    said = stack.values
    return str(said.get("cluster") or ""), str(said.get("namespace") or name.namespace)
