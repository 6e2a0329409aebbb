"""What a pod shows of itself to whoever wants to reach it: which one it is, and why it isn't ready."""

from __future__ import annotations

from dataclasses import dataclass

from gitops_run.adapters.cluster.connection import Json
from gitops_run.model.flux.conditions import find_condition


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
    is_ready = find_condition(status, "Ready").get("status") == "True"
    return PodState(uid=metadata["uid"], is_ready=is_ready, trouble="" if is_ready else _trouble(status))


def _trouble(status: Json) -> str:
    """Say what a pod waits for: its container's word, else its scheduler's, else its phase."""
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            return f"{waiting['reason']} {waiting.get('message', '')}".strip()
    scheduled = find_condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        return str(scheduled.get("message") or scheduled.get("reason") or "it has no node")
    return str(status.get("phase") or "it is new")
