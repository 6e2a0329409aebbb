"""The page of one session: header, actions and tabs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from htpy import Node, Renderable, a, dd, div, dl, dt, h1, nav, section, span

from gitops_run.model.state.due import time_left
from gitops_run.model.state.session_state import SessionState, phase
from gitops_run.web.pages import actions, logs, objects, saves, why
from gitops_run.web.pages.others import access_panel
from gitops_run.web.pages.page import message, notice, page
from gitops_run.web.pages.rows import branch
from gitops_run.web.pages.shapes import icon
from gitops_run.web.pages.view import SessionView, Tab, ViewerView
from gitops_run.web.pages.words import age, left, revision, session_url

TITLES: Final[Mapping[Tab, str]] = {
    Tab.SAVES: "Saves",
    Tab.OBJECTS: "Objects",
    Tab.LOGS: "Logs",
    Tab.WHY: "Why",
    Tab.ACCESS: "Access",
}


def session_page(viewer: ViewerView, view: SessionView, tab: Tab, now: datetime) -> str:
    """Write the whole page."""
    state = view.state
    content = [
        message(view.message),
        head(view, now),
        nav(".tabs", aria_label="Tabs")[
            (
                a(
                    href=f"{session_url(state.namespace, state.name)}?tab={one.value}",
                    data_do=one.value,
                    aria_current="page" if one is tab else None,
                )[TITLES[one]]
                for one in Tab
            )
        ],
        panel(view, tab, now),
        actions.dialogs(viewer, view),
    ]
    topic = f"{state.namespace}/{state.name}/{tab.value}"
    return page(viewer, state.name, content, kind="session", topic=topic)


def session_parts(view: SessionView, tab: Tab, now: datetime) -> Mapping[str, str]:
    """Write the parts that change while the page is open, by their elements' ids.

    Logs have a stream of their own, and their panel stays as it is.
    """
    parts = {"head": str(head(view, now)), "kept": str(actions.kept(view))}
    return parts if tab is Tab.LOGS else {**parts, "panel": str(panel(view, tab, now))}


def head(view: SessionView, now: datetime) -> Renderable:
    """Write what a session is: the same facts as in its row, and what can be done."""
    state = view.state
    word = phase(state, now).value
    return div("#head")[
        div(".title")[
            h1[state.name],
            span(".state.badge", data_s=word)[icon(word), word],
            span(".context", title="Namespace")[state.namespace],
        ],
        actions.buttons(view),
        dl(".facts")[[_fact(words, value) for words, value in _facts(state, now) if value]],
    ]


def _fact(words: str, value: Node) -> Renderable:
    return div[dt[words], dd[value]]


def _facts(state: SessionState, now: datetime) -> list[tuple[str, Node]]:
    place, source, writer = state.place, state.source, state.synced_by
    claimed = " (claimed)" if state.is_owner_claimed and state.known_owner else ""
    return [
        ("Owner", f"{state.known_owner}{claimed}" if state.known_owner else span(".none")["unknown"]),
        ("Synced by", writer.person if writer and writer.is_live else span(".none")["nobody"]),
        ("Target", f"{place.root}/{', '.join(place.targets)}" if place else ""),
        ("Branch", branch(state)),
        ("Revision", revision(source.revision if source else "")),
        ("Objects", f"{sum(one.objects for one in state.targets):,}"),
        ("Time left", _left(state, now)),
        ("Bucket", place.store if place else ""),
        ("Isolation", f"Pod Security {state.pod_security}" if state.pod_security else ""),
        ("Created", [age(state.created, now), " ago"] if state.created else ""),
    ]


def _left(state: SessionState, now: datetime) -> Node:
    time = time_left(state, now)
    if time is None:
        return "no limit"
    ends, idle = state.ends_at, state.idle_at
    return [
        left(ends, time.expires, now) if ends else "no TTL",
        [", idle in ", left(idle, time.idle_until, now)] if idle else "",
    ]


def panel(view: SessionView, tab: Tab, now: datetime) -> Renderable:
    """Write the content of a tab, or why it has none."""
    why_none = view.notices.get(tab)
    return section("#panel", aria_label=TITLES[tab], data_tab=tab.value)[
        notice(why_none) if why_none else _content(view, tab, now)
    ]


def _content(view: SessionView, tab: Tab, now: datetime) -> Node:
    match tab:
        case Tab.SAVES:
            return saves.content(view, now)
        case Tab.OBJECTS:
            return objects.content(view, now)
        case Tab.LOGS:
            return logs.content(view)
        case Tab.WHY:
            return why.content(view, now)
    return access_panel(view.access)
