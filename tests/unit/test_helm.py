"""What helm says of a chart that can't be rendered, and what a release proves."""

from __future__ import annotations

from typing import Any

import pytest

from gitops_run.adapters.helm import explain_failure, without_hooks
from gitops_run.model.conditions import PENDING, Standing, applier_verdict
from gitops_run.model.helm_release import to_helm_values, to_release_status
from gitops_run.model.objects import parse_document, split_documents

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
            "what this renders to is not valid YAML: line 6: no",
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
