"""What is left of a session that gc ended while its stack's state was out of reach: word of that.

A ConfigMap in a namespace that every cluster has, since the session's own is gone. The next `up` or `down` of
the stack reads it, clears its state and removes it. It proves nothing: nothing is cleared of a session that
exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gitops_run.model.names import MANAGED_BY_LABEL, MANAGER, PART_OF_LABEL

TOMBSTONE_NAMESPACE: Final = "default"
TOMBSTONE_LABEL: Final = "gitops-run.dev/ended-session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """Name an ended session, who ended it, when (RFC 3339) and why."""

    session: str
    namespace: str
    by: str
    at: str
    reason: str

    def __str__(self) -> str:
        """Write it as a sentence."""
        return f"{self.by} ended session {self.session} at {self.at}: {self.reason}"


def tombstone_name(namespace: str) -> str:
    """Name the ConfigMap. namespace: the session's, of which a cluster has one at a time."""
    return f"gitops-run-ended-{namespace}"


def tombstone_manifest(stone: Tombstone) -> dict[str, Any]:
    """Write the ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": tombstone_name(stone.namespace),
            "namespace": TOMBSTONE_NAMESPACE,
            "labels": {
                MANAGED_BY_LABEL: MANAGER,
                PART_OF_LABEL: MANAGER,
                TOMBSTONE_LABEL: stone.session,
            },
        },
        "data": {
            "session": stone.session,
            "namespace": stone.namespace,
            "by": stone.by,
            "at": stone.at,
            "reason": stone.reason,
        },
    }


def read_tombstone(live: dict[str, Any]) -> Tombstone | None:
    """Read the ConfigMap; None where it is none of ours."""
    data = live.get("data") or {}
    if TOMBSTONE_LABEL not in ((live.get("metadata") or {}).get("labels") or {}):
        return None
    return Tombstone(
        session=str(data.get("session", "")),
        namespace=str(data.get("namespace", "")),
        by=str(data.get("by", "")),
        at=str(data.get("at", "")),
        reason=str(data.get("reason", "")),
    )
