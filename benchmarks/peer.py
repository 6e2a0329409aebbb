"""The peers: `kubectl apply -k` of the same target, which needs no session, and `kubectl kustomize` of it."""

from __future__ import annotations

import subprocess
from functools import partial

from benchmarks.figures import seconds
from benchmarks.session import Session
from gitops_run.adapters.render.kubectl import find_kubectl

NAMESPACE = "bench-peer"
PATIENCE_S = 300.0
"""kubectl holds itself to 50 requests a second: a thousand objects take it half a minute."""


def kubectl_apply(session: Session, times: int) -> list[float]:
    """Apply the target again and again, one file edited each time. Returns milliseconds.

    The session's sync must be stopped: these edits are none of its saves.
    """
    kubectl = partial(_kubectl, session)
    apply = partial(kubectl, "apply", "-n", NAMESPACE, "-k", str(session.target))
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")  # what a killed run left
    kubectl("create", "namespace", NAMESPACE)
    try:
        apply()
        found = []
        for _ in range(times):
            session.edit()
            found.append(seconds(apply) * 1000)
        return found
    finally:
        kubectl("delete", "namespace", NAMESPACE)  # waited for: its end would be in the next figures


def kubectl_kustomize(session: Session, times: int) -> list[float]:
    """Render the target again and again. Returns milliseconds."""
    render = partial(_kubectl, session, "kustomize", str(session.target))
    return [seconds(render) * 1000 for _ in range(times)]


def _kubectl(session: Session, *arguments: str) -> None:
    command = [find_kubectl(), *arguments]
    subprocess.run(
        command, env=dict(session.person.env), check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE_S
    )
