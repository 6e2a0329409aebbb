"""Why an object isn't ready, found where a person would look for it: its pods and its events.

This module knows what kubelet, scheduler and the workloads' controllers write when something is wrong. It
gives messages that stay the same while the trouble does: no counts of restarts, no random names of pods never
created.
Sources: Kubernetes 1.30 to 1.36, pkg/kubelet, pkg/kubelet/images, pkg/scheduler, pkg/controller.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from gitops_run.model.health.rules import (
    Crash,
    Health,
    HealthState,
    Live,
    condition_of,
    failed,
    health_of,
    is_true,
    progressing,
    status_of,
)

LOG_LINES = 10
RESTARTS_OF_A_LOOP = 2
"""A container that was restarted this often crashes again and again, even where it runs at the moment."""

_CAN_NOT_PULL = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}
_CAN_NOT_CREATE = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_REVISION = "deployment.kubernetes.io/revision"
_REFUSED = re.compile(r"^(?:Error creating: )?pods \"[^\"]*\" is forbidden: ")
_PULL_WRAPPING = re.compile(r"^(?:Back-off pulling image \"[^\"]*\"(?:: )?|ErrImagePull: )+")
_NO_PREEMPTION = re.compile(r"\s*(?:no new claims to deallocate, )?preemption: .*$", re.DOTALL)
"""What the scheduler adds of pods that it could have put out: nobody mends anything by it."""
_CLAIM_REASONS = {"FailedBinding", "ProvisioningFailed", "WaitForFirstConsumer", "ExternalProvisioning"}


_ByUid = Mapping[str | None, Sequence[Live]]


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Hold pods, events and so on, which describe other objects, in any order.

    It is sorted once, by the uid that each is about, when something is first looked for in it.
    """

    pods: tuple[Live, ...] = ()
    replica_sets: tuple[Live, ...] = ()
    events: tuple[Live, ...] = ()

    @cached_property
    def pods_by_owner(self) -> _ByUid:
        """Sort the pods that stay by their owners' uid."""
        return _by_owner(self.pods)

    @cached_property
    def replica_sets_by_owner(self) -> _ByUid:
        """Sort the replica sets that stay by their owners' uid."""
        return _by_owner(self.replica_sets)

    @cached_property
    def events_by_object(self) -> _ByUid:
        """Sort the events by the uid of the object that they are about."""
        found: dict[str | None, list[Live]] = {}
        for event in self.events:
            found.setdefault((event.get("involvedObject") or {}).get("uid"), []).append(event)
        return found


def _by_owner(owned: Iterable[Live]) -> _ByUid:
    found: dict[str | None, list[Live]] = {}
    for live in owned:
        if not live["metadata"].get("deletionTimestamp"):
            for uid in {entry.get("uid") for entry in live["metadata"].get("ownerReferences") or ()}:
                found.setdefault(uid, []).append(live)
    return found


def explained_health(live: Live, around: Surroundings) -> Health:
    """Judge an object, and say why it isn't ready as far as its pods and events know."""
    health = health_of(live)
    is_settled = health.is_ready and not _is_running_job(live)
    if is_settled or health.state is HealthState.TERMINATING:
        return health
    if live.get("kind") == "PersistentVolumeClaim":
        return replace(health, message=_last_event(live, _CLAIM_REASONS, around) or health.message)
    trouble = _trouble(live, around)
    if trouble is None:
        return health
    return replace(trouble, state=HealthState.FAILED) if health.state is HealthState.FAILED else trouble


def _is_running_job(live: Live) -> bool:
    """Report whether a Job is at work: well as long as its pods are."""
    return live.get("kind") == "Job" and not is_true(condition_of(live, "Complete"))


def _trouble(live: Live, around: Surroundings) -> Health | None:
    """Find what is worst: what has failed before what may still come, then by the pods' names."""
    if live.get("kind") == "Pod":
        return _pod_trouble(live, around)
    maker = _newest_replica_set(live, around) if live.get("kind") == "Deployment" else live
    if maker is None:
        return _refusal((live,), around)
    pods = sorted(around.pods_by_owner.get(_uid(maker), ()), key=_name)
    found = [trouble for pod in pods if (trouble := _pod_trouble(pod, around))]
    found = [replace(trouble, message=f"pod {trouble.message}") for trouble in found]
    refusal = _refusal((maker, live), around)
    found = [*found, refusal] if refusal else found
    return min(found, key=lambda trouble: trouble.state is not HealthState.FAILED, default=None)


