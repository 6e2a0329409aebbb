"""Compose the preflight of one session, for the loop and for `diff`."""

from __future__ import annotations

from pathlib import Path

from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.dry_run import ClusterDryRun
from gitops_run.adapters.cluster.post_build import read_variables
from gitops_run.adapters.cluster.sessions import LiveSession
from gitops_run.adapters.kubectl import Kustomize
from gitops_run.flows.preflight import InspectionSettings, Inspector
from gitops_run.model.ownership import SessionPlace


async def compose_inspector(
    connection: Connection, session: LiveSession, work: Path, *, has_dry_run: bool = True
) -> Inspector:
    """Make an inspector of a session's saves. work: a folder for rendering, made when needed."""
    variables = await read_variables(connection, session.namespace, session.name)
    settings = InspectionSettings(
        target=session.target,
        session=SessionPlace(name=session.name, namespace=session.namespace),
        substitute=variables.values if variables else None,
        has_foreign_variables=bool(variables and variables.has_foreign),
        has_dry_run=has_dry_run,
    )
    cluster = ClusterDryRun(connection, session.namespace)
    return Inspector(Kustomize(session.namespace, work), cluster, settings)
