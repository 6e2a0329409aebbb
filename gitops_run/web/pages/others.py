"""The smaller pages: who am I, the platform, an end and its receipt, and why there is nothing to show."""

from __future__ import annotations

from datetime import datetime

from htpy import (
    Node,
    Renderable,
    a,
    button,
    code,
    div,
    h1,
    h2,
    input,  # noqa: A004 - HTML's name
    label,
    li,
    p,
    span,
    strong,
    table,
    tbody,
    td,
    th,
    thead,
    tr,
    ul,
)

from gitops_run.model.flux.requests import Verb
from gitops_run.model.platform.status import CollectorRun, ComponentStatus, PlatformStatus
from gitops_run.model.session.receipt import Receipt, ReceiptLine
from gitops_run.web.pages.actions import command_of
from gitops_run.web.pages.page import message, notice, page, post
from gitops_run.web.pages.shapes import icon
from gitops_run.web.pages.view import (
    AccessLine,
    EndView,
    Notice,
    NoticeKind,
    PlatformView,
    ReceiptView,
    ViewerView,
    WatchView,
)
from gitops_run.web.pages.words import age, command, session_url


def logged_in_page() -> str:
    """Write where a browser that has just logged in goes on to."""
    return page(None, "Logged in", [h1["You are logged in"], p[a(href="/")["All sessions"]]])


def me_page(viewer: ViewerView) -> str:
    """Write who the viewer is: user, groups, rights, logout."""
    content = [
        h1["You"],
        div(".cards")[
            _card("User", p(".big")[viewer.user or "unknown"], p(".none")["as the cluster knows you"]),
            _card("Groups", _items(viewer.groups, "The cluster names no groups.")),
            _card("Rights", _items(viewer.rights, "Your rights could not be read.")),
        ],
        post("/logout", viewer, button(type="submit")["Log out"]),
    ]
    return page(viewer, "You", content, kind="me")


def _card(words: str, *content: Node) -> Renderable:
    return div(".card")[h2[words], content]


def _items(items: tuple[str, ...], none: str) -> Renderable:
    return ul(".plain")[(li[one] for one in items)] if items else p(".none")[none]


def _table(heads: tuple[str, ...], rows: list[tuple[Node, ...]], words: str) -> Renderable:
    return div(".scroll", tabindex="0", role="region", aria_label=words)[
        table(".list")[
            thead[tr[(th(scope="col")[one] for one in heads)]],
            tbody[(tr[(td[cell] for cell in row)] for row in rows)],
        ]
    ]


def _mark(*, is_good: bool, words: str) -> Renderable:
    shape = "applied" if is_good else "failed"
    return span(".state", data_s=shape)[icon(shape), words]


def platform_page(viewer: ViewerView, view: PlatformView, now: datetime) -> str:
    """Write how Flux, its lockdown, the collector and the watches are."""
    run = view.collector
    content = [
        h1["Platform"],
        notice(view.notice, h2[view.notice.title]) if view.notice else None,
        _flux(view.status) if view.status else None,
        div(".cards")[
            _card(
                "Collector",
                p(".big")[
                    [age(run.succeeded, now), " ago"]
                    if run and run.succeeded
                    else "has never run, or you may not see it"
                ],
                p[
                    run.words
                    if run
                    else "It ends sessions whose TTL is over: gitops-run gc --apply, as a CronJob or in CI."
                ],
            ),
            _card("Open pages", p(".big")[f"{view.streams:,}"], p(".none")["streams of this server"]),
        ],
        _watches(view.watches, now) if view.watches else None,
    ]
    return page(viewer, "Platform", content, kind="platform")


def _flux(status: PlatformStatus) -> Node:
    return [
        div(".cards")[
            _card("Flux", p(".big")[status.flux_version or "no Flux"], p[status.flux]),
            _card("Made by", p(".big")[status.stack or "nobody"], p(".none")["the platform's stack"]),
            _card(
                "Guards",
                p[_mark(is_good=status.has_policy, words="admission policies")],
                (p[_mark(is_good=is_there, words=name)] for name, is_there in status.roles.items()),
            ),
        ],
        _table(
            ("Controller", "Ready", "Lockdown", "Image"),
            [_component(one) for one in status.components],
            "Flux's controllers",
        ),
        status.unread and p(".hint")["You may not read: ", ", ".join(status.unread)],
    ]


def _component(one: ComponentStatus) -> tuple[Node, ...]:
    missing = [name for name, has in one.lockdown.items() if not has]
    return (
        strong[one.name],
        _mark(is_good=one.is_ready, words=f"{one.ready} of {one.wanted}"),
        _mark(is_good=not missing, words=f"lacks {', '.join(missing)}" if missing else "locked down"),
        code[one.image],
    )


