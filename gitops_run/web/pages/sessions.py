"""The page of all sessions: counts that filter, and a grid with one row for each session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from htpy import (
    Renderable,
    a,
    button,
    div,
    form,
    h1,
    input,  # noqa: A004 - HTML's name
    label,
    noscript,
    option,
    p,
    select,
    span,
)
from markupsafe import Markup

from gitops_run.model.session.commands import completed
from gitops_run.model.state.session_state import Phase, SessionState, phase
from gitops_run.web.pages.actions import bulk_dialogs
from gitops_run.web.pages.ordering import (
    DEFAULT_SORT,
    GROUPS,
    RANKS,
    grouped,
    is_chosen,
    ordered,
)
from gitops_run.web.pages.page import csrf, notice, page
from gitops_run.web.pages.rows import HEADS, row_id, session_row
from gitops_run.web.pages.shapes import icon
from gitops_run.web.pages.view import Notice, NoticeKind, SessionsQuery, ViewerView

__all__ = ["counts", "row_id", "session_row", "sessions_page"]

ROWS_FIRST: Final = 80
"""More than a screen holds. The stream brings the others, so that the first paint doesn't wait for them."""
_RARE: Final = (Phase.NEW, Phase.INCOMPLETE)
"""States that are counted only where a session has one of them."""
NO_SESSIONS: Final = Notice(
    kind=NoticeKind.EMPTY,
    title="There are no sessions here yet",
    explanation="A session applies the files of a folder to the cluster with every save.",
    next_step="Start the first one from a folder with manifests:",
    command="gitops-run up NAME PATH",
)


def _no_sessions(viewer: ViewerView) -> Notice:
    return replace(NO_SESSIONS, command=completed(NO_SESSIONS.command, viewer.place))


def sessions_page(
    viewer: ViewerView,
    states: Sequence[SessionState],
    now: datetime,
    query: SessionsQuery,
    row: Callable[[SessionState, datetime], str] = session_row,
) -> str:
    """Write the whole page. states: what this viewer may see, in any order. row: may keep what it made."""
    rows = _rows(viewer, states, now, query, row)
    content = [
        h1(".unseen")["Sessions"],
        _tools(states, now, query),
        _grid(rows, query),
        noscript[p(".hint")[a(href="/?all=1")["Show all sessions"]]] if len(states) > len(rows) else None,
        div("#empty", hidden=bool(states))[notice(_no_sessions(viewer))],
        div("#no-match", hidden=bool(rows) or not states)[
            span["No session matches."], button(type="button", data_do="clear")["Show all sessions"]
        ],
        _bulk(viewer),
        bulk_dialogs(viewer),
    ]
    return page(viewer, "Sessions", content, kind="sessions", topic="rows")


def counts(states: Iterable[SessionState], now: datetime, chosen: Iterable[str] = ()) -> str:
    """Write how many sessions are in which state, as filters: an element with the id "counts"."""
    found = Counter(phase(state, now) for state in states)
    return str(
        div("#counts", role="group", aria_label="Show only sessions that are")[
            (
                label(".count", data_s=one.value, data_none=not found[one])[
                    input(
                        type="checkbox",
                        name="state",
                        value=one.value,
                        form="filters",
                        checked=one.value in chosen,
                    ),
                    icon(one.value),
                    span[one.value],
                    span(".number")[str(found[one])],
                ]
                for one in RANKS
                if found[one] or one not in _RARE
            )
        ]
    )


