"""Who may do what with a bucket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from gitops_run.model.store.policy import account_policy, bucket_policy, canonical


def grants(policy: Mapping[str, Any] | None, account: str) -> set[tuple[str, str]]:
    """Every action that an account may do, with what it may do it to."""
    return {
        (action, resource)
        for statement in (policy or {}).get("Statement", ())
        if account in statement["Principal"]["AWS"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


def test_the_reader_may_look_and_read_and_nothing_else() -> None:
    policy = bucket_policy("b", reader="r", writer="w")

    assert grants(policy, "r") == {
        ("s3:ListBucket", "arn:aws:s3:::b"),
        ("s3:GetBucketLocation", "arn:aws:s3:::b"),
        ("s3:GetObject", "arn:aws:s3:::b/*"),
    }


def test_the_writer_may_write_and_delete_as_well() -> None:
    policy = bucket_policy("b", reader="r", writer="w")

    assert grants(policy, "w") - grants(policy, "r") == {
        ("s3:PutObject", "arn:aws:s3:::b/*"),
        ("s3:DeleteObject", "arn:aws:s3:::b/*"),
    }


def test_one_key_for_both_is_named_once_in_each_statement() -> None:
    policy = bucket_policy("b", reader="k", writer="k")

    assert [statement["Principal"]["AWS"] for statement in (policy or {})["Statement"]] == [["k"], ["k"]]


def test_nobody_named_is_no_policy() -> None:
    assert bucket_policy("b", reader="", writer="") is None


def test_a_policy_that_a_store_gives_back_in_another_order_is_the_same() -> None:
    policy = bucket_policy("b", reader="r", writer="w")
    given_back = json.loads(json.dumps(policy))
    given_back["Statement"].reverse()
    given_back["Statement"][0]["Resource"] = given_back["Statement"][0]["Resource"][0]

    assert canonical(given_back) == canonical(policy)


def test_another_policy_is_not_the_same() -> None:
    assert canonical(bucket_policy("b", reader="r", writer="")) != canonical(
        bucket_policy("b", reader="x", writer="")
    )


@pytest.mark.parametrize("may_write", [False, True])
def test_an_account_s_own_policy_reaches_its_bucket_and_no_other(*, may_write: bool) -> None:
    statements = account_policy("b-1", may_write=may_write)["Statement"]
    actions = {action for statement in statements for action in statement["Action"]}

    assert {arn for statement in statements for arn in statement["Resource"]} == {
        "arn:aws:s3:::b-1",
        "arn:aws:s3:::b-1/*",
    }
    assert ("s3:PutObject" in actions) is may_write
    assert not {action for action in actions if "*" in action or "Policy" in action}
