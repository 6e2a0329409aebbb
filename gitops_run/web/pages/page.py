"""What every page has in common: the head, the bar on top, the notice, the state of the stream."""

from __future__ import annotations

from htpy import (
    Node,
    Renderable,
    a,
    body,
    button,
    div,
    form,
    h1,
    head,
    header,
    html,
    input,  # noqa: A004 - HTML's name
    link,
    main,
    meta,
    nav,
    p,
    script,
    span,
    title,
)

from gitops_run.web.pages.keys import help_dialog
from gitops_run.web.pages.shapes import icon, sprite
from gitops_run.web.pages.view import Message, Notice, ViewerView
from gitops_run.web.pages.words import command

NAME = "gitops-run"


def page(viewer: ViewerView | None, name: str, content: Node, *, kind: str = "", topic: str = "") -> str:
    """Write a whole page. kind: of its keys, "sessions", "session" or "". topic: what it follows, or ""."""
    whole = html(lang="en")[
        head[
            meta(charset="utf-8"),
            meta(name="viewport", content="width=device-width, initial-scale=1"),
            meta(name="color-scheme", content="light dark"),
            title[f"{name} · {NAME}"],
            link(rel="icon", href="/static/icon.svg", type="image/svg+xml"),
            link(rel="stylesheet", href="/static/app.css"),
            script(src="/static/idiomorph.min.js", defer=True),
            script(src="/static/app.js", type="module"),
        ],
        body(
            data_page=kind,
            data_topic=topic or None,
            data_user=viewer.user if viewer else None,
        )[
            a("#skip", href="#main")["Skip to the content"],
            sprite(),
            _bar(viewer, kind),
            div("#cut", role="status", hidden=True),
            main("#main", tabindex="-1")[content],
            div("#said", role="status"),
            help_dialog(),
        ],
    ]
    return str(whole)


def _bar(viewer: ViewerView | None, kind: str) -> Renderable:
    if viewer is None:
        return header(".bar")[span(".brand")[NAME]]
    here = {"sessions": "/", "platform": "/platform", "me": "/me"}.get(kind, "")
    return header(".bar")[
        a(".brand", href="/")[NAME],
        nav(aria_label="Main")[
            _way("/", "Sessions", "sessions", here),
            _way("/platform", "Platform", "platform", here),
        ],
        span("#stream", data_state="static")[icon("live"), span["live"]],
        viewer.context and span(".context", title="The cluster's context")[viewer.context],
        _way("/me", viewer.user or "unknown user", "me", here),
        button(".quiet", type="button", data_do="help", commandfor="keys", command="show-modal")["Keys"],
    ]


def _way(href: str, words: str, does: str, here: str) -> Renderable:
    return a(href=href, data_do=does, aria_current="page" if here == href else None)[words]


def notice(one: Notice, heading: Renderable | None = None) -> Renderable:
    """Write why there is nothing to show, and the next step."""
    return div(".notice", data_kind=one.kind.value)[
        icon(_NOTICE_SHAPES[one.kind.value]),
        heading or h1[one.title],
        p[one.explanation],
        one.next_step and p(".next")[one.next_step],
        one.command and p[command(one.command)],
    ]


_NOTICE_SHAPES = {
    "loading": "progressing",
    "empty": "new",
    "not_allowed": "expired",
    "gone": "expired",
    "cut_off": "incomplete",
    "failed": "failed",
}


def message(one: Message | None) -> Renderable | None:
    """Write what came of an action."""
    if one is None:
        return None
    return div(".message", role="alert" if one.is_error else "status", data_error=one.is_error)[
        icon("failed" if one.is_error else "applied"),
        p[one.text, one.hint and span(".hint")[one.hint]],
    ]


def csrf(viewer: ViewerView) -> Renderable:
    """Write the field that shows that a form is this login's."""
    return input(type="hidden", name="csrf", value=viewer.csrf)


def post(action: str, viewer: ViewerView, *content: Node) -> Renderable:
    """Write a form that changes something."""
    return form(method="post", action=action)[csrf(viewer), content]
