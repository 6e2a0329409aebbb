"""What a viewer can do to a session: buttons, the command that does the same, and what each form asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from htpy import (
    Node,
    Renderable,
    a,
    button,
    code,
    dialog,
    div,
    form,
    fragment,
    h2,
    input,  # noqa: A004 - HTML's name
    label,
    p,
    small,
    span,
)

from gitops_run.model.flux.requests import Verb
from gitops_run.model.session.commands import Place, completed
from gitops_run.model.state.history import short
from gitops_run.web.pages.page import post
from gitops_run.web.pages.shapes import icon
from gitops_run.web.pages.view import SessionView, ViewerView
from gitops_run.web.pages.words import command, session_url

WORDS: Final[Mapping[Verb, str]] = {
    Verb.RETRY: "Retry",
    Verb.SUSPEND: "Suspend…",
    Verb.RESUME: "Resume",
    Verb.EXTEND: "Extend…",
    Verb.UNDO: "Undo…",
    Verb.END: "End…",
}
_DIALOGS: Final = (Verb.SUSPEND, Verb.EXTEND, Verb.UNDO)
_COMMANDS: Final[Mapping[Verb, str]] = {
    Verb.RETRY: "gitops-run retry NAME",
    Verb.SUSPEND: "gitops-run suspend NAME --reason TEXT",
    Verb.RESUME: "gitops-run resume NAME",
    Verb.EXTEND: "gitops-run extend NAME DURATION",
    Verb.UNDO: "gitops-run undo NAME REVISION",
    Verb.END: "gitops-run down NAME",
}
_ASKING: Final[Mapping[Verb, str]] = {
    Verb.UNDO: "gitops-run request NAME undo REVISION --reason TEXT",
    Verb.END: "gitops-run request NAME end --reason TEXT",
}
"""What needs the session's stack or its snapshots, which another machine has."""
_MOST: Final = "200"


def command_of(action: Verb, place: Place, *, has_stack: bool) -> str:
    """Write the command that does the same. has_stack: the session's stack is on this machine."""
    command = _COMMANDS[action] if has_stack else _ASKING.get(action, _COMMANDS[action])
    return completed(command, place)


def offered(view: SessionView) -> tuple[Verb, ...]:
    """Choose the actions that make sense in a session's state."""
    pause = Verb.RESUME if view.state.is_suspended else Verb.SUSPEND
    extend = (Verb.EXTEND,) if view.state.ends_at else ()
    return (Verb.RETRY, pause, *extend, Verb.UNDO, Verb.END)


def buttons(view: SessionView) -> Renderable:
    """Write the actions, each next to its command, and below them which rights are missing."""
    actions = offered(view)
    missing: dict[str, list[Verb]] = {}
    for action in actions:
        if why := view.rights.why_not(action):
            missing.setdefault(why, []).append(action)
    return div(".actions")[
        div(".action-row")[(_button(view, action) for action in actions)],
        (
            p(".why-not", id=f"lacks-{group[0]}")[
                icon("expired"),
                f"{', '.join(WORDS[one].rstrip('…') for one in group)}: {why}",
            ]
            for why, group in missing.items()
        ),
    ]


def _button(view: SessionView, action: Verb) -> Renderable:
    why = view.rights.why_not(action)
    words, does = WORDS[action], "pause" if action in {Verb.SUSPEND, Verb.RESUME} else action.value
    copied = command_of(action, view.place, has_stack=view.has_stack)
    return span(".action")[
        _trigger(view, action, words, does)
        if not why
        else button(type="button", disabled=True, title=why)[words],
        button(
            ".square", type="button", data_copy=copied, title=copied, aria_label=f"Copy the command: {copied}"
        )[icon("copy")],
    ]


def _trigger(view: SessionView, action: Verb, words: str, does: str) -> Renderable:
    if action is Verb.END:
        url = session_url(view.state.namespace, view.state.name, "end")
        return a(".button.danger", href=url, data_do=does)[words]
    if action in _DIALOGS:
        return button(type="button", data_do=does, commandfor=f"do-{action}", command="show-modal")[words]
    return button(type="submit", form=f"form-{action}", data_do=does)[words]


def dialogs(viewer: ViewerView, view: SessionView) -> Node:
    """Write the forms of a session's actions. They hold the login's token, and are no part of a stream."""
    state = view.state

    def url(action: Verb) -> str:
        return session_url(state.namespace, state.name, action.value)

    forms = (
        form(id=f"form-{action}", method="post", action=url(action))[
            input(type="hidden", name="csrf", value=viewer.csrf)
        ]
        for action in (Verb.RETRY, Verb.RESUME)
    )
    asked = {
        Verb.SUSPEND: _reason(),
        Verb.EXTEND: _duration(view.extend_by),
        Verb.UNDO: div("#kept.choices"),
    }
    return fragment[
        forms,
        (
            _dialog(
                action,
                f"{WORDS[action].rstrip('…')} {state.name}",
                post(
                    url(action),
                    viewer,
                    content if action is not Verb.UNDO else kept(view),
                    *_end_of(view, action),
                ),
            )
            for action, content in asked.items()
        ),
    ]


def kept(view: SessionView) -> Renderable:
    """Write the snapshots that can be brought back: a part that changes while the page is open."""
    record = view.state.record
    live = view.state.source.revision if view.state.source else ""
    choices = [one for one in reversed(record.kept if record else ()) if one.revision != live]
    return div("#kept.choices")[
        p["Which snapshot do you want to restore? Files on the owner's machine stay as they are."],
        [
            label(".choice-row")[
                input(type="radio", name="revision", value=one.revision, required=True),
                code[short(one.revision)],
                small[one.taken],
            ]
            for one in choices
        ]
        or p(".none")["No other snapshot is kept yet: one is kept for each save that Flux has applied."],
    ]


def _end_of(view: SessionView, action: Verb) -> list[Renderable]:
    carried = view.carried_by.get(action, "")
    return [
        p(".hint")[f"Carried out by {carried}."] if carried else fragment[()],
        p(".hint")[command(command_of(action, view.place, has_stack=view.has_stack))],
        _submit(action),
    ]


def _submit(action: Verb) -> Renderable:
    return p(".dialog-end")[
        button(".primary", type="submit", name="action", value=action.value)[WORDS[action].rstrip("…")]
    ]


def _reason() -> Renderable:
    return label(".field")[
        span["Reason, for everybody who looks at the session"],
        input(name="reason", required=True, maxlength=_MOST, autocomplete="off"),
    ]


def _duration(proposed: str) -> Renderable:
    return label(".field")[
        span["By how long, such as 90m, 8h or 3d; empty for its TTL once more"],
        input(name="duration", value=proposed, maxlength="20", autocomplete="off"),
    ]


def _dialog(action: Verb, words: str, content: Node) -> Renderable:
    return dialog(id=f"do-{action}", aria_labelledby=f"title-{action}")[
        div(".dialog-head")[
            h2(id=f"title-{action}")[words],
            form(method="dialog")[button(".quiet.square", aria_label="Close")[icon("close")]],
        ],
        content,
    ]


def bulk_dialogs(viewer: ViewerView) -> Node:
    """Write what suspending and extending many sessions asks for. The script adds the selected sessions."""
    fields = {Verb.SUSPEND: _reason(), Verb.EXTEND: _duration("")}
    return fragment[
        (
            _dialog(
                action,
                f"{WORDS[action].rstrip('…')} the selected sessions",
                form(".for-selected", method="post", action="/bulk")[
                    input(type="hidden", name="csrf", value=viewer.csrf), field, _submit(action)
                ],
            )
            for action, field in fields.items()
        )
    ]
