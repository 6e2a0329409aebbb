import pytest

from gitops_run.model.stack.state import has_made_nothing, without_cluster

CLUSTER = {"urn": "n", "type": "kubernetes:core/v1:Namespace"}
PROVIDER = {"urn": "p", "type": "pulumi:providers:kubernetes"}


def test_what_lies_in_the_cluster_is_left_out() -> None:
    assert without_cluster([PROVIDER, CLUSTER]) == []


def test_what_stays_points_to_nothing_that_went() -> None:
    bucket = {
        "urn": "b",
        "type": "gitops-run:index:S3Bucket",
        "dependencies": ["n", "s"],
        "propertyDependencies": {"bucket": ["n"]},
    }
    assert without_cluster([CLUSTER, bucket]) == [
        {**bucket, "dependencies": ["s"], "propertyDependencies": {"bucket": []}}
    ]


@pytest.mark.parametrize(
    ("deployment", "has"),
    [
        ({}, True),
        ({"resources": [{**PROVIDER, "custom": True}, {"type": "gitops-run:index:Session"}]}, True),
        ({"resources": [{**CLUSTER, "custom": True}]}, False),
        ({"resources": [{"type": "gitops-run:index:S3Bucket", "custom": True}]}, False),
        ({"resources": [], "pending_operations": [{"type": "creating"}]}, False),
    ],
)
def test_a_state_with_only_components_and_providers_has_made_nothing(
    deployment: dict[str, object], *, has: bool
) -> None:
    assert has_made_nothing(deployment) is has
