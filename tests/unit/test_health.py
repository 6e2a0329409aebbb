"""An object's health by what it says of itself, and why a workload isn't ready, as Kubernetes writes it."""

from __future__ import annotations

from typing import Any

import pytest

from gitops_run.model.health.pod_troubles import Surroundings, explained_health
from gitops_run.model.health.rules import (
    MISSING,
    Crash,
    HealthState,
    absent_health,
    has_health,
    health_of,
    is_workload,
)
from gitops_run.model.objects.identity import ObjectRef

READY, PROGRESSING, FAILED = HealthState.READY, HealthState.PROGRESSING, HealthState.FAILED
Live = dict[str, Any]


def thing(api_version: str, kind: str, spec: Live | None = None, **status: Any) -> Live:
    metadata = {"name": "web", "namespace": "ns", "uid": "1", "generation": 2}
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": metadata,
        "spec": spec or {},
        "status": status,
    }


def condition(name: str, status: str = "True", reason: str = "", message: str = "") -> Live:
    return {"type": name, "status": status, "reason": reason, "message": message}


ROLLED_OUT = [condition("Available"), condition("Progressing", reason="NewReplicaSetAvailable")]


def deployment(**status: Any) -> Live:
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 2)
    full = {**counts, "observedGeneration": 2, "conditions": ROLLED_OUT, **status}
    return thing("apps/v1", "Deployment", {"replicas": 2, "progressDeadlineSeconds": 600}, **full)


def stateful_set(spec: Live | None = None, **status: Any) -> Live:
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "currentReplicas"), 2)
    full = {**counts, "currentRevision": "a", "updateRevision": "a", **status}
    return thing("apps/v1", "StatefulSet", {"replicas": 2, **(spec or {})}, **full)


def daemon_set(**status: Any) -> Live:
    keys = ("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled")
    counts = dict.fromkeys((*keys, "numberAvailable", "numberReady", "observedGeneration"), 2)
    return thing("apps/v1", "DaemonSet", **{**counts, **status})


def replica_set(**status: Any) -> Live:
    keys = ("replicas", "fullyLabeledReplicas", "availableReplicas", "readyReplicas")
    return thing("apps/v1", "ReplicaSet", {"replicas": 2}, **{**dict.fromkeys(keys, 2), **status})


