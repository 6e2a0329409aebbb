"""What is read of one session while somebody looks at it: its objects, its pods and their logs, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.rights.right import Right
from gitops_run.model.state.details import ClusterEvent, SessionDetails
from gitops_run.model.state.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenObject:
    """Hold an object as it is. uid: "" for one that doesn't exist. owner: the uid of its owner, or "".

    health: as HealthState has it; "" where it may not be seen. created: RFC 3339.
    """

    ref: ObjectRef
    uid: str = ""
    owner: str = ""
    health: str = ""
    message: str = ""
    created: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPod:
    """Hold a pod whose logs can be read. has_previous: a container of it was started again."""

    name: str
    phase: str = ""
    containers: tuple[str, ...] = ()
    has_previous: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseUp:
    """Hold what was read of one session at one time.

    missing: by what isn't seen ("pods", "events", "Deployment"), the right that this takes.
    """

    record: Record | None = None
    details: SessionDetails = field(default_factory=SessionDetails)
    objects: tuple[SeenObject, ...] = ()
    pods: tuple[SeenPod, ...] = ()
    missing: Mapping[str, Right] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectText:
    """Hold one object as YAML, a Secret's values masked, and its last events, oldest first."""

    text: str
    events: tuple[ClusterEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Say who is bound to a role. subject: "User alice". through: "RoleBinding session-owner"."""

    subject: str
    role: str
    through: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """Hold a line of a container's log. at: RFC 3339, "" for a remark of ours instead of a line."""

    pod: str
    container: str
    at: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRequest:
    """Say which logs. pod: "" for every pod. is_previous: of the containers' life before, which has ended."""

    namespace: str
    pod: str = ""
    is_previous: bool = False
