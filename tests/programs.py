"""Build what the tests' sandboxes run, where it isn't in the cache yet: minutes that are no test's own."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from gitops_run.sandbox.binaries import ensure_binaries
from gitops_run.sandbox.build import ensure_built, folder_of
from gitops_run.sandbox.node.requirements import obstacle, this_machine
from gitops_run.sandbox.programs import CHART_GROUPS, GROUPS
from gitops_run.sandbox.state import NodeKind


def helm_folder() -> Path:
    """Build the helm that a sandbox has, where it isn't built yet, and name its folder."""
    group = next(group for group in GROUPS if group.name == "helm")
    ensure_built([group], lambda _: None)
    return folder_of(group)


if __name__ == "__main__":
    tell = partial(print, flush=True)
    ensure_binaries(tell, NodeKind.SIMULATED)
    ensure_built(CHART_GROUPS, tell)
    if obstacle(this_machine()) is None:
        ensure_binaries(tell, NodeKind.REAL)
