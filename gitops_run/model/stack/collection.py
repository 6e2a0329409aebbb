"""What gc finds in a cluster and a store, and what it does about that: pure, from what others list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from gitops_run.model.flux.requests import Request, Verb
from gitops_run.model.names import SessionName, cluster_binding_name
from gitops_run.model.session.limits import read_time
from gitops_run.model.session.tombstone import Tombstone
from gitops_run.model.stack.events import PendingObject, StackLock
from gitops_run.model.state.due import Action, due
from gitops_run.model.state.session_state import SessionState
from gitops_run.model.store.keys import MadeKeys

INCOMPLETE_FOR: Final = timedelta(hours=1)
"""A session without a Flux Bucket is being created or ended; after this, whoever did that has given up."""
_BUCKET: Final = re.compile(r"gitops-run-(?P<name>.+)-[0-9a-f]{8}(-reader|-writer)?")


class Kind(StrEnum):
    """Say what was found."""

    REQUESTED = "requested"
    EXPIRING = "expiring"
    IDLING = "idling"
    IDLE = "idle"
    EXPIRED = "expired"
    INCOMPLETE = "incomplete"
    ORPHAN = "orphan"
    BUCKET = "bucket"
    LOCK = "lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Say what was found, of which session, and what gc does about it, in words.

    state: of the session, None where it is gone. objects: what is left of it. lock: of its stack, here.
    stored: the name of its bucket or key in the store, which is_key.
    """

    kind: Kind
    session: str
    namespace: str
    reason: str
    action: str
    state: SessionState | None = field(default=None, compare=False, repr=False)
    objects: tuple[PendingObject, ...] = ()
    lock: StackLock | None = None
    stored: str = ""
    is_key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Hold what was listed: every session, each object with a session's label by that label, the tombstones.

    stored: the names of buckets and keys in the store, as far as they are known. uid: the cluster's.
    """

    uid: str
    states: Sequence[SessionState]
    labelled: Mapping[str, Sequence[PendingObject]] = field(default_factory=dict)
    tombstones: Sequence[Tombstone] = ()
    stored: Sequence[str] = ()
    locks: Sequence[tuple[str, StackLock]] = ()


_DUE: Final = {
    Action.WARN: (Kind.EXPIRING, "warn of it in its record"),
    Action.WARN_IDLE: (Kind.IDLING, "warn of it in its record"),
    Action.SUSPEND: (Kind.IDLE, "suspend it"),
    Action.END: (Kind.EXPIRED, "end it"),
}


def collect(listing: Listing, now: datetime) -> tuple[Finding, ...]:
    """Find what is asked for, what is due, what is incomplete, and what nobody owns any more.

    Requests come first: one to extend or to resume makes what is due out of date.
    """
    return (
        *_requested(listing),
        *_due(listing, now),
        *_incomplete(listing, now),
        *_orphans(listing),
        *_stored(listing),
        *_locks(listing),
    )


def pending(state: SessionState) -> Request | None:
    """Find a request that the collector is to carry out: of a session that nobody syncs, or for its end.

    None where there is none, and where the session's record has its answer.
    """
    request = state.source.request if state.source else None
    if request is None or (state.is_synced and request.verb != Verb.END):
        return None
    answers = state.record.answers if state.record else ()
    newest = state.summary.answer if state.summary else None
    known = {answer.request for answer in (*answers, *((newest,) if newest else ()))}
    return None if request.id in known else request


def _requested(listing: Listing) -> Iterable[Finding]:
    for state in listing.states:
        if (request := pending(state)) is not None:
            action = "end it" if request.verb == Verb.END else "carry it out, or answer why not"
            yield _of(state, Kind.REQUESTED, str(request), action)


def _due(listing: Listing, now: datetime) -> Iterable[Finding]:
    for state in listing.states:
        for one in due(state, now):
            kind, action = _DUE[one.action]
            yield _of(state, kind, one.reason, action)


def _incomplete(listing: Listing, now: datetime) -> Iterable[Finding]:
    """Find sessions whose up or down has ended during its work; one that gc was ending is ended at once."""
    ended = {stone.namespace: stone for stone in listing.tombstones}
    for state in listing.states:
        if not state.is_incomplete:
            continue
        created = read_time(state.namespace_created)
        if (stone := ended.get(state.namespace)) is not None:
            yield _of(state, Kind.INCOMPLETE, str(stone), "end it")
        elif created is not None and now - created >= INCOMPLETE_FOR:
            why = "an up or a down was interrupted: it has no Flux Bucket"
            yield _of(state, Kind.INCOMPLETE, why, "end it")


def _orphans(listing: Listing) -> Iterable[Finding]:
    known = {(state.namespace, state.name) for state in listing.states}
    bindings = {("", cluster_binding_name(state.namespace)) for state in listing.states}
    left: dict[tuple[str, str], list[PendingObject]] = {}
    for session, objects in listing.labelled.items():
        for one in objects:
            if (one.namespace, session) not in known and (one.namespace, one.name) not in bindings:
                left.setdefault((one.namespace, session), []).append(one)
    for (namespace, session), found in sorted(left.items()):
        named = ", ".join(f"{one.kind} {one.name}" for one in found)
        yield Finding(
            kind=Kind.ORPHAN,
            session=session,
            namespace=namespace,
            reason=f"the session of their label is gone: {named}",
            action="remove them",
            objects=tuple(found),
        )


def _stored(listing: Listing) -> Iterable[Finding]:
    """Find buckets and keys of this cluster's sessions that are gone. Their names contain the cluster."""
    known = {state.name for state in listing.states}
    for stored in listing.stored:
        match = _BUCKET.fullmatch(stored)
        if match is None or match["name"] in known:
            continue
        bucket = SessionName(match["name"]).bucket(listing.uid)
        is_key = stored in MadeKeys.of(bucket).both
        if is_key or stored == bucket:
            what = "key" if is_key else "bucket"
            yield Finding(
                kind=Kind.BUCKET,
                session=match["name"],
                namespace="",
                reason=f"{what} {stored} is left of a session that is gone",
                action="remove it" if is_key else "empty and remove it",
                stored=stored,
                is_key=is_key,
            )


def _locks(listing: Listing) -> Iterable[Finding]:
    for session, lock in listing.locks:
        yield Finding(
            kind=Kind.LOCK,
            session=session,
            namespace="",
            reason=f"process {lock.pid}, which locked the stack at {lock.since}, has ended",
            action="remove the lock",
            lock=lock,
        )


def _of(state: SessionState, kind: Kind, reason: str, action: str) -> Finding:
    return Finding(
        kind=kind,
        session=state.name,
        namespace=state.namespace,
        reason=reason,
        action=action,
        state=state,
    )
