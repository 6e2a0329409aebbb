"""Which sessions a viewer has chosen, in which order and groups. The script does the same with rows."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from gitops_run.model.state.session_state import Phase, SessionState, phase
from gitops_run.web.pages.view import SessionsQuery

RANKS: Final = (
    Phase.FAILED,
    Phase.BROKEN,
    Phase.INCOMPLETE,
    Phase.EXPIRED,
    Phase.EXPIRING,
    Phase.PROGRESSING,
    Phase.LIVE,
    Phase.APPLIED,
    Phase.NEW,
    Phase.SUSPENDED,
)
"""What needs a person comes first."""
GROUPS: Final = ("owner", "state", "namespace", "target", "bucket")
SORTS: Final = ("state", "name", "owner", "target", "saved", "left", "bucket")
DEFAULT_SORT: Final = "state"
_LAST: Final = "~"
"""After every time."""


def to_query(pairs: Iterable[tuple[str, str]]) -> SessionsQuery:
    """Read what a viewer has chosen from a URL. What is repeated there counts as it is last written."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    last = {name: values[-1] for name, values in found.items()}
    return SessionsQuery(
        q=last.get("q", ""),
        states=tuple(found.get("state", ())),
        owner=last.get("owner", ""),
        namespace=last.get("ns", ""),
        sort=last.get("sort", ""),
        group=last.get("group", ""),
        is_whole="all" in last,
    )


def targets_of(state: SessionState) -> str:
    """Write what is applied, as it stands in a row."""
    return ", ".join(state.place.targets) if state.place else ""


def field_of(state: SessionState, name: str, now: datetime) -> str:  # noqa: PLR0911 - one table
    """Write one field as it is sorted and grouped by. Times sort as text, in RFC 3339."""
    match name:
        case "state":
            return phase(state, now).value
        case "namespace":
            return state.namespace
        case "owner":
            return state.known_owner
        case "target":
            return targets_of(state)
        case "bucket":
            return state.place.store if state.place else ""
        case "saved":
            return state.summary.last.at if state.summary and state.summary.last else ""
        case "left":
            return state.ends_at.strftime("%Y-%m-%dT%H:%M:%SZ") if state.ends_at else _LAST
    return state.name


def ordered(states: Iterable[SessionState], sort: str, now: datetime) -> list[SessionState]:
    """Sort sessions by a column; those that are alike by name. Newest saves come first."""
    name = sort.removeprefix("-")
    name = name if name in SORTS else DEFAULT_SORT
    by_name = sorted(states, key=lambda one: (one.name.lower(), one.namespace))
    key: Callable[[SessionState], tuple[int, str]] = lambda one: _key(field_of(one, name, now), name)  # noqa: E731
    return sorted(by_name, key=key, reverse=sort.startswith("-") != (name == "saved"))


def _key(value: str, name: str) -> tuple[int, str]:
    return (RANKS.index(Phase(value)), "") if name == "state" else (0, value.lower())


def is_chosen(
    state: SessionState,
    query: SessionsQuery,
    viewer: str,
    now: datetime,
    row: Callable[[SessionState, datetime], str],
) -> bool:
    """Say whether a session is among those that the viewer has chosen. row: writes it; that is searched."""
    owner = viewer if query.owner == "mine" else query.owner
    return (
        (not query.states or phase(state, now).value in query.states)
        and (not owner or state.known_owner == owner)
        and (not query.namespace or state.namespace == query.namespace)
        and (not query.q or matches(row(state, now), query.q))
    )


def matches(row: str, q: str) -> bool:
    """Search a row's text for all words; "!word" must not occur."""
    words = q.lower().split()
    if not words:
        return True
    text = html.unescape(re.sub(r"<[^>]*>", " ", row)).lower()
    return all(word[1:] not in text if word[:1] == "!" and word[1:] else word in text for word in words)


def grouped(
    states: Sequence[SessionState], group: str, now: datetime
) -> list[tuple[str, list[SessionState]]]:
    """Divide sorted sessions into groups by a field, in the order of its values."""
    if group not in GROUPS:
        return [("", list(states))]
    found: dict[str, list[SessionState]] = {}
    for state in states:
        found.setdefault(field_of(state, group, now), []).append(state)
    return sorted(found.items(), key=lambda one: _key(one[0], group))
