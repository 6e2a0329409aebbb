"""What is said of an object that the session may not apply: the reason, its place and the way out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gitops_run.model.objects.dry_run import NO_NAMESPACE, Obstacle
from tests.fake_cluster_checks import PLACE, FakeCluster
from tests.unit.test_preflight import A, inspect, manifest, messages, refusing


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (manifest("ClusterRole", "r", namespace=""), "belongs to the whole cluster"),
        (
            manifest("Role", "r", namespace="other"),
            "is in namespace other, and the session may apply in ns only",
        ),
        (manifest("Role", "r"), "the session's ServiceAccount flux-run has no right to apply roles"),
    ],
)
def test_a_missing_right_is_told_as_what_it_means(text: str, expected: str) -> None:
    assert expected in messages(inspect(text, cluster=refusing("r", Obstacle.RIGHT)))[0]


@pytest.mark.parametrize(
    ("text", "is_named"),
    [
        (manifest("ClusterRole", "r", namespace=""), True),
        (manifest("Role", "r", namespace="other"), True),
        (manifest("Namespace", "ns", namespace=""), True),
        (manifest("Role", "r"), False),
    ],
)
def test_what_lies_outside_of_the_namespace_is_refused_with_the_setting_that_allows_it(
    text: str, *, is_named: bool
) -> None:
    (problem,) = inspect(text, cluster=refusing("r", Obstacle.RIGHT)).problems
    assert (problem.path, problem.line) == ("app/0.yaml", 1)
    assert ("isolation: cluster" in problem.hint) is is_named


def test_an_object_without_a_namespace_is_refused_in_a_session_whose_objects_name_their_own() -> None:
    wide = replace(PLACE, is_wide=True)
    cluster = FakeCluster(refuses={"a": (NO_NAMESPACE,)})
    (problem,) = inspect(A, cluster=cluster, session=wide).problems
    assert "metadata.namespace: it is missing" in problem.message
    assert "with namespace: in the kustomization" in problem.hint


def test_a_pod_beyond_the_session_s_quota_has_its_place_and_the_command_that_raises_it() -> None:
    over = "exceeded quota: gitops-run-quota, requested: pods=1, used: pods=50, limited: pods=50"
    (problem,) = inspect(A, cluster=refusing("a", Obstacle.CONTENT, over)).problems
    assert (problem.path, problem.line) == ("app/0.yaml", 1)
    assert "gitops-run up NAME --quota" in problem.hint
