"""What the next command needs to come to the session or the cluster that somebody looks at."""

from __future__ import annotations

from gitops_run.adapters.machine import user_files
from gitops_run.api.caller import Caller
from gitops_run.api.settings import stack_file_of
from gitops_run.api.viewing import Viewing
from gitops_run.errors import UsageError
from gitops_run.model.names import SessionName
from gitops_run.model.session.commands import Place, way_to


def place_of(viewing: Viewing, namespace: str = "", name: str = "") -> Place:
    """Say where commands are to work: on a session, or on its cluster alone.

    Its namespace is named where it isn't the usual one, and where a stack of this machine may name another.
    """
    request, caller = viewing.request, viewing.caller
    way = way_to(request.context, request.kubeconfig, _usual_kubeconfig(caller))
    if not name:
        return Place(given=way, cluster=way)
    is_usual = namespace == SessionName(name).namespace and not _has_stack(name, caller)
    given = way if is_usual else (*way, "--namespace", namespace)
    return Place(name=name, given=given, cluster=way)


def _usual_kubeconfig(caller: Caller) -> str:
    try:
        return str(user_files.default_source(caller.environment).values.get("kubeconfig") or "")
    except FileNotFoundError:  # the directory in which this process was started is gone
        return ""


def _has_stack(name: str, caller: Caller) -> bool:
    try:
        return stack_file_of(SessionName.parse(name), caller) is not None
    except UsageError:
        return False