def _newest_replica_set(deployment: Live, around: Surroundings) -> Live | None:
    def revision(replica_set: Live) -> int:
        return int((replica_set["metadata"].get("annotations") or {}).get(_REVISION, 0))

    return max(around.replica_sets_by_owner.get(_uid(deployment), ()), key=revision, default=None)


def _uid(live: Live) -> str | None:
    uid: str | None = live["metadata"].get("uid")
    return uid


def _name(live: Live) -> str:
    return str(live["metadata"]["name"])


def _refusal(makers: Iterable[Live], around: Surroundings) -> Health | None:
    """Explain why the API server takes no pods: a quota, Pod Security, a webhook."""
    for maker in makers:
        condition = condition_of(maker, "ReplicaFailure")
        message = str(condition.get("message", "")) if is_true(condition) else ""
        message = message or _last_event(maker, {"FailedCreate"}, around)
        if message:
            return failed(f"its pods are refused: {_REFUSED.sub('', message)}")
    return None


def _last_event(live: Live, reasons: set[str], around: Surroundings) -> str:
    about = around.events_by_object.get(_uid(live), ())
    matching = [event for event in about if event.get("reason") in reasons]
    return str(max(matching, key=_time_of, default={}).get("message", ""))


def _time_of(event: Live) -> str:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return str(next((time for time in times if time), ""))


def _pod_trouble(pod: Live, around: Surroundings) -> Health | None:
    """Describe what is wrong with a pod, beginning with its name; None where nothing is known to be."""
    if health_of(pod).is_ready:
        return None
    scheduled = condition_of(pod, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("message"):
        why = _NO_PREEMPTION.sub("", str(scheduled["message"]))
        return progressing(f"{_name(pod)} can't be scheduled: {why}")
    status = status_of(pod)
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    found = [trouble for container in containers if (trouble := _container_trouble(pod, container))]
    if found:
        return min(found, key=lambda trouble: trouble.state is not HealthState.FAILED)
    if status.get("phase") == "Failed":
        return failed(f"{_name(pod)}: {status.get('message') or status.get('reason') or 'it has failed'}")
    return _probe_trouble(pod, around) or _mount_trouble(pod, around)


def _container_trouble(pod: Live, container: Mapping[str, Any]) -> Health | None:
    name = f"{_name(pod)}, container {container.get('name')}"
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    reason, message = waiting.get("reason"), str(waiting.get("message") or "")
    if reason in _CAN_NOT_PULL:
        cause = _PULL_WRAPPING.sub("", message) or reason
        return failed(f"{_name(pod)}: image {container.get('image')} can't be pulled: {cause}")
    if reason in _CAN_NOT_CREATE:
        return failed(f"{name} can't be started: {message or reason}")
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
    if not ended.get("exitCode") or container.get("ready"):
        return None
    crash = Crash(pod=_name(pod), container=str(container.get("name")))
    is_loop = reason == "CrashLoopBackOff" or container.get("restartCount", 0) >= RESTARTS_OF_A_LOOP
    how = HealthState.FAILED if is_loop or status_of(pod).get("phase") == "Failed" else None
    return Health(
        state=how or HealthState.PROGRESSING, message=f"{name} crashes: {_ending(ended)}", crash=crash
    )


def _ending(ended: Mapping[str, Any]) -> str:
    code, reason = ended["exitCode"], ended.get("reason") or "Error"
    text = f"exit code {code}" if reason == "Error" else f"{reason}, exit code {code}"
    said = str(ended.get("message") or "").strip()
    return f"{text}: {said.splitlines()[-1]}" if said else text


def _probe_trouble(pod: Live, around: Surroundings) -> Health | None:
    """Report which probe fails; without an event, which containers aren't ready."""
    probe = _last_event(pod, {"Unhealthy"}, around)
    if probe:
        return progressing(f"{_name(pod)}: {' '.join(probe.split())}")
    ready = condition_of(pod, "Ready")
    if ready.get("reason") == "ContainersNotReady" and status_of(pod).get("phase") == "Running":
        return progressing(f"{_name(pod)}: {ready.get('message')}")
    return None


def _mount_trouble(pod: Live, around: Surroundings) -> Health | None:
    mount = _last_event(pod, {"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"}, around)
    return progressing(f"{_name(pod)}: {mount}") if mount else None
