"""What helm says of a chart that can't be rendered, and what a release proves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from gitops_run.adapters.render.helm import Doubts, Helm, without_hooks
from gitops_run.flows.building import Builder, Built
from gitops_run.model.charts.failures import explain_failure
from gitops_run.model.flux.conditions import PENDING, Standing, applier_verdict
from gitops_run.model.flux.helm_release import HelmValues, to_helm_values, to_release_status
from gitops_run.model.objects.identity import parse_document, split_documents
from gitops_run.model.text.problem import Problem
from tests.charts import KnownDiscovery
from tests.fakes import FakeSnapshot

NEW = "sha256:" + "ab" * 32
OLD = "sha256:" + "cd" * 32


def version(revision: str) -> str:
    return f"0.1.0+{revision[7:19]}.1"


def chart(
    revision: str, built: str, ready: str = "True", reason: str = "ChartPackageSucceeded"
) -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready, "reason": reason, "message": "said by the chart"}
    return {
        "status": {
            "observedSourceArtifactRevision": revision,
            "artifact": {"revision": version(built)},
            "conditions": [condition],
        }
    }


def release(
    deployed: str, attempted: str, *conditions: tuple[str, str, str, str], token: str = ""
) -> dict[str, Any]:
    named = [dict(zip(("type", "status", "reason", "message"), c, strict=True)) for c in conditions]
    return {
        "spec": {
            "releaseName": "shop",
            "chart": {"spec": {"chart": "./src/deploy", "valuesFiles": ["./src/values/dev.yaml"]}},
        },
        "status": {
            "lastHandledReconcileAt": token,
            "lastAttemptedRevision": version(attempted),
            "history": [{"chartVersion": version(deployed), "status": "deployed"}],
            "conditions": named,
            "inventory": {"entries": [{"id": "run-web_a__ConfigMap", "v": "v1"}]},
        },
    }


READY = ("Ready", "True", "UpgradeSucceeded", "")


def test_a_revision_is_applied_once_the_chart_that_was_built_from_it_is_deployed() -> None:
    status = to_release_status(release(NEW, NEW, READY), chart(NEW, NEW))
    assert applier_verdict(status, revision=NEW).standing is Standing.APPLIED
    assert status.inventory == ("run-web_a__ConfigMap",)


@pytest.mark.parametrize(
    ("live", "seen"),
    [
        (release(OLD, OLD, READY), chart(NEW, NEW)),
        (release(OLD, OLD, READY), chart(OLD, OLD)),
        (release(OLD, OLD, READY), chart(NEW, OLD)),
        (release(NEW, NEW, ("Ready", "Unknown", "Progressing", "")), chart(NEW, NEW)),
        (release(NEW, NEW, READY), None),
    ],
    ids=["not released", "not fetched", "not built", "under way", "no chart"],
)
def test_less_than_that_proves_nothing(live: dict[str, Any], seen: dict[str, Any] | None) -> None:
    assert applier_verdict(to_release_status(live, seen), revision=NEW) == PENDING


def test_a_release_that_was_rolled_back_tells_what_failed_and_not_that_it_was_rolled_back() -> None:
    live = release(
        OLD,
        NEW,
        ("Ready", "False", "RollbackSucceeded", "rolled back"),
        ("Released", "False", "UpgradeFailed", "the API refuses it"),
    )
    verdict = applier_verdict(to_release_status(live, chart(NEW, NEW)), revision=NEW)
    assert (verdict.standing, verdict.reason) == (Standing.FAILED, "UpgradeFailed")
    assert verdict.message == "the API refuses it"


def test_a_failure_of_the_release_before_says_nothing_of_this_one() -> None:
    live = release(OLD, OLD, ("Ready", "False", "UpgradeFailed", "of the old one"))
    assert applier_verdict(to_release_status(live, chart(NEW, NEW)), revision=NEW) == PENDING


def test_a_chart_that_can_not_be_built_fails_the_save() -> None:
    live = release(OLD, OLD, READY)
    status = to_release_status(live, chart(NEW, OLD, "False", "ChartPackageError"))
    verdict = applier_verdict(status, revision=NEW)
    assert (verdict.standing, verdict.reason) == (Standing.FAILED, "ChartPackageError")


def test_where_a_revision_was_live_before_an_older_application_proves_nothing() -> None:
    status = to_release_status(release(NEW, NEW, READY, token="old"), chart(NEW, NEW))
    assert applier_verdict(status, revision=NEW, token="new") == PENDING


def test_a_release_tells_with_what_its_chart_is_rendered() -> None:
    values = to_helm_values(release(NEW, NEW))
    assert (values.release_name, values.values_files) == ("shop", ("values/dev.yaml",))


@pytest.mark.parametrize(
    ("message", "place", "told"),
    [
        (
            "Error: execution error at (shop/templates/x.yaml:6:8): need b\n\nUse --debug flag to render",
            "deploy/templates/x.yaml:6",
            "need b",
        ),
        (
            (
                'Error: shop/templates/x.yaml:6:15\n  executing "shop/templates/x.yaml" at <.Values.b.c.d>:\n'
                "    nil pointer evaluating interface {}.c"
            ),
            "deploy/templates/x.yaml:6",
            "nil pointer evaluating interface {}.c",
        ),
        (
            'Error: parse error at (shop/templates/x.yaml:6): function "nofunc" not defined',
            "deploy/templates/x.yaml:6",
            'function "nofunc" not defined',
        ),
        (
            "Error: YAML parse error on shop/templates/x.yaml: error converting YAML to JSON: line 6: no",
            "deploy/templates/x.yaml",
            "the rendered output is not valid YAML: line 6: no",
        ),
        (
            (
                "Error: cannot load values.yaml: cannot unmarshal: error converting YAML to JSON: "
                "yaml: line 2: no"
            ),
            "deploy/values.yaml:2",
            "not valid YAML: yaml: line 2: no",
        ),
        (
            (
                "Error: failed to parse /w/tree/dev.yaml: cannot unmarshal yaml document: "
                "error converting YAML to JSON: yaml: line 1: no"
            ),
            "dev.yaml:1",
            "not valid YAML: yaml: line 1: no",
        ),
        (
            "Error: an error occurred: found in Chart.yaml, but missing in charts/ directory: dep",
            "deploy/Chart.yaml",
            "an error occurred: found in Chart.yaml, but missing in charts/ directory: dep",
        ),
    ],
)
def test_an_error_of_helm_has_its_file_and_line(message: str, place: str, told: str) -> None:
    problem = explain_failure(message, folder="/w/tree", target="deploy")
    assert (problem.place, problem.message) == (place, told)


def test_hooks_are_not_among_a_release_s_objects() -> None:
    rendered = """
