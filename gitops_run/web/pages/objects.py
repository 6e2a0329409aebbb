"""The tab Objects: source, applier, workloads and pods as a tree, what has failed first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from htpy import Node, Renderable, a, button, div, h2, h3, li, p, pre, small, span, ul

from gitops_run.model.state.details import ClusterEvent
from gitops_run.model.text.amounts import counted
from gitops_run.web.pages.page import notice
from gitops_run.web.pages.shapes import icon, shape_of
from gitops_run.web.pages.view import Notice, NoticeKind, ObjectNode, OpenedObject, SessionView
from gitops_run.web.pages.words import age, session_url

OBJECTS_MAX: Final = 200
_RANKS: Final[Mapping[str, int]] = {
    "failed": 0,
    "missing": 1,
    "terminating": 2,
    "progressing": 3,
    "suspended": 4,
}
_CALM: Final = 5
NO_OBJECTS: Final = Notice(
    kind=NoticeKind.EMPTY,
    title="No objects yet",
    explanation="Flux has applied nothing for this session.",
    next_step="Objects appear here with the first save that is applied.",
)


def content(view: SessionView, now: datetime) -> Node:
    """Write the tree, and next to it the object that is opened."""
    if not view.objects:
        return notice(NO_OBJECTS, h2[NO_OBJECTS.title])
    here = session_url(view.state.namespace, view.state.name)
    return div(".split", data_open=view.opened is not None)[
        tree(view, now), _opened(view.opened, here, now) if view.opened else None
    ]


def tree(view: SessionView, now: datetime) -> Renderable:
    """Write the objects, what has failed first: a part that changes while the page is open."""
    here = session_url(view.state.namespace, view.state.name)
    shown = tuple(failed_first(view.objects))
    if not view.has_all_objects:
        shown, _ = first(shown, OBJECTS_MAX)
    more = sum(1 for _ in _all(view.objects)) - sum(1 for _ in _all(shown))
    return div("#tree")[
        ul(".tree")[(_node(one, view.opened, here, now) for one in shown)],
        p[a(".button", href=f"{here}?tab=objects&all=1")[f"Show {counted(more, 'more object')}"]]
        if more > 0
        else None,
    ]


def _all(nodes: tuple[ObjectNode, ...]) -> Iterator[ObjectNode]:
    for one in nodes:
        yield one
        yield from _all(one.children)


def failed_first(nodes: tuple[ObjectNode, ...]) -> Iterator[ObjectNode]:
    """Sort objects, and what they own: what has failed, or owns what has, comes first."""
    for one in sorted(nodes, key=lambda node: (_worst(node), node.kind, node.name)):
        yield replace(one, children=tuple(failed_first(one.children)))


def _worst(node: ObjectNode) -> int:
    return min((_RANKS.get(one.status, _CALM) for one in _all((node,))), default=_CALM)


def first(nodes: tuple[ObjectNode, ...], most: int) -> tuple[tuple[ObjectNode, ...], int]:
    """Take the first objects of a tree, from above. Returns them, and how many more could be taken."""
    taken: list[ObjectNode] = []
    for one in nodes:
        if most <= 0:
            break
        children, most = first(one.children, most - 1)
        taken.append(replace(one, children=children))
    return tuple(taken), most


def _node(one: ObjectNode, opened: OpenedObject | None, here: str, now: datetime) -> Renderable:
    word = one.status or "unknown"
    is_opened = opened is not None and _identity(opened) == _identity(one)
    return li[
        div(".node", data_s=shape_of(one.status))[
            icon(shape_of(one.status)),
            a(href=f"{here}?{_query(one)}", aria_current="true" if is_opened else None)[
                small[one.kind], " ", span[one.name]
            ],
            span(".word")[word],
            span(".reason")[one.reason],
            span(".age")[age(one.created, now)] if one.created else None,
        ],
        ul[(_node(child, opened, here, now) for child in one.children)] if one.children else None,
    ]


def _identity(one: ObjectNode | OpenedObject) -> tuple[str, str, str, str]:
    return one.group, one.kind, one.namespace, one.name


def _query(one: ObjectNode) -> str:
    names = {
        "group": one.group,
        "version": one.version,
        "kind": one.kind,
        "in": one.namespace,
        "name": one.name,
    }
    return urlencode({"tab": "objects", **{key: value for key, value in names.items() if value}})


def _opened(one: OpenedObject, here: str, now: datetime) -> Renderable:
    return div("#opened")[
        div(".dialog-head")[
            h2[small[one.kind], " ", one.name],
            a(".button.quiet.square", href=f"{here}?tab=objects", aria_label="Close")[icon("close")],
        ],
        h3["Last events"],
        ul(".events")[(_event(event, now) for event in reversed(one.events))]
        if one.events
        else p(".none")["The cluster keeps no events of it; it forgets them after an hour."],
        div(".with-button")[
            h3["YAML"],
            one.yaml and button(".quiet", type="button", data_do="yaml", data_copy_from="yaml")["Copy"],
        ],
        notice(one.notice, h3[one.notice.title])
        if one.notice
        else pre("#yaml", tabindex="0", aria_label=f"YAML of {one.kind} {one.name}")[one.yaml],
    ]


def _event(event: ClusterEvent, now: datetime) -> Renderable:
    times = f" ({event.count} times)" if event.count > 1 else ""
    return li(data_type=event.type)[
        icon("broken" if event.type == "Warning" else "applied"),
        div[span(".object")[f"{event.reason}{times}"], " ", small[age(event.at, now)], p[event.message]],
    ]
