"""What Pulumi says while it works on a stack, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Phase = Literal["started", "done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceStep:
    """Hold one step. operation: Pulumi's word (create, update, delete, same, replace, …)."""

    resource: str
    kind: str
    operation: str
    phase: Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class StackNotice:
    """Hold a notice for a person, in a sentence."""

    text: str


StackEvent = ResourceStep | StackNotice


@dataclass(frozen=True, slots=True, kw_only=True)
class StackLock:
    """Hold one lock of a stack. path: its file, empty where the state isn't in files."""

    user: str
    host: str
    pid: int
    since: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingObject:
    """Name an object that was being created when a run was killed: it may be there or not."""

    api_version: str
    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownResources:
    """Hold what a stack's state knows. has_bucket: it has a bucket of an S3 store."""

    objects: frozenset[PendingObject]
    has_bucket: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOutcome:
    """Hold what a run did.

    changed: how many resources were created, updated, replaced or deleted. has_pending: an earlier run was
    killed during a create, and the stack doesn't know whether it happened.
    """

    outputs: dict[str, str]
    changed: int
    has_pending: bool
