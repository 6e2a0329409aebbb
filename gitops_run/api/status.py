"""Report the sessions of a cluster, and their state."""

from __future__ import annotations

from gitops_run.adapters.cluster import states
from gitops_run.adapters.cluster.connection import connect
from gitops_run.model.session.key import SessionKey
from gitops_run.model.state.session_state import SessionState


async def list_sessions(kubeconfig: str, context: str) -> tuple[SessionState, ...]:
    """List the sessions of a cluster, by name. Raises NotFound where it has no Flux."""
    async with connect(kubeconfig, context) as connection:
        return await states.list_states(connection)


async def read_session(key: SessionKey) -> SessionState:
    """Read one session, with its record. Raises NotFound where there is none."""
    async with connect(key.kubeconfig, key.context) as connection:
        return await states.read_state(connection, key)
