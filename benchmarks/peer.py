"""The peer: `kubectl apply -k` of the same target, what people do without a session."""

from __future__ import annotations

from benchmarks.figures import seconds
from benchmarks.session import Session

NAMESPACE = "bench-peer"


def kubectl_apply(session: Session, times: int) -> list[float]:
    """Apply the target again and again, one file edited each time. Returns milliseconds.

    The session's sync must be stopped: these edits are none of its saves.
    """
    kubectl, target = session.person.kubectl, str(session.target)
    kubectl("create", "namespace", NAMESPACE)
    try:
        kubectl("apply", "-n", NAMESPACE, "-k", target)
        found = []
        for _ in range(times):
            session.edit()
            found.append(seconds(lambda: kubectl("apply", "-n", NAMESPACE, "-k", target)) * 1000)
        return found
    finally:
        kubectl("delete", "namespace", NAMESPACE)  # waited for: its end would be in the next figures
