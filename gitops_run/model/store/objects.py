"""What an S3 store holds, as values: how to reach it, its objects, and the revision they add up to.

This module knows which file names can be keys and how source-controller computes a Bucket's revision. It
doesn't know how a store is asked. Sources: source-controller 1.9.3, internal/index and bucket_controller.go;
the S3 documentation on object keys.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

KEY_MAX_BYTES = 1024
_UNSPEAKABLE = re.compile("[\x00-\x1f\x7f-\x9f\ufffe\uffff]")
"""Listings are XML 1.0, which can't say some of these; obstore refuses others."""
_NO_SEGMENTS = frozenset({"", ".", ".."})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAccess:
    """Hold what it takes to speak to an S3 store as one account.

    endpoint: https://host:port without a path, or "" for AWS. name: what a person reads in its place.
    ca_cert: the PEM certificates to trust in addition to the system's own, or "".
    """

    endpoint: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    ca_cert: str = field(default="", repr=False)
    name: str = ""

    @property
    def place(self) -> str:
        """Name the store in a message."""
        return self.name or self.endpoint or f"AWS S3 in {self.region}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """Hold one object as a listing shows it: its whole key, its ETag without quotes, its bytes."""

    key: str
    etag: str
    size: int


def flux_revision(objects: Iterable[StoredObject]) -> str:
    """Compute the revision that a Flux Bucket shows once it has fetched these objects.

    objects: all that the store holds, in any order. Keys that end in "/" and a root .sourceignore do
    not count, as in Flux; what a .sourceignore or the Bucket's spec.ignore hides must not be passed.
    Returns "sha256:" and 64 hex digits, over a line "KEY ETAG" for each object, in the order of the
    keys' UTF-8 bytes. Raises ValueError on a key that occurs twice.
    """
    etags: dict[bytes, str] = {}
    for stored in objects:
        key = stored.key.encode()
        if key in etags:
            raise ValueError(f"key {stored.key!r} occurs twice")
        etags[key] = stored.etag
    digest = hashlib.sha256()
    for key in sorted(etags):
        if not key.endswith(b"/") and key != b".sourceignore":
            digest.update(key + b" " + etags[key].encode() + b"\n")
    return f"sha256:{digest.hexdigest()}"


def store_difference(put: Mapping[str, str], listed: Mapping[str, str]) -> str:
    """Describe how a listing differs from what was put, with one example. Both: ETags by path, not equal."""
    missing = sorted(put.keys() - listed.keys())
    unexpected = sorted(listed.keys() - put.keys())
    other = sorted(path for path in put.keys() & listed.keys() if put[path] != listed[path])
    counts = (
        (len(missing), "not listed"),
        (len(other), "with another ETag"),
        (len(unexpected), "unexpected"),
    )
    summary = ", ".join(f"{count} {what}" for count, what in counts if count)
    if missing:
        example = f"{missing[0]} was put and is not listed"
    elif other:
        path = other[0]
        example = f"{path} was put with ETag {put[path]} and is listed with {listed[path]}"
    else:
        example = f"{unexpected[0]} is listed and was not put"
    return f"of {len(put)} objects {summary}; {example}"


def key_problem(key: str) -> str | None:
    """Explain why a file can't be stored under this key, as the end of "... can't be stored: it"; else None.

    key: the whole key, prefix included, with "/" between folders. What passes comes back from a
    store byte for byte, in its listing as well: Unicode is not normalised, "%" and "+" are plain.
    """
    if not key:
        return "is empty"
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    if size > KEY_MAX_BYTES:
        return f"is {size} bytes long, and a key holds at most {KEY_MAX_BYTES}"
    unspeakable = _UNSPEAKABLE.search(key)
    if unspeakable:
        return f"contains U+{ord(unspeakable.group()):04X}, a control character"
    if not _NO_SEGMENTS.isdisjoint(key.split("/")):
        return "begins or ends with '/', or has a folder called '', '.' or '..'"
    return None
