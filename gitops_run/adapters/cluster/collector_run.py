"""When the collector ran last, by the CronJob that a platform has for it. Source: Kubernetes, batch/v1."""

from __future__ import annotations

from typing import Final

from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.paths import path_of
from gitops_run.model.platform.status import CollectorRun

NAMESPACE: Final = "gitops-run-system"
NAME: Final = "gitops-run-collector"


async def read_collector_run(connection: Connection) -> CollectorRun | None:
    """Read the CronJob; None where there is none, or it may not be seen. Raises TransientError only."""
    live = await connection.find(path_of("batch/v1", "cronjobs", NAMESPACE, NAME))
    if not live:
        return None
    spec, status = live["spec"], live.get("status") or {}
    return CollectorRun(
        succeeded=status.get("lastSuccessfulTime", ""),
        started=status.get("lastScheduleTime", ""),
        schedule=spec["schedule"],
        is_suspended=bool(spec.get("suspend")),
    )
