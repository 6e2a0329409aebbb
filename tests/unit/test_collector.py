"""The collector in a cluster, as values: its rights, what bounds them, and how it runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gitops_run.errors import UsageError
from gitops_run.model.manifests.session import Manifest
from gitops_run.model.platform.collector import COLLECTOR, COLLECTOR_NAMESPACE, Collector
from gitops_run.model.platform.objects import platform_objects
from gitops_run.model.platform.platform import resolve_platform
from gitops_run.model.session.settings import Origin, Source

STACK = "kind-a"
IMAGE = "registry.example.com/gitops-run:0.1.0"
COLLECTED = Collector(image=IMAGE, schedule="*/10 * * * *")


def objects(collector: Collector | None = COLLECTED) -> dict[str, Manifest]:
    return {
        one["kind"]: one
        for one in platform_objects(STACK, collector=collector)
        if COLLECTOR in (one["metadata"]["name"], (one["metadata"].get("namespace") or ""))
        or one["metadata"]["name"] == COLLECTOR_NAMESPACE
    }


def test_a_platform_without_an_image_has_no_collector() -> None:
    assert objects(None) == {}


def test_the_namespace_comes_before_what_lies_in_it() -> None:
    first, *others = platform_objects(STACK, collector=COLLECTED)
    assert (first["kind"], first["metadata"]["name"]) == ("Namespace", COLLECTOR_NAMESPACE)
    assert "Namespace" not in {one["kind"] for one in others}


def test_the_collector_reads_no_secret_and_makes_nothing_but_tombstones() -> None:
    made = objects()
    rules = made["ClusterRole"]["rules"]
    assert not [rule for rule in rules if "secrets" in rule["resources"] or "*" in rule["resources"]]
    assert {verb for rule in rules for verb in rule["verbs"]} == {
        *("get", "list", "watch"),
        *("delete", "patch", "update"),
    }
    assert made["Role"]["metadata"]["namespace"] == "default"
    assert made["Role"]["rules"] == [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "patch"]}
    ]


def test_a_run_waits_for_no_other_and_needs_no_right_on_its_node() -> None:
    spec: dict[str, Any] = objects()["CronJob"]["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (spec["concurrencyPolicy"], spec["schedule"]) == ("Forbid", "*/10 * * * *")
    assert (container["image"], container["args"][:2]) == (IMAGE, ["gc", "--apply"])
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["serviceAccountName"] == COLLECTOR


def test_it_reaches_the_cluster_by_the_token_that_the_pod_is_given() -> None:
    kubeconfig = json.loads(objects()["ConfigMap"]["data"]["kubeconfig"])
    (user,) = kubeconfig["users"]
    assert user["user"] == {"tokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token"}


@pytest.mark.parametrize("schedule", ["hourly", "* * * *", "* * * * * *"])
def test_a_schedule_that_cron_does_not_read_is_refused(schedule: str) -> None:
    with pytest.raises(UsageError, match="collector-schedule"):
        resolve_platform([Source(origin=Origin.FLAG, values={"collectorSchedule": schedule})])
