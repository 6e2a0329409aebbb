"""The page of all sessions: counts that filter, and a grid with one row for each session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from htpy import div, span

from gitops_run.model.state.session_state import SessionState, phase
from gitops_run.web.pages.view import SessionsQuery, ViewerView


def row_id(state: SessionState) -> str:
    """Name a session's row: the element's id, and what `gone` lists in the stream."""
    return f"row-{state.namespace}-{state.name}"


def sessions_page(
    viewer: ViewerView, states: Sequence[SessionState], now: datetime, query: SessionsQuery
) -> str:
    """Write the whole page. states: what this viewer may see, in any order."""
    return str(div[viewer.user, query.q, *(session_row(state, now) for state in states)])


def session_row(state: SessionState, now: datetime) -> str:
    """Write one row, with nothing about the viewer in it."""
    return str(div(id=row_id(state))[state.name, span[phase(state, now).value]])


def counts(states: Iterable[SessionState], now: datetime) -> str:
    """Write how many sessions are in which state: an element with the id "counts"."""
    found = Counter(phase(state, now).value for state in states)
    return str(div(id="counts")[(span[f"{name} {number}"] for name, number in found.items())])