PARTITION = {"updateStrategy": {"rollingUpdate": {"partition": 1}}}
EVERY_KIND: tuple[tuple[Live, HealthState, str], ...] = (
    (deployment(), READY, ""),
    (deployment(observedGeneration=1), PROGRESSING, "hasn't seen"),
    (deployment(replicas=1), PROGRESSING, "1 of 2 pods are created"),
    (deployment(updatedReplicas=1), PROGRESSING, "1 of 2 pods are updated"),
    (deployment(replicas=3), PROGRESSING, "1 old pods must still terminate"),
    (deployment(availableReplicas=0), PROGRESSING, "0 of 2 pods are ready"),
    (deployment(conditions=[condition("Available")]), PROGRESSING, "rollout isn't complete"),
    (deployment(conditions=ROLLED_OUT[1:]), PROGRESSING, "isn't available"),
    (
        deployment(conditions=[condition("Progressing", "False", "ProgressDeadlineExceeded")]),
        FAILED,
        "deadline",
    ),
    (stateful_set(), READY, ""),
    (stateful_set(replicas=1), PROGRESSING, "1 of 2 pods are created"),
    (stateful_set(readyReplicas=1), PROGRESSING, "1 of 2 pods are ready"),
    (stateful_set(replicas=3), PROGRESSING, "surplus"),
    (stateful_set(updateRevision="b", updatedReplicas=1), PROGRESSING, "1 of 2 pods are updated"),
    (stateful_set(PARTITION, updatedReplicas=0), PROGRESSING, "0 of 1 pods are updated"),
    (stateful_set(PARTITION, updatedReplicas=1, updateRevision="b"), READY, ""),
    (stateful_set({"updateStrategy": {"type": "OnDelete"}}, readyReplicas=0), READY, ""),
    (daemon_set(), READY, ""),
    (daemon_set(numberReady=1), PROGRESSING, "1 of 2 pods are ready"),
    (daemon_set(observedGeneration=None), PROGRESSING, "hasn't seen"),
    (replica_set(), READY, ""),
    (replica_set(readyReplicas=0), PROGRESSING, "0 of 2 pods are ready"),
    (replica_set(replicas=3), PROGRESSING, "surplus"),
    (thing("v1", "Pod", phase="Running", conditions=[condition("Ready")]), READY, ""),
    (thing("v1", "Pod", phase="Succeeded"), READY, ""),
    (thing("v1", "Pod", phase="Running"), PROGRESSING, "not ready"),
    (thing("v1", "Pod", phase="Pending"), PROGRESSING, "hasn't started"),
    (thing("v1", "Pod", phase="Failed", message="evicted"), FAILED, "evicted"),
    (thing("batch/v1", "Job"), PROGRESSING, "hasn't started"),
    (thing("batch/v1", "Job", startTime="now"), READY, ""),
    (thing("batch/v1", "Job", conditions=[condition("Complete")]), READY, ""),
    (thing("batch/v1", "Job", conditions=[condition("Failed", message="backoff limit")]), FAILED, "backoff"),
    (thing("v1", "PersistentVolumeClaim", phase="Bound"), READY, ""),
    (
        thing("v1", "PersistentVolumeClaim", {"storageClassName": "fast"}, phase="Pending"),
        PROGRESSING,
        "pending: it waits for a volume of StorageClass fast",
    ),
    (thing("v1", "Service", {"type": "ClusterIP"}), READY, ""),
    (thing("v1", "Service", {"type": "LoadBalancer", "clusterIP": "10.0.0.1"}), READY, ""),
    (thing("v1", "Service", {"type": "LoadBalancer"}), PROGRESSING, "cluster address"),
    (thing("policy/v1", "PodDisruptionBudget", observedGeneration=1), PROGRESSING, "hasn't seen"),
    (thing("policy/v1", "PodDisruptionBudget", observedGeneration=2), READY, ""),
    (
        thing("apiextensions.k8s.io/v1", "CustomResourceDefinition", conditions=[condition("Established")]),
        READY,
        "",
    ),
    (thing("apiextensions.k8s.io/v1", "CustomResourceDefinition"), PROGRESSING, "doesn't serve"),
    (
        thing(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            conditions=[condition("NamesAccepted", "False", message="taken")],
        ),
        FAILED,
        "taken",
    ),
    (thing("x.example.com/v1", "Wheel"), READY, ""),
    (thing("x.example.com/v1", "Wheel", conditions=[condition("Ready")]), READY, ""),
    (
        thing("x.example.com/v1", "Wheel", conditions=[condition("Ready", "False", "Flat")]),
        PROGRESSING,
        "Flat",
    ),
    (thing("x.example.com/v1", "Wheel", conditions=[condition("Reconciling")]), PROGRESSING, ""),
    (thing("x.example.com/v1", "Wheel", conditions=[condition("Stalled", message="no")]), FAILED, "no"),
)


@pytest.mark.parametrize(("live", "state", "words"), EVERY_KIND)
def test_an_object_is_judged_as_kstatus_does(live: Live, state: HealthState, words: str) -> None:
    health = health_of(live)
    assert health.state is state
    assert words in health.message


def test_what_is_being_deleted_is_terminating() -> None:
    live = deployment()
    live["metadata"]["deletionTimestamp"] = "now"
    assert health_of(live).state is HealthState.TERMINATING


