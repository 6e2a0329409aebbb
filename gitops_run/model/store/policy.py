"""Who may do what with a session's bucket, as an S3 bucket policy.

This module knows which actions Flux and the save loop need, and how a policy names an account: by its access
key, as stores outside AWS do that have no IAM of AWS. It doesn't know how a policy gets into a store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_LOOK = ("s3:GetBucketLocation", "s3:ListBucket")
"""What source-controller asks before it reads: does the bucket exist, and what does it hold."""
_READ = ("s3:GetObject",)
_WRITE = ("s3:DeleteObject", "s3:GetObject", "s3:PutObject")


def bucket_policy(bucket: str, *, reader: str, writer: str) -> Mapping[str, Any] | None:
    """Allow one access key to read this bucket, and one to write it as well; None where neither is given.

    reader, writer: access keys, or "". Nothing is said of any other bucket, and nothing is denied.
    """
    arn = f"arn:aws:s3:::{bucket}"
    lookers = sorted({reader, writer} - {""})
    if not lookers:
        return None
    statements = [_allow("Look", lookers, _LOOK, arn)]
    if reader and reader != writer:
        statements.append(_allow("Read", [reader], _READ, f"{arn}/*"))
    if writer:
        statements.append(_allow("Write", [writer], _WRITE, f"{arn}/*"))
    return {"Version": "2012-10-17", "Statement": statements}


def account_policy(bucket: str, *, may_write: bool) -> Mapping[str, Any]:
    """Let an account look at one bucket and read its objects, or write them as well.

    For stores whose accounts have policies of their own, and so without a principal.
    """
    arn = f"arn:aws:s3:::{bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": list(_LOOK), "Resource": [arn]},
            {"Effect": "Allow", "Action": list(_WRITE if may_write else _READ), "Resource": [f"{arn}/*"]},
        ],
    }


def canonical(policy: Mapping[str, Any] | None) -> str:
    """Write a policy so that two which say the same are the same text; "" for none.

    Stores may give a policy back with its lists in another order, and with a list of one as a string.
    """
    return json.dumps(_sorted(policy), sort_keys=True) if policy else ""


def _allow(sid: str, principals: list[str], actions: tuple[str, ...], resource: str) -> dict[str, Any]:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"AWS": principals},
        "Action": list(actions),
        "Resource": [resource],
    }


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _sorted(content) for name, content in value.items()}
    if isinstance(value, list):
        items = sorted((_sorted(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
        return items[0] if len(items) == 1 else items
    return value
