"""Leave a Kubernetes Event on a session's Flux Bucket, so that `kubectl events` shows what a person did.

Source: Kubernetes, core/v1 Event; client-go 0.34, tools/record.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.adapters.cluster.paths import SOURCES, path_of
from gitops_run.model.session.limits import write_time
from gitops_run.model.state.session_state import SessionState

COMPONENT: Final = "gitops-run"
_MESSAGE_MAX: Final = 1000


def event_of(state: SessionState, reason: str, message: str, now: datetime) -> Json:
    """Write an Event. reason: one word in CamelCase."""
    at = write_time(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{state.name}.", "namespace": state.namespace},
        "involvedObject": {
            "apiVersion": SOURCES,
            "kind": "Bucket",
            "name": state.name,
            "namespace": state.namespace,
        },
        "type": "Normal",
        "reason": reason,
        "message": message[:_MESSAGE_MAX],
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "source": {"component": COMPONENT},
    }


async def announce(
    connection: Connection, state: SessionState, reason: str, message: str, now: datetime
) -> None:
    """Create the Event. Raises BackendError where this user may not."""
    await connection.create(path_of("v1", "events", state.namespace), event_of(state, reason, message, now))