def test_a_message_of_flux_in_an_applied_object_comes_without_its_noise() -> None:
    message = "Helm install failed for release ns/web with chart web@1: INSTALLATION FAILED: no such chart"
    ready = condition("Ready", "False", "InstallFailed", message)
    live = thing("helm.toolkit.fluxcd.io/v2", "HelmRelease", conditions=[ready])
    assert health_of(live).message == "install of release ns/web failed: no such chart"


def ref(group: str, kind: str) -> ObjectRef:
    return ObjectRef(group=group, kind=kind, namespace="ns", name="web")


def test_a_config_map_needs_no_looking_at() -> None:
    assert not has_health(ref("", "ConfigMap"))
    assert has_health(ref("apps", "Deployment"))
    assert has_health(ref("example.com", "ConfigMap"))


def test_pods_tell_of_workloads_only() -> None:
    assert is_workload(ref("apps", "StatefulSet"))
    assert not is_workload(ref("", "Service"))


def test_a_job_that_is_gone_was_done() -> None:
    assert absent_health(ref("batch", "Job")).is_ready
    assert absent_health(ref("apps", "Deployment")) == MISSING


def owned(name: str, owner: str, kind: str = "Pod", **fields: Any) -> Live:
    metadata = {"name": name, "uid": f"uid-{name}", "ownerReferences": [{"uid": owner}]}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields}


def revision(number: int, **status: Any) -> Live:
    live = owned(f"web-{number}", "1", "ReplicaSet", status=status)
    live["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": str(number)}
    return live


def waiting(reason: str, message: str = "", **container: Any) -> Live:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": "web", "image": "web:2", "ready": False, "state": state, **container}


def crashed(code: int = 1, reason: str = "Error", message: str = "") -> Live:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def pod(name: str = "web-2-a", owner: str = "uid-web-2", phase: str = "Running", **status: Any) -> Live:
    return owned(name, owner, status={"phase": phase, **status})


def event(uid: str, reason: str, message: str, at: str = "2026-11-23T19:00:00Z") -> Live:
    return {"reason": reason, "message": message, "involvedObject": {"uid": uid}, "lastTimestamp": at}


NO_NODE = "0/1 nodes are available: 1 too small."
PREEMPTION = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
UNSCHEDULABLE = condition("PodScheduled", "False", "Unschedulable", f"{NO_NODE} {PREEMPTION}")
NOT_READY = condition("Ready", "False", "ContainersNotReady", "containers with unready status: [web]")
PULL = 'Back-off pulling image "web:2": ErrImagePull: registry.example.com/web:2: not found'
TROUBLES: tuple[tuple[Live, HealthState, str], ...] = (
    (
        pod(containerStatuses=[waiting("ImagePullBackOff", PULL)]),
        FAILED,
        "pod web-2-a: image web:2 can't be pulled: registry.example.com/web:2: not found",
    ),
    (
        pod(containerStatuses=[waiting("ErrImagePull", "registry.example.com/web:2: not found")]),
        FAILED,
        "pod web-2-a: image web:2 can't be pulled: registry.example.com/web:2: not found",
    ),
    (
        pod(containerStatuses=[waiting("ImagePullBackOff", 'Back-off pulling image "web:2"')]),
        FAILED,
        "pod web-2-a: image web:2 can't be pulled: ImagePullBackOff",
    ),
    (
        pod(containerStatuses=[waiting("CrashLoopBackOff", "back-off 10s", lastState=crashed(3))]),
        FAILED,
        "pod web-2-a, container web crashes: exit code 3",
    ),
    (
        pod(
            containerStatuses=[
                waiting("CrashLoopBackOff", lastState=crashed(137, "OOMKilled"), restartCount=9)
            ]
        ),
        FAILED,
        "pod web-2-a, container web crashes: OOMKilled, exit code 137",
    ),
    (
        pod(containerStatuses=[{"name": "web", "ready": False, "state": crashed(1, message="a\nno port\n")}]),
        PROGRESSING,
        "pod web-2-a, container web crashes: exit code 1: no port",
    ),
    (
        pod(
            containerStatuses=[
                {
                    "name": "web",
                    "ready": False,
                    "restartCount": 2,
                    "state": {"running": {}},
                    "lastState": crashed(),
                }
            ]
        ),
        FAILED,
        "pod web-2-a, container web crashes: exit code 1",
    ),
    (
        pod(phase="Pending", initContainerStatuses=[waiting("CrashLoopBackOff", lastState=crashed(2))]),
        FAILED,
        "pod web-2-a, container web crashes: exit code 2",
    ),
    (
        pod(containerStatuses=[waiting("CreateContainerConfigError", 'configmap "settings" not found')]),
        FAILED,
        'pod web-2-a, container web can\'t be started: configmap "settings" not found',
    ),
    (
        pod(phase="Pending", conditions=[UNSCHEDULABLE]),
        PROGRESSING,
        f"pod web-2-a can't be scheduled: {NO_NODE}",
    ),
    (
        pod(conditions=[NOT_READY]),
        PROGRESSING,
        "pod web-2-a: containers with unready status: [web]",
    ),
    (
        pod(phase="Failed", reason="Evicted", message="The node was low on memory."),
        FAILED,
        "pod web-2-a: The node was low on memory.",
    ),
)


