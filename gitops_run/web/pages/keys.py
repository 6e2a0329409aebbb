"""The keys of the page: one table, from which the help is written and which the script reads back from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from htpy import (
    Renderable,
    button,
    dialog,
    div,
    form,
    h2,
    input,  # noqa: A004 - HTML's name
    kbd,
    label,
    p,
    span,
    table,
    tbody,
    td,
    th,
    tr,
)

from gitops_run.web.pages.shapes import icon


@dataclass(frozen=True, slots=True)
class Key:
    """Bind keys, pressed one after another, to what they do.

    does: a function of the script, or the data-do of the element that is clicked. where: "", or the page on
    which it works.
    """

    keys: str
    does: str
    words: str
    where: str = ""


KEYS: Final = (
    Key("?", "help", "Show these keys"),
    Key("g s", "sessions", "Go to the sessions"),
    Key("g p", "platform", "Go to the platform"),
    Key("g m", "me", "Go to your own page"),
    Key("Escape", "back", "Close a dialog, leave a field, or go back"),
    Key("c", "link", "Copy a link to what you see"),
    Key("/", "search", "Search"),
    Key("j", "next", "Next row", "sessions"),
    Key("k", "previous", "Previous row", "sessions"),
    Key("Enter", "open", "Open the row", "sessions"),
    Key("x", "select", "Select the row", "sessions"),
    Key(",", "order", "Sort by the next column", "sessions"),
    Key("r", "retry", "Retry"),
    Key("p", "pause", "Suspend or resume"),
    Key("e", "extend", "Extend"),
    Key("u", "undo", "Undo to a kept snapshot", "session"),
    Key("D", "end", "End the session", "session"),
    Key("h", "saves", "Saves", "session"),
    Key("o", "objects", "Objects", "session"),
    Key("l", "logs", "Logs", "session"),
    Key("w", "why", "Why", "session"),
    Key("a", "access", "Access", "session"),
    Key("]", "next-tab", "Next tab", "session"),
    Key("[", "previous-tab", "Previous tab", "session"),
    Key("y", "yaml", "Copy the opened object's YAML", "session"),
    Key("f", "follow", "Follow or pause the logs", "session"),
)


def help_dialog() -> Renderable:
    """Write the help: a table of the keys, and the switch that turns them off."""
    return dialog("#keys", aria_labelledby="keys-title")[
        div(".dialog-head")[
            h2("#keys-title")["Keys"],
            form(method="dialog")[button(".quiet.square", aria_label="Close")[icon("close")]],
        ],
        div(".key-groups")[
            _group("Everywhere", ""), _group("Sessions", "sessions"), _group("One session", "session")
        ],
        p[
            label(".check")[
                input("#keys-on", type="checkbox", checked=True), span["Use these keys in this browser"]
            ]
        ],
    ]


def _group(heading: str, where: str) -> Renderable:
    return table(".keys")[
        tbody[
            tr[th(colspan="2", scope="colgroup")[heading]],
            (
                tr(data_keys=one.keys, data_does=one.does, data_where=one.where)[
                    td[(kbd[key] for key in one.keys.split(" "))], td[one.words]
                ]
                for one in KEYS
                if one.where == where
            ),
        ]
    ]
