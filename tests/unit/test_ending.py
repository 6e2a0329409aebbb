"""A session's end: its writer stops, what was suspended is resumed, and what hinders it is explained."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from pulumi.runtime.proto import provider_pb2

from gitops_run.adapters.cluster import draining
from gitops_run.adapters.cluster.connection import ConflictError
from gitops_run.adapters.cluster.draining import OUTWAIT_S, drain
from gitops_run.adapters.cluster.lease import Holder, SessionLease
from gitops_run.errors import BackendError, LockedError, NotFound, TransientError, UsageError, WaitTimeout
from gitops_run.flows.stuck import LOOK_S, explained
from gitops_run.model.names import ENDING_ANNOTATION, FENCE_ANNOTATION, SessionName
from gitops_run.model.session.hindrance import FLUX_FINALIZER, Hindrance, hindrances
from gitops_run.model.session.key import SessionKey
from gitops_run.model.stack.events import StackEvent
from gitops_run.plugins.gitops_run import drain as resource
from gitops_run.plugins.gitops_run import drain_answers
from tests.contract.conftest import struct
from tests.virtual_time import scenario

KEY = SessionKey(kubeconfig="/k", context="kind-dev", namespace="run-web", name=SessionName.parse("web"))
SYSTEM = "/api/v1/namespaces/kube-system"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/run-web/leases/web"
BUCKET = "/apis/source.toolkit.fluxcd.io/v1/namespaces/run-web/buckets/web"
KUSTOMIZATION = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/run-web/kustomizations/web"
RELEASE = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/run-web/helmreleases/web"
ELSEWHERE = "bob@desk/1/other-x"
HERE = Holder.of_this_process().text
NO_PROCESS = 2**22 + 1
"""Beyond what Linux gives to processes."""
DECLARED = {
    "kubeconfig": "/k",
    "context": "kind-dev",
    "namespace": "run-web",
    "session": "web",
    "cluster": "uid",
}


def lease(holder: str, renewed: str = "", **annotations: str) -> dict[str, Any]:
    renewed = renewed or datetime.now(UTC).isoformat()
    return {
        "metadata": {"name": "web", "resourceVersion": "1", "annotations": annotations},
        "spec": {"holderIdentity": holder, "renewTime": renewed},
    }


def flux(*, is_suspended: bool, **annotations: str) -> dict[str, Any]:
    return {"metadata": {"annotations": annotations}, "spec": {"suspend": is_suspended}}


@dataclass
class Cluster:
    """Objects by path. conflicts: how many writes somebody else is faster with."""

    objects: dict[str, Any] = field(default_factory=dict)
    conflicts: int = 0
    resumed: list[str] = field(default_factory=list)

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        del query
        if path not in self.objects:
            raise NotFound(path)
        return self.objects[path]

    async def find(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        del query
        return self.objects.get(path, {})

    async def replace(self, path: str, body: Any) -> Any:
        if self.conflicts:
            self.conflicts -= 1
            raise ConflictError("somebody was faster")
        self.objects[path] = body
        return body

    async def patch(self, path: str, body: Any) -> Any:
        assert body == {"spec": {"suspend": False}}
        self.resumed.append(path)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    found = Cluster({SYSTEM: {"metadata": {"uid": "uid"}}})

    @asynccontextmanager
    async def connect(kubeconfig: str, context: str) -> Any:
        assert (kubeconfig, context) == ("/k", "kind-dev")
        yield found

    monkeypatch.setattr(draining, "connect", connect)
    return found


def drained(cluster: Cluster, **objects: Any) -> float:
    """Drain a session in virtual time, and return how long it took."""

    @scenario
    async def work() -> None:
        cluster.objects |= objects
        await drain(KEY, cluster="uid")
        took.append(anyio.current_time())

    took: list[float] = []
    work()
    return took[0]


def test_a_live_writer_loses_its_lease_and_is_given_the_time_to_notice(cluster: Cluster) -> None:
    took = drained(cluster, **{LEASE: lease(ELSEWHERE)})
    assert took == pytest.approx(OUTWAIT_S, abs=0.2)
    taken = cluster.objects[LEASE]
    assert taken["spec"]["holderIdentity"] != ELSEWHERE
    assert ENDING_ANNOTATION in taken["metadata"]["annotations"]


@pytest.mark.parametrize(
    "live",
    [
        lease(""),
        lease(ELSEWHERE, "2000-01-01T00:00:00Z"),
        lease(ELSEWHERE, **{ENDING_ANNOTATION: "now"}),
        lease(HERE.replace(f"/{os.getpid()}/", f"/{NO_PROCESS}/")),
    ],
    ids=["nobody", "lapsed", "another drain", "a dead process of this host"],
)
def test_nobody_is_waited_for_where_nobody_writes(cluster: Cluster, live: dict[str, Any]) -> None:
    assert drained(cluster, **{LEASE: live}) == 0


def test_a_renewal_that_is_faster_is_overtaken_by_the_next_try(cluster: Cluster) -> None:
    cluster.conflicts = 2
    drained(cluster, **{LEASE: lease("")})
    assert ENDING_ANNOTATION in cluster.objects[LEASE]["metadata"]["annotations"]


def test_what_was_suspended_is_resumed_and_nothing_else_is_written(cluster: Cluster) -> None:
    suspended = flux(is_suspended=True)
    drained(cluster, **{KUSTOMIZATION: suspended, BUCKET: suspended, RELEASE: flux(is_suspended=False)})
    assert cluster.resumed == [KUSTOMIZATION, BUCKET]
    assert LEASE not in cluster.objects


def test_a_fence_stays_since_flux_must_not_fetch_half_a_save(cluster: Cluster) -> None:
    fenced = flux(is_suspended=True, **{FENCE_ANNOTATION: "bob/3"})
    drained(cluster, **{BUCKET: fenced, RELEASE: flux(is_suspended=True)})
    assert cluster.resumed == [RELEASE]


def test_another_cluster_under_the_same_context_is_left_alone(cluster: Cluster) -> None:
    cluster.objects[SYSTEM] = {"metadata": {"uid": "another"}}
    drained(cluster, **{KUSTOMIZATION: flux(is_suspended=True)})
    assert cluster.resumed == []


def test_a_session_of_which_nothing_is_left_needs_no_draining(cluster: Cluster) -> None:
    assert drained(cluster) == 0


@scenario
async def test_a_writer_learns_that_its_session_is_being_ended() -> None:
    api = Cluster({LEASE: lease(ELSEWHERE, **{ENDING_ANNOTATION: "now"}), SYSTEM: {}})
    mine = SessionLease(api, "run-web", "web")  # type: ignore[arg-type]
    mine._live = lease(mine.holder)
    api.conflicts = 1
    with pytest.raises(NotFound, match="the session was destroyed"):
        await mine.ensure()
    assert mine.is_lost
    with pytest.raises(LockedError, match="is being ended by bob@desk"):
        await SessionLease(api, "run-web", "web").take(lambda _: None)  # type: ignore[arg-type]


def test_a_drain_is_never_replaced_since_that_would_end_the_session() -> None:
    new = struct({**DECLARED, "kubeconfig": "/other", "context": "kind-b"})
    answer = drain_answers.diff(provider_pb2.DiffRequest(olds=struct(DECLARED), news=new))
    assert (list(answer.diffs), list(answer.replaces)) == (["context", "kubeconfig"], [])
    same = drain_answers.diff(provider_pb2.DiffRequest(olds=struct(DECLARED), news=struct(DECLARED)))
    assert same.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_inputs_that_a_drain_can_not_be_made_with_are_named() -> None:
    assert resource.problems(DECLARED) == {}
    assert set(resource.problems({**DECLARED, "context": "", "other": "x"})) == {"context", "other"}


def failing(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(draining, "drain", fail)


def test_a_cluster_that_can_not_be_reached_is_an_error_with_both_ways_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(resource.UNREACHABLE_VARIABLE, raising=False)
    failing(TransientError("no route", hint="check the network"), monkeypatch)
    with pytest.raises(TransientError, match="web can't be drained: no route") as failed:
        resource.delete(DECLARED, 0)
    assert "gitops-run down web --cluster-gone" in failed.value.hint
    assert f"{resource.UNREACHABLE_VARIABLE}=true pulumi destroy" in failed.value.hint


@pytest.mark.parametrize("error", [TransientError("no route"), UsageError("there is no such context")])
def test_a_cluster_that_was_said_to_be_gone_needs_no_draining(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(resource.UNREACHABLE_VARIABLE, "true")
    failing(error, monkeypatch)
    resource.delete(DECLARED, 0)


def deleted(kind: str, *finalizers: str) -> dict[str, Any]:
    metadata = {"name": "web", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": list(finalizers)}
    return {"kind": kind, "metadata": metadata}


def stuck_namespace(kind: str, message: str) -> dict[str, Any]:
    condition = {"type": kind, "status": "True", "message": message}
    return {"metadata": {"deletionTimestamp": "t"}, "status": {"conditions": [condition]}}


LEFT = "Some resources are remaining: widgets.example.com has 1 resource instances"
HELD: dict[str, tuple[dict[str, Any], list[dict[str, Any]], str, str]] = {
    "a controller that is gone": (
        {},
        [deleted("ConfigMap", "example.com/hold")],
        "ConfigMap run-web/web waits for whoever removes its finalizers: example.com/hold",
        "kubectl patch configmap web --type merge",
    ),
    "what Flux waits for itself": (
        {},
        [deleted("Kustomization", FLUX_FINALIZER), deleted("ConfigMap", "example.com/hold")],
        "ConfigMap run-web/web",
        "start that controller",
    ),
    "Flux that is gone": (
        {},
        [deleted("Kustomization", FLUX_FINALIZER)],
        "waits for Flux's controllers",
        "gitops-run platform status",
    ),
    "an object that this user can't see": (
        stuck_namespace("NamespaceContentRemaining", LEFT),
        [],
        "widgets.example.com has 1 resource instances",
        "kubectl get namespace run-web -o yaml",
    ),
    "an API that doesn't answer": (
        stuck_namespace("NamespaceDeletionDiscoveryFailure", "metrics.k8s.io/v1beta1: stale"),
        [],
        "metrics.k8s.io",
        "kubectl get apiservices",
    ),
}


@pytest.mark.parametrize(("namespace", "objects", "why", "way_out"), HELD.values(), ids=HELD)
def test_what_holds_an_end_up_is_named_with_a_way_out(
    namespace: dict[str, Any], objects: list[dict[str, Any]], why: str, way_out: str
) -> None:
    (found,) = hindrances(KEY, namespace, objects)
    assert why in found.message
    assert way_out in found.hint


def test_what_lives_or_only_takes_its_time_holds_nothing_up() -> None:
    living = {"kind": "ConfigMap", "metadata": {"name": "a", "finalizers": ["example.com/hold"]}}
    assert hindrances(KEY, {"metadata": {}}, [living, deleted("Pod")]) == ()


HOLD = Hindrance("ConfigMap run-web/a waits", "start its controller")


async def held() -> tuple[Hindrance, ...]:
    return (HOLD,)


async def nothing_held() -> tuple[Hindrance, ...]:
    return ()


@scenario
async def test_what_holds_an_end_up_is_told_once_while_it_is_waited_for() -> None:
    told: list[StackEvent] = []
    async with explained("web", held, told.append):
        await anyio.sleep(3 * LOOK_S + 1)
    assert len(told) == 1


@scenario
async def test_an_end_that_failed_says_what_held_it_up() -> None:
    with pytest.raises(WaitTimeout, match="ConfigMap run-web/a waits") as failed:
        async with explained("web", held, lambda _: None):
            raise BackendError("Pulumi failed: timed out")
    assert failed.value.hint == "start its controller; then: gitops-run down NAME"


@scenario
async def test_an_end_that_failed_of_something_else_says_so() -> None:
    with pytest.raises(BackendError, match="the disk is full"):
        async with explained("web", nothing_held, lambda _: None):
            raise BackendError("the disk is full")
