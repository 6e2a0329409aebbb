"""Everything that is known of one session, from whatever was seen last, and its state in one word.

One reducer for everybody: terminal, list, status and page. Facts come in any order, late and repeatedly: one
that is older than what is known changes nothing. Summary and record are the owner's claims; the rest is the
cluster's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from gitops_run.model.flux.conditions import ApplierStatus, SourceStatus
from gitops_run.model.flux.helm_release import HelmValues
from gitops_run.model.session.limits import NO_END, Lifetime
from gitops_run.model.state.envelope import Envelope
from gitops_run.model.state.record import Record, fold
from gitops_run.model.state.saves import Outcome
from gitops_run.model.state.summary import Summary, summarize


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Name who syncs. since: when that began. seen: when it was last heard of, where it is heard no more.

    holder: as the Lease names it, "user@host/pid/…".
    """

    holder: str
    since: str
    is_live: bool
    seen: str = ""

    @property
    def person(self) -> str:
        """Name the user and the host alone."""
        return self.holder.partition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Describe what a session was made with. claimed_owner: by an annotation, which the owner may change.

    endpoint, bucket: where it is stored. isolation: "" for one of an earlier version, whose namespace has no
    bounds.
    """

    root: str
    targets: tuple[str, ...]
    created: str
    store: str
    claimed_owner: str = ""
    lifetime: Lifetime = NO_END
    endpoint: str = ""
    bucket: str = ""
    isolation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """Say who suspended what applies a session, and why; or when it was resumed. "" where nobody said."""

    by: str = ""
    reason: str = ""
    at: str = ""
    resumed_at: str = ""


NOT_SUSPENDED: Final = Suspension()
EMPTY_REVISION: Final = f"sha256:{hashlib.sha256().hexdigest()}"
"""What Flux's Bucket has for a bucket without objects: the digest of an empty index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """Hold Flux's status of one target. object: what applies it, "Kustomization web". objects: how many.

    suspended_by, suspended_reason: as whoever suspended it says.
    """

    target: str
    object: str = ""
    applied: str = ""
    attempted: str = ""
    is_suspended: bool = False
    ready: str = ""
    reason: str = ""
    message: str = ""
    objects: int = 0
    helm: HelmValues | None = None
    suspended_by: str = ""
    suspended_reason: str = ""
    suspended_at: str = ""
    resumed_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceSeen:
    """A namespace has a session's label. name: the session's. created: RFC 3339.

    pod_security: the level that is enforced on its pods, or "".
    """

    version: int
    name: str
    created: str
    pod_security: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSeen:
    """The Flux Bucket is so; None where there is none. name: the session's, as its label has it."""

    version: int
    source: SourceStatus | None
    name: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerSeen:
    """The session's owner is bound; "" where nobody is, or where that may not be seen."""

    version: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplierSeen:
    """A Kustomization or HelmRelease is so; status is None where there is none.

    applier: kind and name, "Kustomization web". target: what it applies.
    """

    version: int
    applier: str
    target: str = ""
    status: ApplierStatus | None = None
    helm: HelmValues | None = None
    suspension: Suspension = NOT_SUSPENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSeen:
    """Who holds the session's Lease; None where nobody does."""

    version: int
    writer: Writer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SummarySeen:
    """The session's state says this; None where it says nothing that can be read."""

    version: int
    summary: Summary | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSeen:
    """The session's record says this; None where it says nothing that can be read."""

    version: int
    record: Record | None


Fact = NamespaceSeen | SourceSeen | OwnerSeen | ApplierSeen | LeaseSeen | SummarySeen | RecordSeen | Envelope
"""version: the resourceVersion of what was seen, as a number, which grows with time in one cluster; 0 where
none is known, as of what is gone: such a fact counts in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """Hold what is known of a session. None and "" stand for what was not seen.

    name: "" as long as neither a namespace nor a Bucket says that there is a session: what else was seen is
    somebody's own then. pod_security: the level that is enforced on its pods, which isolates them.
    versions: of what was seen last, by fact; they don't make two states differ.
    """

    namespace: str
    name: str = ""
    namespace_created: str = ""
    pod_security: str = ""
    owner: str = ""
    place: Place | None = None
    source: SourceStatus | None = None
    targets: tuple[TargetState, ...] = ()
    synced_by: Writer | None = None
    summary: Summary | None = None
    record: Record | None = None
    versions: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)

    @property
    def has_label(self) -> bool:
        """Report whether its namespace was seen with a session's label."""
        return bool(self.namespace_created)

    @property
    def is_incomplete(self) -> bool:
        """Report whether an `up` or a `down` was interrupted, so that there is no Flux Bucket."""
        return self.source is None

    @property
    def known_owner(self) -> str:
        """Name who is bound to the owner's Role, otherwise who the owner is by an annotation."""
        return self.owner or (self.place.claimed_owner if self.place else "")

    @property
    def is_owner_claimed(self) -> bool:
        """Report whether only an annotation names the owner."""
        return not self.owner and self.place is not None

    @property
    def created(self) -> str:
        """Report when it was made, RFC 3339."""
        return (self.place.created if self.place else "") or self.namespace_created

    @property
    def is_new(self) -> bool:
        """Report whether nothing was saved yet. Flux fetches the empty bucket too, and fails on it."""
        is_stored = self.source is not None and self.source.revision not in ("", EMPTY_REVISION)
        has_saved = self.summary is not None and self.summary.last is not None
        return not (is_stored or has_saved or any(one.applied for one in self.targets))

    @property
    def is_suspended(self) -> bool:
        """Say whether somebody has suspended what applies it."""
        return any(one.is_suspended for one in self.targets)

    @property
    def is_synced(self) -> bool:
        """Say whether a sync is live."""
        return self.synced_by is not None and self.synced_by.is_live

    @property
    def ends_at(self) -> datetime | None:
        """Say when its TTL is over; None where it has none."""
        return self.place.lifetime.ends_at if self.place else None

    @property
    def idle_at(self) -> datetime | None:
        """Say when its idle limit is over; None where it has none, or is suspended already.

        Idle time begins with the last save, or with a later resume; without either, with its creation.
        """
        if self.place is None or self.is_suspended:
            return None
        last = self.summary.last.at if self.summary and self.summary.last else ""
        return self.place.lifetime.idle_at(self.created, last, *(one.resumed_at for one in self.targets))

    def is_expiring(self, now: datetime) -> bool:
        """Say whether less than a tenth of its TTL is left."""
        warns_at = self.place.lifetime.warns_at if self.place else None
        return warns_at is not None and warns_at <= now


