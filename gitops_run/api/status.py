"""Report the state of one session, and what is around it."""

from __future__ import annotations

from gitops_run.adapters.cluster.connection import connect
from gitops_run.adapters.cluster.details import read_details
from gitops_run.adapters.cluster.listing import read_state
from gitops_run.model.session.key import SessionKey
from gitops_run.model.state.details import SessionDetails
from gitops_run.model.state.session_state import SessionState


async def read_session(key: SessionKey) -> tuple[SessionState, SessionDetails]:
    """Read one session with its record, objects and events. Raises NotFound where there is none."""
    async with connect(key.kubeconfig, key.context) as connection:
        return await read_state(connection, key), await read_details(connection, key)
