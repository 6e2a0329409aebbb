"""What a program declares of an S3Bucket: its inputs, checked, and what a change of them means.

It is pure. This module knows which inputs there are; refuses to know how a bucket is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gitops_run.model.store.objects import StoreAccess
from gitops_run.model.store.policy import bucket_policy, canonical
from gitops_run.plugins.gitops_run.values import UNKNOWN

TOKEN = "gitops-run:index:S3Bucket"  # noqa: S105 - a type's token
SECRETS = ("secretKey",)
POLICY = "policy"
"""The one output that is no input: the policy as it was last seen in the store."""
REPLACING = frozenset({"bucket", "endpoint"})
"""Another name or another store is another bucket; all else is changed in place."""

_TYPES: Mapping[str, type] = {
    "bucket": str,
    "endpoint": str,
    "region": str,
    "accessKey": str,
    "secretKey": str,
    "caCert": str,
    "forceDestroy": bool,
    "readerAccessKey": str,
    "writerAccessKey": str,
}
_REQUIRED = frozenset({"bucket", "endpoint", "region", "accessKey", "secretKey"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketDeclaration:
    """Hold one declared bucket."""

    bucket: str
    access: StoreAccess
    force_destroy: bool
    reader: str
    writer: str

    @classmethod
    def of(cls, properties: Mapping[str, Any]) -> BucketDeclaration:
        """Read checked properties."""
        return cls(
            bucket=properties["bucket"],
            access=StoreAccess(
                endpoint=properties["endpoint"],
                region=properties["region"],
                access_key=properties["accessKey"],
                secret_key=properties["secretKey"],
                ca_cert=properties.get("caCert") or "",
            ),
            force_destroy=bool(properties.get("forceDestroy")),
            reader=properties.get("readerAccessKey") or "",
            writer=properties.get("writerAccessKey") or "",
        )

    @property
    def policy(self) -> Mapping[str, Any] | None:
        """Report which policy the bucket should have. The administering key needs no grant of its own."""
        reader, writer = ("" if key == self.access.access_key else key for key in (self.reader, self.writer))
        return bucket_policy(self.bucket, reader=reader, writer=writer)


def problems(properties: Mapping[str, Any]) -> dict[str, str]:
    """Find what is wrong with declared properties: from a property's name to the reason."""
    found = {name: "is missing" for name in _REQUIRED if properties.get(name) in (None, "")}
    for name, value in properties.items():
        if value is None or value == UNKNOWN or name in found or name.startswith("__"):
            continue
        if name not in _TYPES:
            found[name] = f"is not an input of {TOKEN}; it has {', '.join(_TYPES)}"
        elif not isinstance(value, _TYPES[name]):
            found[name] = f"must be a {_TYPES[name].__name__}"
        elif name == "endpoint" and (problem := endpoint_problem(str(value))):
            found[name] = problem
    return found


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> frozenset[str]:
    """Name the inputs that differ. One that is absent equals one that is None, "" or false."""
    return frozenset(name for name in _TYPES if (old.get(name) or None) != (new.get(name) or None))


def has_drifted(state: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Report whether the policy that the stack last saw differs from the one declared now."""
    if UNKNOWN in new.values():
        return False
    return bool(state.get(POLICY, "") != canonical(BucketDeclaration.of(new).policy))


def endpoint_problem(text: str) -> str:
    """Describe what is wrong with an endpoint, "" for nothing."""
    if _is_endpoint(text):
        return ""
    return f"must be https://host:port or http://host:port, without a path: {text!r}"


def _is_endpoint(text: str) -> bool:
    try:
        url = urlsplit(text)
        return (
            url.scheme in {"http", "https"} and bool(url.hostname) and url.path in {"", "/"} and url.port != 0
        )
    except ValueError:
        return False
