"""What a program declares of an S3Bucket."""

from __future__ import annotations

from typing import Any

import pytest

from gitops_run.plugins.gitops_run.declaration import BucketDeclaration, changes, has_drifted, problems
from gitops_run.plugins.gitops_run.values import UNKNOWN

DECLARED: dict[str, Any] = {
    "bucket": "b-1",
    "endpoint": "https://127.0.0.1:9000",
    "region": "us-east-1",
    "accessKey": "ak",
    "secretKey": "sk",
}


def test_a_whole_declaration_has_no_problem() -> None:
    assert problems({**DECLARED, "forceDestroy": True, "caCert": None, "readerAccessKey": "r"}) == {}


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_what_is_required_and_missing_is_named(name: str) -> None:
    assert problems({**DECLARED, name: ""}) == {name: "is missing"}


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("forceDestroy", "yes", "must be a bool"),
        ("endpoint", "127.0.0.1:9000", "must be https://host:port"),
        ("endpoint", "https://store/path", "without a path"),
        ("endpoint", "https://store:nonsense", "must be https://host:port"),
        ("versioning", True, "is not an input"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(name: str, value: object, reason: str) -> None:
    assert reason in problems({**DECLARED, name: value})[name]


def test_what_a_preview_cannot_know_yet_is_no_problem() -> None:
    assert problems({**DECLARED, "bucket": UNKNOWN, "endpoint": UNKNOWN}) == {}


def test_an_input_that_is_absent_equals_one_that_is_empty() -> None:
    assert changes(DECLARED, {**DECLARED, "caCert": "", "forceDestroy": False}) == frozenset()


def test_each_changed_input_is_named() -> None:
    assert changes(DECLARED, {**DECLARED, "secretKey": "new", "region": "x"}) == {"secretKey", "region"}


def test_the_administrators_own_key_needs_no_grant() -> None:
    assert BucketDeclaration.of({**DECLARED, "readerAccessKey": "ak", "writerAccessKey": "ak"}).policy is None


def test_a_policy_that_went_from_the_store_counts_as_drift() -> None:
    assert has_drifted({"policy": ""}, {**DECLARED, "readerAccessKey": "r"})
