"""When the collector ran last, by the CronJob that a platform has for it. Source: Kubernetes, batch/v1."""

from __future__ import annotations

from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.paths import path_of
from gitops_run.model.platform.collector import COLLECTOR, COLLECTOR_NAMESPACE
from gitops_run.model.platform.status import CollectorRun


async def read_collector_run(connection: Connection) -> CollectorRun | None:
    """Read the CronJob; None where there is none, or it may not be seen. Raises TransientError only."""
    live = await connection.find(path_of("batch/v1", "cronjobs", COLLECTOR_NAMESPACE, COLLECTOR))
    if not live:
        return None
    spec, status = live["spec"], live.get("status") or {}
    return CollectorRun(
        succeeded=status.get("lastSuccessfulTime", ""),
        started=status.get("lastScheduleTime", ""),
        schedule=spec["schedule"],
        is_suspended=bool(spec.get("suspend")),
    )
