"""Wait until a session is applied, healthy or gone, by a watch."""

from __future__ import annotations

from contextlib import aclosing

import anyio

from gitops_run.adapters.cluster.connection import Connection, connect
from gitops_run.adapters.cluster.listing import read_state
from gitops_run.adapters.cluster.states import NAMESPACES, SOURCES, SessionAt
from gitops_run.api.watch import SessionWatch, watch_sessions
from gitops_run.errors import BackendError, NotFound, ReconcileFailed, WaitTimeout
from gitops_run.model.session.key import SessionKey
from gitops_run.model.state.goals import Goal, Progress, Standing, standing
from gitops_run.model.state.session_state import SessionState


async def wait(key: SessionKey, goal: Goal, timeout_s: float) -> SessionState | None:
    """Wait until a session has come to a goal, and return its state; None where it is gone.

    timeout_s: of all of it. Raises WaitTimeout with what is missing, ReconcileFailed where the newest save
    was refused, NotFound where there is no session, unless it is to be gone; BackendError where this user may
    not see whether it is.
    """
    last = Standing(Progress.PENDING, "the cluster has not answered")
    try:
        with anyio.fail_after(timeout_s):
            async with connect(key.kubeconfig, key.context) as connection:
                if goal is not Goal.GONE:
                    await read_state(connection, key)  # reports at once what is wrong with cluster or name
                place = SessionAt(key.namespace, key.name.text)
                async with (
                    watch_sessions(connection, (place,)) as watch,
                    aclosing(watch.board.watch_one(key.namespace)) as states,
                ):
                    _refuse_unseen(watch, key)
                    async for state in states:
                        last = standing(state, goal)
                        if _is_reached(last, key, goal, connection):
                            return state
    except TimeoutError as error:
        raise WaitTimeout(
            f"session {key.name} is not {goal} after {timeout_s:g} s: {last.why}",
            hint="to see what is going on: gitops-run status NAME",
        ) from error
    return None


def _refuse_unseen(watch: SessionWatch, key: SessionKey) -> None:
    """Refuse to take what this user may not see for gone. Raises BackendError."""
    if {SOURCES, NAMESPACES} <= watch.hidden:
        raise BackendError(
            f"you may not see session {key.name} in context {key.context!r}, whether or not it is there",
            hint=f"ask somebody who may look: kubectl get namespace {key.namespace}",
        )


def _is_reached(found: Standing, key: SessionKey, goal: Goal, connection: Connection) -> bool:
    """Say whether the goal is reached. Raises where it can't be."""
    if found.progress is Progress.REJECTED:
        raise ReconcileFailed(
            f"session {key.name} is not {goal}: {found.why}", hint="to see all of it: gitops-run status NAME"
        )
    if found.progress is Progress.ABSENT:
        raise NotFound(
            f"session {key.name} has ended in context {connection.context!r}",
            hint="to see what there is: gitops-run list",
        )
    return found.progress is Progress.REACHED
