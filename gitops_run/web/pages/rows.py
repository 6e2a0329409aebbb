"""One session as a row: the same for every viewer, so that it is made once and sent to all.

The element's text is all that a search looks at. Sizes matter here: 500 rows are sent as one page.
"""

from __future__ import annotations

from datetime import datetime

from htpy import Node, Renderable, a, div, fragment, i, input, small, span  # noqa: A004 - HTML's name

from gitops_run.model.state.due import time_left
from gitops_run.model.state.history import short
from gitops_run.model.state.reasons import health_of, isolation_of
from gitops_run.model.state.saves import Outcome
from gitops_run.model.state.session_state import Phase, SessionState, phase
from gitops_run.model.text.amounts import duration
from gitops_run.web.pages.charts import sparkline
from gitops_run.web.pages.ordering import targets_of
from gitops_run.web.pages.shapes import icon
from gitops_run.web.pages.words import age, copied, left, session_url

HEADS = (
    ("state", "State"),
    ("name", "Session"),
    ("owner", "Owner, synced by"),
    ("target", "Target, branch"),
    ("saved", "Last save"),
    ("", "Health"),
    ("left", "Time left"),
    ("bucket", "Bucket, isolation"),
)
"""The columns: by what each is sorted, and its words."""


def row_id(state: SessionState) -> str:
    """Name a session's row: the element's id, and what `gone` lists in the stream."""
    return f"row-{state.namespace}_{state.name}"  # no namespace has a "_": "a-b" and "c" is not "a" and "b-c"


def session_row(state: SessionState, now: datetime) -> str:
    """Write one row, with nothing about the viewer in it."""
    word = phase(state, now).value
    return str(
        div(role="row", id=row_id(state), data_s=word)[
            div(role="cell")[
                input(
                    type="checkbox",
                    name="session",
                    value=f"{state.namespace}/{state.name}",
                    form="bulk",
                    aria_label=f"Select {state.name}",
                ),
            ],
            div(".state", role="cell")[icon(word), word],
            div(role="rowheader")[
                a(href=session_url(state.namespace, state.name))[state.name], small[state.namespace]
            ],
            div(role="cell")[span[_owner(state)], small[_synced_by(state)]],
            div(role="cell")[span[targets_of(state)], small[branch(state)]],
            div(".save", role="cell")[_last_save(state, now)],
            div(role="cell")[_health(state, Phase(word))],
            div(role="cell")[_left(state, now)],
            div(role="cell")[span[state.place.store if state.place else ""], small[isolation_of(state)]],
        ]
    )


def _owner(state: SessionState) -> str:
    return state.known_owner


def _synced_by(state: SessionState) -> Node:
    writer = state.synced_by
    if writer is not None and writer.is_live:
        return i[writer.person]
    return "nobody syncs"


def branch(state: SessionState) -> str:
    """Write the git branch of the files; ± stands for changes that aren't committed."""
    summary = state.summary
    return f"{summary.branch}{' ±' if summary.is_dirty else ''}" if summary else ""


def _last_save(state: SessionState, now: datetime) -> Node:
    summary, revision = state.summary, state.source.revision if state.source else ""
    last = summary.last if summary else None
    if last is None:
        return span["no save yet"]
    took = duration(last.took_ms) if last.outcome is Outcome.APPLIED else last.outcome.value
    return fragment[
        span[age(last.at, now), " ago · ", took],
        sparkline(summary.recent_ms) if summary else None,
        copied(short(revision)) if revision else None,
    ]


def _health(state: SessionState, word: Phase) -> Node:
    last = state.summary.last if state.summary else None
    objects = sum(one.objects for one in state.targets)
    why = last.problem if word is Phase.BROKEN and last else health_of(state)
    return [span[why], small[f"{objects:,} objects" if objects != 1 else "1 object"]]


def _left(state: SessionState, now: datetime) -> list[Renderable | None]:
    time = time_left(state, now)
    if time is None:
        return [small["no limit"]]
    ends, idle = state.ends_at, state.idle_at
    return [
        left(ends, time.expires, now) if ends else small["no TTL"],
        small["idle limit ", left(idle, time.idle_until, now, is_brief=True)] if idle else None,
    ]