def _watches(watches: tuple[WatchView, ...], now: datetime) -> Node:
    return [
        h2["Watches of the API server"],
        _table(
            ("Kind", "Since", "Restarts", "State"),
            [
                (
                    strong[one.kind],
                    age(one.since, now) if one.since else "",
                    str(one.restarts),
                    _mark(
                        is_good=not one.hidden,
                        words=f"you lack the right to {one.hidden}" if one.hidden else "live",
                    ),
                )
                for one in watches
            ],
            "Watches",
        ),
    ]


def access_panel(lines: tuple[AccessLine, ...]) -> Node:
    """Write who may see a session and who may act on it."""
    if not lines:
        nobody = Notice(
            kind=NoticeKind.EMPTY,
            title="No access is listed",
            explanation="No RoleBinding of this session's namespace names anybody.",
            next_step="Whoever has rights in the whole cluster may see it nevertheless.",
        )
        return notice(nobody, h2[nobody.title])
    rows: list[tuple[Node, ...]] = [(strong[one.subject], one.may, code[one.through]) for one in lines]
    return [
        _table(("Who", "May", "Through"), rows, "Who may see and act"),
        p(".none")["Bindings to other roles of the whole cluster are not listed here."],
    ]


def end_page(viewer: ViewerView, view: EndView) -> str:
    """Write what an end deletes, with the form that takes the session's name."""
    state = view.state
    url = session_url(state.namespace, state.name)
    content = [
        message(view.message),
        h1[f"End {state.name}"],
        p(".lead")["This deletes everything that the session consists of. It can't be undone."],
        div(".cards")[
            _card("Deleted", _items(view.deleted, "Nothing of it was found.")),
            _card("Kept", _items(view.kept, "Nothing in the cluster or the store.")),
        ],
        view.carried_by and p(".hint")[f"Carried out by {view.carried_by}."],
        p(".why-not")[icon("expired"), view.missing_right]
        if view.missing_right
        else _end_form(viewer, view, f"{url}/end"),
        p[a(href=url)["Back to the session"]],
        p(".hint")[command(command_of(Verb.END, view.place, has_stack=view.has_stack))],
    ]
    return page(viewer, f"End {state.name}", content, kind="end")


def _end_form(viewer: ViewerView, view: EndView, url: str) -> Renderable:
    name = view.state.name
    return post(
        url,
        viewer,
        label(".field")[
            span["Type ", strong[name], " to end it"],
            input(name="name", required=True, autocomplete="off", spellcheck="false"),
        ],
        label(".field")[span["Reason (optional)"], input(name="reason", maxlength="200", autocomplete="off")],
        p[button(".danger", type="submit")[f"End {name}"]],
    )


def receipt_page(viewer: ViewerView, view: ReceiptView, now: datetime) -> str:
    """Write what an end has left behind, or who carries it out and when."""
    if view.receipt is None:
        title = f"Session {view.name} ends"
    elif any(line.is_gone for line in view.receipt.lines):
        title = f"Session {view.name} has ended"
    else:
        title = f"You may not see session {view.name} any more"
    content = [
        h1[title],
        _receipt(view.receipt) if view.receipt else p(".lead")[view.carried_by or "It is being deleted."],
        _last_run(view.collector, now) if view.is_asked else None,
        p[a(href="/")["All sessions"]],
    ]
    return page(viewer, view.name, content, kind="receipt")


def _last_run(run: CollectorRun | None, now: datetime) -> Node:
    if run is None:
        return p(".hint")["It has never run as a CronJob, or you may not see it."]
    if not run.succeeded:
        return p(".hint")[f"It has not succeeded yet. {run.words}"]
    return p(".hint")["It last succeeded ", age(run.succeeded, now), f" ago. {run.words}"]


def _receipt(receipt: Receipt) -> Node:
    gone = sum(line.is_gone for line in receipt.lines)
    return [
        p(".lead")[f"{gone} of {len(receipt.lines)} confirmed gone, each checked afterwards"],
        ul(".receipt")[
            (
                li[
                    _fate(line),
                    code[line.what],
                ]
                for line in receipt.lines
            )
        ],
    ]


def _fate(line: ReceiptLine) -> Renderable:
    if line.unseen:
        return span(".state", data_s="new")[icon("new"), line.unseen]
    return _mark(is_good=line.is_gone, words="gone" if line.is_gone else "still there")


def notice_page(viewer: ViewerView | None, one: Notice) -> str:
    """Write why there is nothing to show. viewer: None before the login."""
    return page(viewer, one.title, notice(one), kind=one.kind.value)
