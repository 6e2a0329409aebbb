"""When an object counts as ready."""

from __future__ import annotations

from typing import Any

import pytest

from gitops_run.errors import UsageError
from gitops_run.sandbox.kubernetes_plugin import readiness
from gitops_run.sandbox.kubernetes_plugin.readiness import parse_wait_for


def _with_condition(status: str, *, generation: int = 1, observed: int = 1) -> dict[str, Any]:
    condition = {"type": "Ready", "status": status, "observedGeneration": observed}
    return {"metadata": {"generation": generation}, "status": {"phase": "Up", "conditions": [condition]}}


def _deployment(**status: Any) -> dict[str, Any]:
    conditions = [
        {"type": "Available", "status": "True"},
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
    ]
    counts = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    return {
        "metadata": {"generation": 2},
        "spec": {"replicas": 2},
        "status": {**counts, "conditions": conditions, **status},
    }


@pytest.mark.parametrize(
    ("expression", "live", "is_ready"),
    [
        ("condition=Ready", _with_condition("True"), True),
        ("condition=ready", _with_condition("True"), True),
        ("condition=Ready", _with_condition("False"), False),
        ("condition=Ready=False", _with_condition("False"), True),
        ("condition=Ready", _with_condition("True", generation=2), False),
        ("condition=Ready", {}, False),
        ("jsonpath={.status.phase}", _with_condition("True"), True),
        ("jsonpath={.status.phase}=Up", _with_condition("True"), True),
        ("jsonpath={.status.phase}=Down", _with_condition("True"), False),
        ("jsonpath={.status.conditions[0].status}=True", _with_condition("True"), True),
        ("jsonpath={.status.nothing}", _with_condition("True"), False),
        ('["condition=Ready", "jsonpath={.status.phase}=Up"]', _with_condition("True"), True),
        ('["condition=Ready", "jsonpath={.status.phase}=Down"]', _with_condition("True"), False),
    ],
)
def test_an_object_is_ready_when_what_is_waited_for_holds(
    expression: str, live: dict[str, Any], *, is_ready: bool
) -> None:
    assert parse_wait_for(expression)(live).is_ready is is_ready


@pytest.mark.parametrize(
    "expression", ["", "Ready", "[]", "[1]", "condition=", "jsonpath=.status", '{"a": 1}']
)
def test_an_expression_that_is_malformed_is_refused(expression: str) -> None:
    with pytest.raises(UsageError, match="waitFor"):
        parse_wait_for(expression)


def test_a_deployment_is_ready_when_every_pod_is_new_and_available() -> None:
    assert readiness.deployment(_deployment()).is_ready


@pytest.mark.parametrize(
    "status",
    [
        {"observedGeneration": 1},
        {"availableReplicas": 1},
        {"updatedReplicas": 1},
        {"replicas": 3},
        {"conditions": []},
    ],
)
def test_a_deployment_that_still_rolls_out_is_not_ready(status: dict[str, Any]) -> None:
    assert not readiness.deployment(_deployment(**status)).is_ready


def test_a_deployment_past_its_deadline_has_failed() -> None:
    failed = [{"type": "Progressing", "status": "False", "message": "deadline exceeded"}]
    found = readiness.deployment(_deployment(conditions=failed))
    assert (found.has_failed, found.message) == (True, "deadline exceeded")


@pytest.mark.parametrize(
    ("subsets", "is_ready", "may_settle"),
    [
        ([{"addresses": [{}]}], True, False),
        ([{"addresses": [{}], "notReadyAddresses": [{}]}], False, False),
        ([], False, True),
    ],
)
def test_a_service_serves_when_pods_stand_behind_it_and_none_is_on_its_way(
    subsets: list[Any], *, is_ready: bool, may_settle: bool
) -> None:
    found = readiness.endpoints({"subsets": subsets})
    assert (found.is_ready, found.may_settle) == (is_ready, may_settle)


@pytest.mark.parametrize(
    ("phase", "binding_mode", "is_ready"),
    [
        ("Bound", "Immediate", True),
        ("Pending", "Immediate", False),
        ("Pending", "WaitForFirstConsumer", True),
    ],
)
def test_a_claim_is_ready_when_bound_or_when_it_waits_for_its_first_pod(
    phase: str, binding_mode: str, *, is_ready: bool
) -> None:
    assert readiness.volume_claim({"status": {"phase": phase}}, binding_mode).is_ready is is_ready
