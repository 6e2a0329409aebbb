"""End a session whose stack is on this machine, for one person who looks at it."""

from __future__ import annotations

from gitops_run.adapters.cluster.facts import read_cluster_uid
from gitops_run.api import sessions
from gitops_run.api.acting import Asked, leave_word, require
from gitops_run.api.viewing import Viewing
from gitops_run.errors import GuardError
from gitops_run.model.flux.requests import Verb
from gitops_run.model.session.receipt import Receipt
from gitops_run.model.state.session_state import SessionState


async def end(viewing: Viewing, state: SessionState, reason: str) -> Receipt:
    """End a session whose stack is on this machine, as `gitops-run down` does.

    Raises as that, as act, and GuardError where the stack of this name is of another session: its file may
    have changed since the page was made.
    """
    await require(viewing, state, Verb.END)
    key = viewing.key(state.namespace, state.name)
    cluster = await read_cluster_uid(viewing.connection)
    request = await sessions.ending_by_stack(key, cluster, (key.context,), viewing.caller)
    if request.key != key:
        raise GuardError(
            f"the stack {state.name} on this machine names context {request.key.context} of "
            f"{request.key.kubeconfig}, and this page shows context {key.context} of {key.kubeconfig}",
            hint=f"end it on the command line: gitops-run down {state.name}",
        )
    await leave_word(viewing, state, Asked(verb=Verb.END, reason=reason))
    return await sessions.down(request, viewing.caller)
