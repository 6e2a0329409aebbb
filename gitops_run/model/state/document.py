"""A session as programs read it: what `list -o json` and `status -o json` print.

The schema only grows: a field may be added, but none is removed or changes its meaning. docs/schema.json has
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import msgspec

from gitops_run.model.flux.conditions import SourceStatus
from gitops_run.model.flux.helm_release import HelmValues
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.state.details import ClusterEvent, Condition, SessionDetails
from gitops_run.model.state.due import TimeLeft, time_left
from gitops_run.model.state.record import Record
from gitops_run.model.state.saves import Outcome, SaveRecord
from gitops_run.model.state.session_state import Phase, SessionState, TargetState, Writer, phase
from gitops_run.model.state.summary import Summary
from gitops_run.model.state.timings import SLOW_MS, Step, percentile, steps

DOCUMENT_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSave:
    """Hold the last save that was applied, step by step. paths: how many files it touched."""

    number: int
    revision: str
    paths: int
    times_ms: Mapping[str, int]
    took_ms: int
    is_slow: bool
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Hold how long applied saves took."""

    saves: int
    p50_ms: int
    p95_ms: int
    last: LastSave | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDocument:
    """Hold a session. summary and record are its owner's claims, the rest is the cluster's.

    target, applier, helm: of the first of targets. writer: who syncs or did, as the Lease has it; synced_by
    has more. record, timings, inventory, conditions and events: of `status` alone. time: None where the
    session has no limit. isolation: namespace or cluster; "" for a session of an earlier version, whose
    namespace has no bounds. pod_security: the level that is enforced on its pods.
    is_gone: of `list --watch` alone: the session has ended.
    """

    v: int
    name: str
    namespace: str
    phase: Phase
    owner: str
    is_owner_claimed: bool
    root: str
    target: str
    created: str
    store: str
    is_incomplete: bool
    source: SourceStatus | None
    targets: tuple[TargetState, ...]
    applier: TargetState | None
    helm: HelmValues | None
    writer: str
    synced_by: Writer | None
    undone_to: str
    summary: Summary | None
    record: Record | None
    timings: Timings | None
    time: TimeLeft | None
    isolation: str = ""
    is_gone: bool = False
    pod_security: str = ""
    inventory: tuple[ObjectRef, ...] = ()
    conditions: tuple[Condition, ...] = ()
    events: tuple[ClusterEvent, ...] = ()


def to_document(
    state: SessionState, now: datetime, details: SessionDetails | None = None, *, is_gone: bool = False
) -> dict[str, Any]:
    """Write a session as JSON, as it is now. is_gone: it was as the state says before it ended."""
    more = details or SessionDetails()
    whole = replace(
        _document(state, now),
        is_gone=is_gone,
        inventory=more.inventory,
        conditions=more.conditions,
        events=more.events,
    )
    document: dict[str, Any] = msgspec.to_builtins(whole)
    return document


def _document(state: SessionState, now: datetime) -> SessionDocument:
    place, first = state.place, next(iter(state.targets), None)
    return SessionDocument(
        v=DOCUMENT_VERSION,
        name=state.name,
        namespace=state.namespace,
        phase=phase(state, now),
        owner=state.known_owner,
        is_owner_claimed=state.is_owner_claimed,
        root=place.root if place else "",
        target=next(iter(place.targets), "") if place else "",
        created=state.created,
        store=place.store if place else "",
        is_incomplete=state.is_incomplete,
        source=state.source,
        targets=state.targets,
        applier=first,
        helm=first.helm if first else None,
        writer=state.synced_by.holder if state.synced_by else "",
        synced_by=state.synced_by,
        undone_to=state.summary.undone_to if state.summary else "",
        summary=state.summary,
        record=state.record,
        timings=_timings(state.record) if state.record else None,
        time=time_left(state, now),
        isolation=place.isolation if place else "",
        pod_security=state.pod_security,
    )


def last_applied(record: Record) -> SaveRecord | None:
    """Find the newest save that was applied."""
    return next((one for one in reversed(record.saves) if one.outcome is Outcome.APPLIED), None)


def _timings(record: Record) -> Timings:
    last = last_applied(record)
    return Timings(
        saves=len(record.recent_ms),
        p50_ms=percentile(record.recent_ms, 50),
        p95_ms=percentile(record.recent_ms, 95),
        last=_last(last) if last else None,
    )


def _last(save: SaveRecord) -> LastSave:
    return LastSave(
        number=save.number,
        revision=save.revision,
        paths=save.file_count,
        times_ms=save.times_ms,
        took_ms=save.took_ms,
        is_slow=save.took_ms > SLOW_MS,
        steps=steps(save.times_ms),
    )