apiVersion: v1
kind: ConfigMap
metadata: {name: kept}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: pre-upgrade}}
"""
    assert [
        item.ref.name for text in split_documents(without_hooks(rendered)) for item in parse_document(text)
    ] == ["kept"]


def test_what_is_no_hook_stays_as_helm_wrote_it() -> None:
    kept = "kind: ConfigMap\nmetadata: {name: a}\ndata: {at: 12:30, is: =}\n"
    speaks_of_it = "kind: ConfigMap\nmetadata: {name: b}\ndata: {text: helm.sh/hook}\n"
    broken = "kind: [\n# helm.sh/hook\n"
    hook = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: c, annotations: {helm.sh/hook: test}}\n"
    rendered = f"{kept}---\n{hook}---\n{speaks_of_it}---\n{broken}"
    assert split_documents(without_hooks(rendered)) == (kept, speaks_of_it, broken)


@pytest.mark.parametrize("tail", ["x: =", "x: 2001-99-99", "? {a: b}\n: c", "x: !custom y"])
def test_a_hook_with_values_that_only_some_readers_know_ends_nothing(tail: str) -> None:
    rendered = f"kind: Job\nmetadata: {{name: c, annotations: {{helm.sh/hook: test}}}}\n{tail}\n"
    assert isinstance(without_hooks(rendered), str)


@dataclass
class Rendered(Helm):
    """Helm, with what it writes given."""

    text: str

    def __post_init__(self) -> None:
        self._namespace, self._kinds = "run-web", KnownDiscovery()
        self._values = HelmValues(release_name="shop", values_files=())
        self._doubts = Doubts()
        self._loose = frozenset()

    async def render(self, snapshot: object, target: str) -> str | Problem:
        return self.text


def built(*texts: str) -> Built:
    return anyio.run(Builder(Rendered("---\n".join(texts)), "chart", None).build, FakeSnapshot({}))


@pytest.mark.parametrize(
    ("manifest", "entry"),
    [
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n", "run-web_a_apps_Deployment"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: ''}\n", "run-web_a__ConfigMap"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\n", "b_a__ConfigMap"),
        (
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\n",
            "_a_rbac.authorization.k8s.io_ClusterRole",
        ),
        ("apiVersion: x.io/v1\nkind: Widget\nmetadata: {name: a}\n", "_a_x.io_Widget"),
    ],
    ids=["namespaced", "emptied", "named", "of the cluster", "unknown"],
)
def test_a_chart_s_objects_are_known_as_flux_s_inventory_has_them(manifest: str, entry: str) -> None:
    assert [item.ref.inventory_id for item in built(manifest).objects] == [entry]


def test_an_object_is_the_same_with_and_without_the_session_s_namespace() -> None:
    bare = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
    problems = built(bare, bare.replace("name: a", "name: a, namespace: run-web")).problems
    assert [problem.message for problem in problems] == ["ConfigMap run-web/a is defined more than once"]


def test_a_chart_s_objects_bear_the_marks_that_helm_applies_them_with() -> None:
    [item] = built("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {b: c}}\n").objects
    assert item.body["metadata"] == {
        "name": "a",
        "namespace": "run-web",
        "labels": {"b": "c", "app.kubernetes.io/managed-by": "Helm"},
        "annotations": {
            "meta.helm.sh/release-name": "shop",
            "meta.helm.sh/release-namespace": "run-web",
        },
    }


def test_labels_that_are_no_mapping_are_left_for_the_api_server_to_refuse() -> None:
    [item] = built("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: b}\n").objects
    assert item.body["metadata"]["labels"] == "b"


@pytest.mark.parametrize("text", ["templates/" * 3_000, "a/" * 15_000, "a/templates/" * 2_500])
def test_no_message_takes_long_to_explain(text: str) -> None:
    assert explain_failure(f"Error: {text}", folder="/stage", target=".").path == "Chart.yaml"