@pytest.mark.parametrize(("found", "state", "message"), TROUBLES)
def test_the_pods_say_why_a_workload_is_not_ready(found: Live, state: HealthState, message: str) -> None:
    around = Surroundings(pods=(found,), replica_sets=(revision(1), revision(2)))
    health = explained_health(deployment(readyReplicas=0), around)
    assert (health.state, health.message) == (state, message)


def test_a_crash_names_the_container_whose_log_tells_more() -> None:
    found = pod(containerStatuses=[waiting("CrashLoopBackOff", lastState=crashed())])
    around = Surroundings(pods=(found,), replica_sets=(revision(2),))
    health = explained_health(deployment(readyReplicas=0), around)
    assert health.crash == Crash(pod="web-2-a", container="web")


def test_pods_of_an_older_rollout_say_nothing() -> None:
    old = pod("web-1-a", "uid-web-1", containerStatuses=[waiting("ErrImagePull", "old")])
    around = Surroundings(pods=(old,), replica_sets=(revision(1), revision(2)))
    assert explained_health(deployment(readyReplicas=0), around).message == "0 of 2 pods are ready"


def test_the_worst_of_several_pods_is_told() -> None:
    slow = pod("web-2-a", conditions=[NOT_READY])
    broken = pod("web-2-b", containerStatuses=[waiting("InvalidImageName", "no such name")])
    around = Surroundings(pods=(slow, broken), replica_sets=(revision(2),))
    assert "no such name" in explained_health(deployment(readyReplicas=0), around).message


def test_the_newest_event_names_the_probe_that_fails() -> None:
    probes = (
        event("uid-web-2-a", "Unhealthy", "Readiness probe failed: HTTP 503", "2026-11-23T19:00:02Z"),
        event("uid-web-2-a", "Unhealthy", "Readiness probe failed: HTTP 404", "2026-11-23T19:00:01Z"),
        event("uid-other", "Unhealthy", "Liveness probe failed", "2026-11-23T19:00:03Z"),
    )
    around = Surroundings(pods=(pod(conditions=[NOT_READY]),), replica_sets=(revision(2),), events=probes)
    health = explained_health(deployment(readyReplicas=0), around)
    assert health.message == "pod web-2-a: Readiness probe failed: HTTP 503"


