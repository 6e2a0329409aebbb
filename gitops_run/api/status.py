"""Tell what a cluster says of its sessions."""

from __future__ import annotations

from gitops_run.adapters.cluster import sessions
from gitops_run.adapters.cluster.connection import connect
from gitops_run.adapters.cluster.sessions import LiveSession
from gitops_run.model.session_key import SessionKey


async def list_sessions(kubeconfig: str, context: str) -> tuple[LiveSession, ...]:
    """List the sessions of a cluster, by name. Raises NotFound where it has no Flux."""
    async with connect(kubeconfig, context) as connection:
        return await sessions.list_sessions(connection)


async def read_session(key: SessionKey) -> LiveSession:
    """Read one session. Raises NotFound where there is none."""
    async with connect(key.kubeconfig, key.context) as connection:
        return await sessions.read_session(connection, key)
