"""Every fact that the save loop reports, as a value. envelope.py has its JSON form.

The schema only grows: a field may be added, none changes its meaning. What prints and what draws reads
these and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from gitops_run.model.objects.change import Change, set_field
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.text.problem import Problem

Times = dict[str, int]
"""Milliseconds since the save was seen at the end of each step, from "settled" to "applied"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStarted:
    """The loop holds the session's lease and watches the root."""

    namespace: str
    context: str
    root: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncEnded:
    """The loop has released the session. how_to_go_on: the command that continues it."""

    how_to_go_on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseAwaited:
    """Another writer's lease must expire first. seconds: at most this long."""

    holder: str
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsAwaited:
    """The target contains no objects yet; nothing was uploaded."""

    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeRootNeeded:
    """The target's dependencies can't be determined, so the whole root is part of each save."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedNamespace:
    """One place that names a namespace. kind, name: of the manifest; "" for a kustomization. line: from 1."""

    path: str
    line: int
    kind: str
    name: str
    named: str

    @property
    def identity(self) -> tuple[str, ...]:
        """Identify it, whatever line it has moved to."""
        return self.path, self.kind, self.name, self.named

    def __str__(self) -> str:
        """Write it as "app/web.yaml:4: Deployment web names production"."""
        return f"{self.path}:{self.line}: {f'{self.kind} {self.name}'.strip() or 'this'} names {self.named}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceOverridden:
    """Manifests name another namespace than the session's; each place is reported once.

    namespace: the session's.
    """

    namespace: str
    places: tuple[NamedNamespace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchLimited:
    """The system can't watch (more) folders, so they are polled instead."""

    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveBroken:
    """The save is not pushed: it doesn't render, or may not be applied. The live state is unchanged."""

    save: int
    paths: tuple[str, ...]
    problems: tuple[Problem, ...]
    times_ms: Times = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveUnchanged:
    """The files equal the last push again; there is nothing to push."""

    save: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SavePushed:
    """The store holds the save's whole tree, and Flux was asked to fetch it.

    changes: what it changes in the cluster. not_checked: what preflight could not check, and why.
    """

    save: int
    puts: tuple[str, ...]
    deletes: tuple[str, ...]
    revision: str
    is_fenced: bool
    times_ms: Times
    changes: tuple[Change, ...] = ()
    not_checked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeIsLive:
    """The files equal the live state, and no save was broken before: there is nothing to do."""

    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveUploading:
    """A large save is being uploaded. files, size: all that is uploaded, size in bytes. percent: done."""

    save: int
    files: int
    size: int
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveApplied:
    """Flux has applied exactly this revision, after this save. objects: how many its inventory holds.

    undone_to: when the snapshot was taken that an undo brought back, or "". slowest: of a slow save, the
    step that took longest and the file behind it, or "".
    """

    save: int
    paths: tuple[str, ...]
    revision: str
    objects: int
    times_ms: Times
    undone_to: str = ""
    slowest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChanged:
    """An applied object's health changed. health: ready, progressing, failed, terminating or missing.

    log: the last lines of a container that crashed. object: ref as people read it, for JSON.
    """

    ref: ObjectRef
    health: str
    message: str = ""
    log: tuple[str, ...] = ()
    object: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Write the object's name; what JSON says of it doesn't count."""
        set_field(self, "object", str(self.ref))


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveHealthy:
    """Everything that a save applied is ready."""

    save: int
    revision: str
    times_ms: Times


@dataclass(frozen=True, slots=True, kw_only=True)
class SavePartlyHealthy:
    """What can be watched of a save's objects is ready; the health of the others is unknown.

    ready, not_watched: how many objects. kinds: of those that this user may not watch, or that the cluster
    doesn't serve.
    """

    save: int
    revision: str
    ready: int
    not_watched: int
    kinds: tuple[str, ...]
    times_ms: Times


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveFailed:
    """Flux could not fetch or apply this revision."""

    save: int
    paths: tuple[str, ...]
    revision: str
    reason: str
    message: str
    hint: str
    times_ms: Times


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveSuspended:
    """The save is stored, but the session is suspended by a person."""

    save: int
    revision: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveSuperseded:
    """A newer save superseded this one before its verdict."""

    save: int
    by: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveUndecided:
    """Flux gave no verdict within the deadline. waited_for: what was missing."""

    save: int
    revision: str
    waited_for: str
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDiffered:
    """The store held objects that the loop had not put there; it is repaired."""

    save: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReplaced:
    """An empty store has replaced the one that was written to; it is filled again."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFailed:
    """The cluster or the store failed; the loop retries. seconds: until then."""

    message: str
    hint: str
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFailed:
    """A snapshot can't be kept for undo; saves continue. It is reported once."""

    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAnswered:
    """Somebody asked something of the session.

    request: its id. who: the Kubernetes user. is_accepted: it is carried out now; message says why one isn't.
    """

    request: str
    verb: str
    who: str
    is_accepted: bool
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoFailed:
    """A requested undo can't be done; the live state is unchanged."""

    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotKept:
    """An applied snapshot is kept on this machine for undo. taken: RFC 3339."""

    revision: str
    taken: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkTreeSeen:
    """The root lies in a git work tree. branch: "" where no branch is checked out. commit: its whole digest.

    is_dirty: whether anything in the root differs from that commit.
    """

    branch: str
    commit: str
    is_dirty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFailed:
    """The session's record in the cluster can't be written, so others don't see it; saves continue."""

    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionExpiring:
    """The session's TTL is nearly over, and gc ends it then. expires: RFC 3339. seconds: until that."""

    expires: str
    seconds: int
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionIdle:
    """The session's idle limit is nearly over, and gc suspends it then.

    until: RFC 3339. seconds: until that.
    """

    until: str
    seconds: int
    hint: str


Event = (
    SyncStarted
    | SyncEnded
    | LeaseAwaited
    | ObjectsAwaited
    | WholeRootNeeded
    | NamespaceOverridden
    | WatchLimited
    | SaveBroken
    | SaveUnchanged
    | TreeIsLive
    | SaveUploading
    | SavePushed
    | SaveApplied
    | HealthChanged
    | SaveHealthy
    | SavePartlyHealthy
    | SaveFailed
    | SaveSuspended
    | SaveSuperseded
    | SaveUndecided
    | StoreDiffered
    | StoreReplaced
    | ServiceFailed
    | HistoryFailed
    | RequestAnswered
    | UndoFailed
    | SnapshotKept
    | WorkTreeSeen
    | RecordFailed
    | SessionExpiring
    | SessionIdle
)


def type_name(kind: type[Event]) -> str:
    """Name a type of event as JSON has it: "save_applied"."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
