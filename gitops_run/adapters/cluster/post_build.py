"""What a session's Kustomization substitutes after the build, as far as it can be read from outside Flux."""

from __future__ import annotations

from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.flux import applier_path
from gitops_run.model.substitution import Variables


async def read_variables(connection: Connection, namespace: str, name: str) -> Variables | None:
    """Read the variables; None where the session substitutes nothing. Raises NotFound."""
    spec = (await connection.get(applier_path(namespace, name))).get("spec") or {}
    post_build = spec.get("postBuild")
    if not post_build:
        return None
    return Variables(
        values=post_build.get("substitute") or {}, has_foreign=bool(post_build.get("substituteFrom"))
    )
