"""What `status` shows of one session in addition to its state: objects, conditions and the last events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gitops_run.model.objects.identity import ObjectRef, parse_inventory_id
from gitops_run.model.text.echoes import without_values
from gitops_run.model.text.problem import printable

EVENTS_MAX: Final = 10
_TEXT_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Hold a condition of one of the session's Flux objects. object: its kind and name. since: RFC 3339."""

    object: str
    type: str
    status: str
    reason: str
    message: str
    since: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterEvent:
    """Hold an event of the session's namespace. type: Normal or Warning. at: when it was last seen."""

    object: str
    type: str
    reason: str
    message: str
    at: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDetails:
    """Hold what is read of one session for a person who looks at it. events: oldest first."""

    inventory: tuple[ObjectRef, ...] = ()
    conditions: tuple[Condition, ...] = ()
    events: tuple[ClusterEvent, ...] = ()


def to_details(flux: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]]) -> SessionDetails:
    """Read Flux objects and events as the API server returns them. Text keeps nothing of a Secret."""
    every = tuple(live for live in flux if live)
    told = sorted((_event(live) for live in events), key=lambda event: event.at)
    return SessionDetails(
        inventory=tuple(ref for live in every for ref in _inventory(live)),
        conditions=tuple(one for live in every for one in _conditions(live)),
        events=tuple(told[-EVENTS_MAX:]),
    )


def _inventory(live: Mapping[str, Any]) -> Iterable[ObjectRef]:
    entries = ((live.get("status") or {}).get("inventory") or {}).get("entries") or ()
    for entry in entries:
        try:
            yield parse_inventory_id(entry["id"], entry.get("v", ""))
        except ValueError:
            continue  # written by a Flux that identifies objects in another way


def _conditions(live: Mapping[str, Any]) -> Iterable[Condition]:
    name = f"{live['kind']} {live['metadata']['name']}"
    for one in (live.get("status") or {}).get("conditions") or ():
        yield Condition(
            object=name,
            type=one.get("type", ""),
            status=one.get("status", ""),
            reason=one.get("reason", ""),
            message=_text(one.get("message")),
            since=one.get("lastTransitionTime") or "",
        )


def _event(live: Mapping[str, Any]) -> ClusterEvent:
    of, series = live.get("involvedObject") or {}, live.get("series") or {}
    seen = (series.get("lastObservedTime"), live.get("lastTimestamp"), live.get("eventTime"))
    return ClusterEvent(
        object=f"{of.get('kind', '')} {of.get('name', '')}",
        type=live.get("type") or "",
        reason=live.get("reason") or "",
        message=_text(live.get("message")),
        at=next((one for one in seen if one), live["metadata"].get("creationTimestamp") or ""),
        count=int(series.get("count") or live.get("count") or 1),
    )


def _text(message: str | None) -> str:
    text = printable(without_values(message or "", is_any_secret=True))
    return text if len(text) <= _TEXT_MAX else f"{text[: _TEXT_MAX - 1]}…"
