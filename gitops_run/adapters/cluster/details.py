"""Read what `status` shows of one session in addition to its state."""

from __future__ import annotations

import asyncio

from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.paths import applier_path, path_of, release_path, source_path
from gitops_run.model.session.key import SessionKey
from gitops_run.model.state.details import SessionDetails, to_details


async def read_details(connection: Connection, key: SessionKey) -> SessionDetails:
    """Read what this user may see of inventory, conditions and events. Raises TransientError."""
    name, namespace = key.name.text, key.namespace
    source, applier, release, events = await asyncio.gather(
        connection.find(source_path(namespace, name)),
        connection.find(applier_path(namespace, name)),
        connection.find(release_path(namespace, name)),
        connection.find(path_of("v1", "events", namespace)),
    )
    return to_details((source, applier, release), events.get("items") or ())
