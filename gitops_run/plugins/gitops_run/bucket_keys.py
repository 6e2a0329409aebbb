"""The resource BucketKeys: two accounts of a store, made for one bucket and removed with it.

What a program declares of them, checked, and what happens at the store. The accounts' names follow from the
bucket's name, and each step can be taken twice: a run that was killed at any point leaves nothing that the
next one doesn't find.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from typing import Any

from gitops_run.model.store.failures import cannot_make_keys
from gitops_run.model.store.keys import MadeKeys
from gitops_run.model.store.objects import StoreAccess
from gitops_run.model.store.policy import account_policy
from gitops_run.plugins.gitops_run.declaration import endpoint_problem
from gitops_run.plugins.gitops_run.values import UNKNOWN

TOKEN = "gitops-run:index:BucketKeys"  # noqa: S105 - a type's token
SECRETS = ("secretKey", "readerSecretKey", "writerSecretKey")
OUTPUTS = ("readerAccessKey", "readerSecretKey", "writerAccessKey", "writerSecretKey")
REPLACING = frozenset({"bucket", "endpoint"})

_REQUIRED = ("bucket", "endpoint", "region", "accessKey", "secretKey")
INPUTS = (*_REQUIRED, "caCert")
_SECRET_KEY_LENGTH = 40


def problems(properties: Mapping[str, Any]) -> dict[str, str]:
    """Find what is wrong with declared properties: from a property's name to the reason."""
    found = {name: "is missing" for name in _REQUIRED if properties.get(name) in (None, "")}
    for name, value in properties.items():
        if value is None or value == UNKNOWN or name in found or name.startswith("__"):
            continue
        if name not in INPUTS:
            found[name] = f"is not an input of {TOKEN}; it has {', '.join(INPUTS)}"
        elif not isinstance(value, str):
            found[name] = "must be a str"
        elif name == "endpoint" and (problem := endpoint_problem(value)):
            found[name] = problem
    return found


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> frozenset[str]:
    """Name the inputs that differ. One that is absent equals one that is None or ""."""
    return frozenset(name for name in INPUTS if (old.get(name) or None) != (new.get(name) or None))


def require_offered(properties: Mapping[str, Any]) -> None:
    """Raise UsageError if the store can't create keys."""
    from gitops_run.adapters.store.keys import open_keys  # noqa: PLC0415 - as in create

    access = _access(properties)
    with open_keys(access) as store:
        if store.names() is None:
            raise cannot_make_keys(access)


def create(properties: Mapping[str, Any]) -> dict[str, str]:
    """Make both accounts, with new secrets where a killed run has made them already."""
    from gitops_run.adapters.store.keys import open_keys  # noqa: PLC0415 - botocore: 200 ms of an `up` without changes

    bucket = properties["bucket"]
    names = MadeKeys.of(bucket)
    made: dict[str, str] = {}
    with open_keys(_access(properties)) as store:
        for role, access_key in (("reader", names.reader), ("writer", names.writer)):
            secret_key = _new_secret()
            store.make(access_key, secret_key, account_policy(bucket, may_write=role == "writer"))
            made |= {f"{role}AccessKey": access_key, f"{role}SecretKey": secret_key}
    return made


def exist(properties: Mapping[str, Any]) -> bool:
    """Ask the store whether it has both accounts."""
    from gitops_run.adapters.store.keys import open_keys  # noqa: PLC0415 - as in create

    with open_keys(_access(properties)) as store:
        return set(MadeKeys.of(properties["bucket"]).both) <= (store.names() or frozenset())


def delete(properties: Mapping[str, Any]) -> None:
    """Remove both accounts. Gone already is fine."""
    from gitops_run.adapters.store.keys import open_keys  # noqa: PLC0415 - as in create

    with open_keys(_access(properties)) as store:
        for access_key in MadeKeys.of(properties["bucket"]).both:
            store.remove(access_key)


def _access(properties: Mapping[str, Any]) -> StoreAccess:
    return StoreAccess(
        endpoint=properties["endpoint"],
        region=properties["region"],
        access_key=properties["accessKey"],
        secret_key=properties["secretKey"],
        ca_cert=properties.get("caCert") or "",
    )


def _new_secret() -> str:
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(_SECRET_KEY_LENGTH))