class Phase(StrEnum):
    """Name the state of a session in one word.

    new: nothing was applied yet. live: everything that was applied is ready, and somebody syncs. expired: its
    TTL is over, and gc ends it. expiring: less than a tenth of its TTL is left.
    """

    INCOMPLETE = "incomplete"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    BROKEN = "broken"
    FAILED = "failed"
    EXPIRING = "expiring"
    NEW = "new"
    PROGRESSING = "progressing"
    LIVE = "live"
    APPLIED = "applied"


def reduce(state: SessionState, fact: Fact) -> SessionState:
    """Take in one fact. Total; what is older than what is known changes nothing."""
    if isinstance(fact, Envelope):
        record = fold(state.record or Record(), fact)
        return state if record is state.record else replace(state, record=record, summary=summarize(record))
    kind = _kind(fact)
    if 0 < fact.version < state.versions.get(kind, 0):
        return state
    return replace(_with(state, fact), versions={**state.versions, kind: fact.version})


def _kind(fact: Fact) -> str:
    """Identify the facts that replace each other."""
    return f"{type(fact).__name__} {fact.applier}" if isinstance(fact, ApplierSeen) else type(fact).__name__


def _with(state: SessionState, fact: Fact) -> SessionState:  # noqa: PLR0911 - one table
    match fact:
        case NamespaceSeen():
            return replace(
                state, name=fact.name, namespace_created=fact.created, pod_security=fact.pod_security
            )
        case SourceSeen():
            return replace(state, name=state.name or fact.name, source=fact.source, place=fact.place)
        case OwnerSeen():
            return replace(state, owner=fact.owner)
        case LeaseSeen():
            return replace(state, synced_by=fact.writer)
        case SummarySeen():
            return replace(state, summary=fact.summary)
        case RecordSeen():
            return replace(state, record=fact.record)
        case ApplierSeen():
            others = [one for one in state.targets if one.object != fact.applier]
            seen = () if fact.status is None else (_target(fact, fact.status),)
            targets = sorted((*others, *seen), key=lambda one: one.target)
            return replace(state, targets=tuple(targets))
    return state


def _target(fact: ApplierSeen, applier: ApplierStatus) -> TargetState:
    return TargetState(
        target=fact.target,
        object=fact.applier,
        applied=applier.applied,
        attempted=applier.attempted,
        is_suspended=applier.is_suspended,
        ready=applier.ready,
        reason=applier.reason,
        message=applier.message,
        objects=len(applier.inventory),
        helm=fact.helm,
        suspended_by=fact.suspension.by,
        suspended_reason=fact.suspension.reason,
        suspended_at=fact.suspension.at,
        resumed_at=fact.suspension.resumed_at,
    )


def phase(state: SessionState, now: datetime | None = None) -> Phase:  # noqa: PLR0911 - one table, the first that fits
    """Say in one word how a session fares: what needs a person comes first. now: None leaves TTL aside."""
    last = state.summary.last if state.summary else None
    outcome = last.outcome if last else None
    unhealthy = state.summary.first_unhealthy_state if state.summary else ""
    if state.is_incomplete:
        return Phase.INCOMPLETE
    if now and state.ends_at and now >= state.ends_at:
        return Phase.EXPIRED
    if state.is_suspended:
        return Phase.SUSPENDED
    if outcome is Outcome.BROKEN:
        return Phase.BROKEN
    if any(_has_failed(one) for one in state.targets) or unhealthy == "failed":
        return Phase.FAILED
    if now and state.is_expiring(now):
        return Phase.EXPIRING
    if state.is_new:
        return Phase.NEW
    if not any(one.applied for one in state.targets):
        return Phase.PROGRESSING
    if any(state.source and one.applied != state.source.revision for one in state.targets) or unhealthy:
        return Phase.PROGRESSING
    return Phase.LIVE if state.is_synced and last and last.is_healthy else Phase.APPLIED


def _has_failed(target: TargetState) -> bool:
    return target.ready == "False" and bool(target.attempted)


def without_claims(state: SessionState) -> SessionState:
    """Leave out what an owner says: for a namespace that is no session's, where anybody may say it."""
    return replace(state, summary=None, record=None)
