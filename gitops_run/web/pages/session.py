"""The page of one session: header, actions and tabs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from htpy import Node, Renderable, a, dd, div, dl, dt, h1, nav, section, span

from gitops_run.model.state.due import time_left
from gitops_run.model.state.reasons import isolation_of
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """Name what one session's page follows, as its stream does: "NAMESPACE/NAME/TAB"."""

    namespace: str
    name: str
    tab: Tab
    has_all_objects: bool = False

    @classmethod
    def of(cls, view: SessionView, tab: Tab) -> Topic:
        """Name what this page follows."""
        has_all = tab is Tab.OBJECTS and view.has_all_objects
        return cls(namespace=view.state.namespace, name=view.state.name, tab=tab, has_all_objects=has_all)

    @classmethod
    def parse(cls, text: str) -> Topic | None:
        """Read a topic; None where it is none."""
        match text.split("/"):
            case [namespace, name, tab, *more] if tab in set(Tab) and more in ([], ["all"]):
                return cls(namespace=namespace, name=name, tab=Tab(tab), has_all_objects=bool(more))
        return None

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}/{self.tab}{'/all' if self.has_all_objects else ''}"


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
    return page(viewer, state.name, content, kind="session", topic=str(Topic.of(view, tab)))


def session_parts(view: SessionView, tab: Tab, now: datetime) -> Mapping[str, str]:
    """Write the parts that change while the page is open, by their elements' ids.

    Log lines have a stream of their own. An object that is opened stays as it was read.
    """
    parts = {"head": str(head(view, now)), "kept": str(actions.kept(view))}
    if tab is Tab.LOGS and view.pods and tab not in view.notices:
        return {**parts, "log-pod": str(logs.pod_choice(view.pods))}
    if tab is Tab.OBJECTS and view.objects and tab not in view.notices:
        return {**parts, "tree": str(objects.tree(view, now))}
    return {**parts, "panel": str(panel(view, tab, now))}


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
        ("Isolation", isolation_of(state)),
        ("Created", [age(state.created, now), " ago"] if state.created else ""),
    ]


def _left(state: SessionState, now: datetime) -> Node:
    time = time_left(state, now)
    if time is None:
        return "no limit"
    ends, idle = state.ends_at, state.idle_at
    return [
        left(ends, time.expires, now) if ends else "no TTL",
        [", idle limit ", left(idle, time.idle_until, now, is_brief=True)] if idle else "",
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