@pytest.mark.parametrize(
    "refusal",
    [
        "exceeded quota: session, requested: pods=1, used: pods=5, limited: pods=5",
        'violates PodSecurity "restricted:latest": runAsNonRoot != true',
    ],
)
def test_pods_that_the_api_server_refuses_are_told_without_their_random_names(refusal: str) -> None:
    failure = condition("ReplicaFailure", message=f'pods "web-2-x7k2p" is forbidden: {refusal}')
    around = Surroundings(replica_sets=(revision(2, conditions=[failure]),))
    health = explained_health(deployment(replicas=0), around)
    assert (health.state, health.message) == (FAILED, f"its pods are refused: {refusal}")


def test_a_stateful_set_whose_pods_are_refused_says_so_by_its_events() -> None:
    text = 'create Pod web-0 in StatefulSet web failed error: pods "web-0" is forbidden: exceeded quota: q'
    around = Surroundings(events=(event("1", "FailedCreate", text),))
    health = explained_health(stateful_set(replicas=0), around)
    assert health.state is FAILED
    assert "exceeded quota: q" in health.message


def test_a_claim_says_by_its_events_what_it_waits_for() -> None:
    live = thing("v1", "PersistentVolumeClaim", phase="Pending")
    around = Surroundings(
        events=(event("1", "FailedBinding", "no persistent volumes available for this claim"),)
    )
    assert explained_health(live, around).message == "no persistent volumes available for this claim"


def test_a_pod_by_itself_is_explained_too() -> None:
    live = thing("v1", "Pod", phase="Pending", conditions=[UNSCHEDULABLE])
    assert explained_health(live, Surroundings()).message.startswith("web can't be scheduled: 0/1 nodes")


def test_a_volume_that_can_not_be_mounted_is_told() -> None:
    mount = event("uid-web-2-a", "FailedMount", 'secret "key" not found')
    around = Surroundings(pods=(pod(phase="Pending"),), replica_sets=(revision(2),), events=(mount,))
    assert explained_health(deployment(readyReplicas=0), around).message == (
        'pod web-2-a: secret "key" not found'
    )


def test_a_rollout_past_its_deadline_is_failed_whatever_its_pods_may_still_become() -> None:
    late = deployment(conditions=[condition("Progressing", "False", "ProgressDeadlineExceeded")])
    around = Surroundings(pods=(pod(conditions=[NOT_READY]),), replica_sets=(revision(2),))
    health = explained_health(late, around)
    assert (health.state, health.message) == (FAILED, "pod web-2-a: containers with unready status: [web]")


def test_what_is_ready_needs_no_explanation() -> None:
    around = Surroundings(pods=(pod(conditions=[NOT_READY]),), replica_sets=(revision(2),))
    assert explained_health(deployment(), around).is_ready


def test_a_job_at_work_is_as_well_as_its_pods() -> None:
    live = thing("batch/v1", "Job", startTime="now")
    pulling = pod("web-a", "1", "Pending", containerStatuses=[waiting("ErrImagePull", "no such tag")])
    assert explained_health(live, Surroundings(pods=(pulling,))).state is FAILED
    assert explained_health(live, Surroundings(pods=(pod("web-a", "1"),))).is_ready


def test_a_job_that_is_complete_is_ready_whatever_a_pod_of_it_says() -> None:
    live = thing("batch/v1", "Job", startTime="now", conditions=[condition("Complete")])
    ended = pod("web-a", "1", "Failed", containerStatuses=[{"name": "web", "state": crashed()}])
    assert explained_health(live, Surroundings(pods=(ended,))).is_ready


def test_a_pod_that_ends_says_nothing_and_one_with_two_owners_tells_of_both() -> None:
    shared = pod("web-a", "other", conditions=[UNSCHEDULABLE])
    shared["metadata"]["ownerReferences"].append({"uid": "1"})
    around = Surroundings(pods=(shared,))
    assert "can't be scheduled" in explained_health(stateful_set(readyReplicas=0), around).message
    shared["metadata"]["deletionTimestamp"] = "now"
    gone = explained_health(stateful_set(readyReplicas=0), Surroundings(pods=(shared,)))
    assert gone.message == "0 of 2 pods are ready"
