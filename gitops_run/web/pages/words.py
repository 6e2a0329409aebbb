"""Times, revisions and names as a page writes them; the same words wherever they stand."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from htpy import Renderable, button, code, span, time

from gitops_run.model.session.limits import Duration, read_time
from gitops_run.model.state.history import short
from gitops_run.web.pages.shapes import icon


def rough(seconds: float) -> str:
    """Write a length of time by its largest unit: "12s", "3m", "5h", "2d". The script does the same."""
    whole = max(int(seconds), 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if whole >= 2 * size or (whole >= size and unit == "m"):
            return f"{whole // size}{unit}"
    return f"{whole}s"


def age(at: str, now: datetime) -> Renderable:
    """Write how long ago something was. The script keeps it current. at: RFC 3339, or ""."""
    moment = read_time(at)
    if moment is None:
        return span(".none")[at or "never"]
    return time(datetime=at)[rough((now - moment).total_seconds())]


def left(until: datetime, at: str, now: datetime, *, is_brief: bool = False) -> Renderable:
    """Write how much time is left. The script keeps it current. at: the same moment, RFC 3339."""
    seconds = int((until - now).total_seconds())
    words = rough(seconds) if is_brief else Duration(max(seconds, 1)).rough
    return time(class_="left brief" if is_brief else "left", datetime=at)[words if seconds > 0 else "over"]


def revision(text: str) -> Renderable:
    """Write a revision as short as people type it, with a button that copies it."""
    return copied(short(text)) if text else span(".none")["nothing yet"]


def copied(text: str) -> Renderable:
    """Write a short text that a click copies."""
    return button(".copy.mono", type="button", title="Copy")[text]


def command(text: str) -> Renderable:
    """Write a command with a button that copies it."""
    return span(".command")[
        code[text],
        button(".quiet.square", type="button", data_copy=text, aria_label=f"Copy the command: {text}")[
            icon("copy")
        ],
    ]


def session_url(namespace: str, name: str, *more: str) -> str:
    """Write the path of a session's page, or of what is below it."""
    return "/".join(["/s", *(quote(part, safe="") for part in (namespace, name, *more))])