def _tools(states: Sequence[SessionState], now: datetime, query: SessionsQuery) -> Renderable:
    owners = sorted({one.known_owner for one in states if one.known_owner})
    namespaces = sorted({one.namespace for one in states})
    return div(".tools")[
        Markup(counts(states, now, query.states)),  # noqa: S704 - made here, and escaped there
        form("#filters", method="get", action="/", role="search")[
            label(".search")[
                icon("search"),
                input(
                    type="search",
                    name="q",
                    value=query.q,
                    placeholder="Search, !word excludes",
                    aria_label="Search the sessions",
                    data_do="search",
                    autocomplete="off",
                    spellcheck="false",
                ),
            ],
            _choice("owner", "Owner", [("", "Everybody"), ("mine", "Mine"), *_same(owners)], query.owner),
            _choice("ns", "Namespace", [("", "All"), *_same(namespaces)], query.namespace),
            _choice("group", "Group by", [("", "Nothing"), *_same(GROUPS)], query.group),
            input(type="hidden", name="sort", value=query.sort),
            button(".quiet", type="button", data_do="clear", hidden=True)["Clear"],
            button("#moved", type="button", hidden=True),
        ],
    ]


def _same(words: Iterable[str]) -> list[tuple[str, str]]:
    return [(word, word) for word in words]


def _choice(name: str, words: str, choices: Sequence[tuple[str, str]], chosen: str) -> Renderable:
    known = chosen in {value for value, _ in choices}
    more = [] if known else [(chosen, chosen)]
    return label(".choice")[
        span[words],
        select(name=name)[
            (option(value=value, selected=value == chosen)[text] for value, text in [*choices, *more])
        ],
    ]


def _rows(
    viewer: ViewerView,
    states: Sequence[SessionState],
    now: datetime,
    query: SessionsQuery,
    row: Callable[[SessionState, datetime], str],
) -> list[Renderable | Markup]:
    """Write the rows that are seen first; the stream brings the others."""
    found: list[Renderable | Markup] = []
    left = len(states) if query.is_whole else ROWS_FIRST
    for value, members in grouped(ordered(states, query.sort, now), query.group, now):
        shown = [one for one in members if is_chosen(one, query, viewer.user, now, row)]
        if query.group and shown and left > 0:
            found.append(group_row(value, len(shown)))
        found += [Markup(row(one, now)) for one in shown[: max(left, 0)]]  # noqa: S704 - made by session_row
        left -= len(shown)
    return found


def group_row(value: str, number: int) -> Renderable:
    """Write the heading of a group."""
    return div(".group", role="row", data_group=value)[
        div(role="cell")[span[value or "none"], span(".number")[str(number)]]
    ]


def _grid(rows: Sequence[Renderable | Markup], query: SessionsQuery) -> Renderable:
    sort = query.sort or DEFAULT_SORT
    return div("#sessions", role="table", aria_label="Sessions", data_ranks=" ".join(RANKS))[
        div(role="rowgroup")[
            div(".heads", role="row")[
                div(role="columnheader")[
                    input("#all", type="checkbox", aria_label="Select all that are shown"),
                ],
                (_head(name, words, sort) for name, words in HEADS),
            ]
        ],
        div("#rows", role="rowgroup")[rows],
    ]


def _head(name: str, words: str, sort: str) -> Renderable:
    if not name:
        return div(role="columnheader")[words]
    order = {name: "ascending", f"-{name}": "descending"}.get(sort)
    return div(role="columnheader", aria_sort=order)[
        button(type="submit", form="filters", name="sort", value=name, data_sort=name)[words]
    ]


def _bulk(viewer: ViewerView) -> Renderable:
    """Write the bar with what is done to all selected sessions."""
    return form(
        "#bulk", method="post", action="/bulk", aria_label="Actions on the selected sessions", hidden=True
    )[
        csrf(viewer),
        span("#selected", role="status"),
        button(type="submit", name="action", value="retry", data_do="retry")["Retry"],
        button(type="button", data_do="pause", commandfor="do-suspend", command="show-modal")["Suspend…"],
        button(type="submit", name="action", value="resume", data_do="resume")["Resume"],
        button(type="button", data_do="extend", commandfor="do-extend", command="show-modal")["Extend…"],
        button(".quiet", type="button", data_do="unselect")["Clear selection"],
    ]
