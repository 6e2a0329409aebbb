"""Whether an applied object does what it is for, judged by its own status.

This module follows kstatus, as Flux does: observedGeneration, then Reconciling and Stalled, then a kind's own
rule, then Ready. It is stricter in one point: a Pod that has failed is failed, not done. pod_troubles.py says
why a workload isn't ready. It knows no clock: how long something may be on its way is decided by who follows
it.
Source: sigs.k8s.io/cli-utils (fluxcd/cli-utils 1.2), pkg/kstatus/status.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from gitops_run.model.flux.conditions import find_condition
from gitops_run.model.flux.reasons import without_noise
from gitops_run.model.objects.identity import ObjectRef

FLUX_GROUPS = ".toolkit.fluxcd.io"
Live = Mapping[str, Any]
"""An object as the API server returns it."""


class HealthState(StrEnum):
    """List the states of an object's health."""

    READY = "ready"
    PROGRESSING = "progressing"
    FAILED = "failed"
    TERMINATING = "terminating"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """Name the container whose last log lines say why it crashed."""

    pod: str
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Hold an object's health and why. log: the last lines of the container of crash, once they were read."""

    state: HealthState
    message: str = ""
    crash: Crash | None = None
    log: tuple[str, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Report whether it does what it is for."""
        return self.state is HealthState.READY


READY = Health(state=HealthState.READY)
MISSING = Health(state=HealthState.MISSING, message="it doesn't exist")

_READY_BY_EXISTING = frozenset(
    {
        ("", "ConfigMap"),
        ("", "Endpoints"),
        ("", "LimitRange"),
        ("", "Namespace"),
        ("", "ResourceQuota"),
        ("", "Secret"),
        ("", "ServiceAccount"),
        ("autoscaling", "HorizontalPodAutoscaler"),
        ("batch", "CronJob"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("networking.k8s.io", "Ingress"),
        ("networking.k8s.io", "NetworkPolicy"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("rbac.authorization.k8s.io", "Role"),
        ("rbac.authorization.k8s.io", "RoleBinding"),
    }
)
WORKLOADS = frozenset(
    {
        ("", "Pod"),
        ("apps", "DaemonSet"),
        ("apps", "Deployment"),
        ("apps", "ReplicaSet"),
        ("apps", "StatefulSet"),
        ("batch", "Job"),
    }
)
"""The kinds that run pods: group and kind."""


def has_health(ref: ObjectRef) -> bool:
    """Report whether an object of this kind can be other than ready while it exists."""
    return (ref.group, ref.kind) not in _READY_BY_EXISTING


def is_workload(ref: ObjectRef) -> bool:
    """Report whether an object's pods show more than its own status."""
    return (ref.group, ref.kind) in WORKLOADS


def absent_health(ref: ObjectRef) -> Health:
    """Judge an object that isn't there. A Job with a TTL is deleted automatically once it is done."""
    return READY if (ref.group, ref.kind) == ("batch", "Job") else MISSING


def health_of(live: Live) -> Health:
    """Judge an object by what it says of itself."""
    group = str(live.get("apiVersion", "")).rpartition("/")[0]
    rule = _RULES.get((group, str(live.get("kind"))), _by_ready_condition)
    health = _generic(live) or rule(live)
    if group.endswith(FLUX_GROUPS):
        return replace(health, message=without_noise(health.message))
    return health


def progressing(message: str) -> Health:
    """Make the health of what is on its way."""
    return Health(state=HealthState.PROGRESSING, message=message)


def failed(message: str) -> Health:
    """Make the health of what won't become ready on its own."""
    return Health(state=HealthState.FAILED, message=message)


def spec_of(live: Live) -> Mapping[str, Any]:
    """Read an object's spec."""
    return live.get("spec") or {}


def status_of(live: Live) -> Mapping[str, Any]:
    """Read an object's status."""
    return live.get("status") or {}


def condition_of(live: Live, name: str) -> Mapping[str, Any]:
    """Find a condition by its type; empty where there is none."""
    return find_condition(status_of(live), name)


def is_true(condition: Mapping[str, Any]) -> bool:
    """Report whether a condition holds."""
    return condition.get("status") == "True"


def _told(condition: Mapping[str, Any]) -> str:
    return str(condition.get("message") or condition.get("reason") or "")


def _generic(live: Live) -> Health | None:
    metadata = live.get("metadata") or {}
    if metadata.get("deletionTimestamp"):
        return Health(state=HealthState.TERMINATING, message="it is being deleted")
    generation, observed = metadata.get("generation"), status_of(live).get("observedGeneration")
    if generation is not None and observed is not None and observed != generation:
        return progressing("its controller hasn't seen the change yet")
    conditions = status_of(live).get("conditions") or ()
    for condition in conditions:
        if condition.get("type") == "Reconciling" and is_true(condition):
            return progressing(_told(condition))
        if condition.get("type") == "Stalled" and is_true(condition):
            return failed(_told(condition))
    return None


def _by_ready_condition(live: Live) -> Health:
    ready = condition_of(live, "Ready")
    return progressing(_told(ready)) if ready.get("status") in {"False", "Unknown"} else READY


def _counted(have: int, want: int, what: str) -> Health:
    return progressing(f"{have} of {want} pods are {what}")


def _first(*obstacles: tuple[bool, Health]) -> Health:
    return next((health for is_met, health in obstacles if is_met), READY)


def _deployment(live: Live) -> Health:
    spec, status = spec_of(live), status_of(live)
    rollout = condition_of(live, "Progressing")
    want = spec.get("replicas", 1)
    total, updated = status.get("replicas", 0), status.get("updatedReplicas", 0)
    ready = min(status.get("availableReplicas", 0), status.get("readyReplicas", 0))
    has_deadline = spec.get("progressDeadlineSeconds", _NO_DEADLINE) != _NO_DEADLINE
    is_rolled_out = is_true(rollout) and rollout.get("reason") == "NewReplicaSetAvailable"
    return _first(
        (
            rollout.get("reason") == "ProgressDeadlineExceeded",
            failed("the rollout made no progress within its deadline"),
        ),
        (want > total, _counted(total, want, "created")),
        (want > updated, _counted(updated, want, "updated")),
        (total > want, progressing(f"{total - want} old pods must still terminate")),
        (want > ready, _counted(ready, want, "ready")),
        (has_deadline and not is_rolled_out, progressing("the rollout isn't complete")),
        (not is_true(condition_of(live, "Available")), progressing("it isn't available")),
    )


_NO_DEADLINE = 2**31 - 1
"""What the Deployment controller takes for no deadline; it sets no Progressing condition then."""


def _stateful_set(live: Live) -> Health:
    spec, status = spec_of(live), status_of(live)
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return READY
    partition = (strategy.get("rollingUpdate") or {}).get("partition")
    want, total, ready = spec.get("replicas", 1), status.get("replicas", 0), status.get("readyReplicas", 0)
    to_update, updated = want - (partition or 0), status.get("updatedReplicas", 0)
    is_current = status.get("currentReplicas", 0) >= want and (
        status.get("currentRevision", "") == status.get("updateRevision", "")
    )
    is_updated = is_current if partition is None else updated >= to_update
    return _first(
        (want > total, _counted(total, want, "created")),
        (want > ready, _counted(ready, want, "ready")),
        (total > want, progressing(f"{total - want} surplus pods must still terminate")),
        (not is_updated, _counted(updated, to_update, "updated")),
    )


def _daemon_set(live: Live) -> Health:
    status = status_of(live)
    want = status.get("desiredNumberScheduled")
    if want is None or status.get("observedGeneration") is None:
        return progressing("its controller hasn't seen it yet")
    for key, what in _DAEMON_COUNTS:
        if want > status.get(key, 0):
            return _counted(status.get(key, 0), want, what)
    return READY


_DAEMON_COUNTS = (
    ("currentNumberScheduled", "created"),
    ("updatedNumberScheduled", "updated"),
    ("numberAvailable", "available"),
    ("numberReady", "ready"),
)


def _replica_set(live: Live) -> Health:
    failure = condition_of(live, "ReplicaFailure")
    if is_true(failure):
        return progressing(_told(failure))
    status, want = status_of(live), spec_of(live).get("replicas", 1)
    ready = min(status.get(key, 0) for key in ("fullyLabeledReplicas", "availableReplicas", "readyReplicas"))
    if want > ready:
        return _counted(ready, want, "ready")
    extra = status.get("replicas", 0) - want
    return progressing(f"{extra} surplus pods must still terminate") if extra > 0 else READY


def _pod(live: Live) -> Health:
    phase = status_of(live).get("phase")
    if phase == "Succeeded" or (phase == "Running" and is_true(condition_of(live, "Ready"))):
        return READY
    if phase == "Failed":
        return failed(str(status_of(live).get("message") or "it ended with an error"))
    return progressing("it runs, but is not ready" if phase == "Running" else "it hasn't started")


def _job(live: Live) -> Health:
    """Judge a Job. One that runs does what it is for, as kstatus has it."""
    failure = condition_of(live, "Failed")
    if is_true(failure):
        return failed(_told(failure) or "it has failed")
    if is_true(condition_of(live, "Complete")) or status_of(live).get("startTime"):
        return READY
    return progressing("it hasn't started")


def _volume_claim(live: Live) -> Health:
    phase = status_of(live).get("phase", "new")
    if phase == "Bound":
        return READY
    wanted = spec_of(live).get("storageClassName")
    of_class = f" of StorageClass {wanted}" if wanted else ""
    return progressing(f"the claim is {str(phase).lower()}: it waits for a volume{of_class}")


def _service(live: Live) -> Health:
    spec = spec_of(live)
    if spec.get("type") == "LoadBalancer" and not spec.get("clusterIP"):
        return progressing("the load balancer has no cluster address yet")
    return READY


def _custom_kind(live: Live) -> Health:
    names, established = condition_of(live, "NamesAccepted"), condition_of(live, "Established")
    if names.get("status") == "False":
        return failed(_told(names))
    if established.get("status") == "False" and established.get("reason") != "Installing":
        return failed(_told(established))
    return READY if is_true(established) else progressing("the API server doesn't serve it yet")


_RULES: Mapping[tuple[str, str], Callable[[Live], Health]] = {
    ("", "PersistentVolumeClaim"): _volume_claim,
    ("", "Pod"): _pod,
    ("", "Service"): _service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _custom_kind,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("batch", "Job"): _job,
}
