"""What a pod shows of itself to whoever wants to reach it: which one it is, and why it isn't ready."""

from __future__ import annotations

from dataclasses import dataclass

from gitops_run.adapters.cluster.connection import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class PodState:
    """Hold what is known of the pod. trouble: why it isn't ready."""

    uid: str = ""
    is_ready: bool = False
    trouble: str = "it doesn't exist"


def to_state(live: Json) -> PodState:
    """Read what a pod is, and why it isn't ready."""
    metadata, status = live["metadata"], live.get("status") or {}
    if "deletionTimestamp" in metadata:
        return PodState(uid=metadata["uid"], trouble="it is being deleted")
    conditions = {entry["type"]: entry for entry in status.get("conditions") or ()}
    is_ready = conditions.get("Ready", {}).get("status") == "True"
    return PodState(uid=metadata["uid"], is_ready=is_ready, trouble="" if is_ready else _trouble(status))


def _trouble(status: Json) -> str:
    """Say what a pod waits for: its container's word, else its scheduler's, else its phase."""
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            return f"{waiting['reason']} {waiting.get('message', '')}".strip()
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message") or condition.get("reason") or "it has no node")
    return str(status.get("phase") or "it is new")
