"""Show what a save would change now, against the cluster; nothing is written anywhere."""

from __future__ import annotations

import tempfile
from pathlib import Path

from gitops_run.adapters.cluster.connection import connect
from gitops_run.adapters.cluster.flux import FluxLists
from gitops_run.adapters.cluster.sessions import read_session
from gitops_run.adapters.machine.remembered import history_folder
from gitops_run.api.caller import Caller
from gitops_run.api.inspection import Inspection, compose_inspector, render_limits, root_of, work_tree
from gitops_run.flows.judgement import Live, Preflight
from gitops_run.model.flux.conditions import ApplierStatus
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.settings import Settings
from gitops_run.model.text.masking import Masker


async def diff(key: SessionKey, settings: Settings, root: Path | None, caller: Caller) -> Preflight:
    """Inspect the caller's files as a save would.

    root: None for the session's, found from where the caller is. Raises UsageError where it isn't known,
    NotFound where there is no such session.
    """
    async with connect(key.kubeconfig, key.context) as connection:
        lists = FluxLists(connection)
        session = await read_session(connection, key, lists)
        root = root_of(session, root, history_folder(caller.environment, key), caller.here)
        with tempfile.TemporaryDirectory(prefix="gitops-run-") as folder:
            work = Path(folder)
            inspection = Inspection(
                work=work / "render",
                environment=caller.environment,
                limits=render_limits(settings),
                masker=Masker(),
            )
            inspector = await compose_inspector(connection, session, lists.post_build(key), inspection)
            snapshot = await work_tree(session, root, work / "tree").snapshot()
            applier = session.applier or ApplierStatus()
            live = Live(digests={}, inventory=applier.inventory, versions=applier.versions)
            return await inspector.inspect(snapshot, live, _no_mark)


def _no_mark(step: str) -> None:
    """Measure nothing."""
    del step
