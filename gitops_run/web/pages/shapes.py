"""The small drawings of a page: a shape for each state, so that colour is never the only sign."""

from __future__ import annotations

from typing import Final

from htpy import Renderable, circle, path, rect, svg, symbol, use

SHAPES: Final = {
    "live": [circle(cx="8", cy="8", r="5.5", fill="currentColor", stroke="none")],
    "applied": [circle(cx="8", cy="8", r="5.5"), path(d="m5.5 8.2 1.8 1.8 3.2-3.7")],
    "progressing": [
        circle(cx="8", cy="8", r="5.5"),
        path(d="M8 2.5a5.5 5.5 0 0 1 0 11z", fill="currentColor", stroke="none"),
    ],
    "failed": [
        rect(x="2", y="2", width="12", height="12", rx="3", fill="currentColor", stroke="none"),
        path(".cut", d="m5.5 5.5 5 5m0-5-5 5"),
    ],
    "broken": [
        path(d="M8 1.8 15 14H1z", fill="currentColor", stroke="none"),
        path(".cut", d="M8 6.2v3.6m0 1.7v.6"),
    ],
    "suspended": [
        rect(x="3.5", y="3", width="3", height="10", rx="1", fill="currentColor", stroke="none"),
        rect(x="9.5", y="3", width="3", height="10", rx="1", fill="currentColor", stroke="none"),
    ],
    "expiring": [path(d="M4 2.5h8m-8 11h8M5 2.5C5 6 11 10 11 13.5M11 2.5C11 6 5 10 5 13.5")],
    "expired": [circle(cx="8", cy="8", r="5.5"), path(d="m4.2 11.8 7.6-7.6")],
    "new": [circle(cx="8", cy="8", r="5.5", stroke_dasharray="2.2 2.1")],
    "incomplete": [path(d="M8 2.5A5.5 5.5 0 1 1 2.5 8"), circle(cx="8", cy="8", r="1")],
    "copy": [
        rect(x="5.5", y="5.5", width="7.5", height="8", rx="1.5"),
        path(d="M10.5 3.5v-1h-7.5v8h1"),
    ],
    "search": [circle(cx="7", cy="7", r="4"), path(d="m10 10 3.5 3.5")],
    "close": [path(d="m4 4 8 8m0-8-8 8")],
}
"""Each is drawn in 16 by 16, with lines in the colour of the text around it."""

OF_OBJECTS: Final = {
    "ready": "applied",
    "current": "applied",
    "terminating": "expired",
    "missing": "new",
    "": "new",
}
OF_OUTCOMES: Final = {
    "withdrawn": "expired",
    "pushed": "progressing",
    "undecided": "progressing",
    "superseded": "new",
}


def sprite() -> Renderable:
    """Draw every shape once; icons refer to them."""
    return svg(".sprite", aria_hidden="true", width="0", height="0")[
        (symbol(id=f"i-{name}", viewBox="0 0 16 16")[parts] for name, parts in SHAPES.items())
    ]


def icon(name: str) -> Renderable:
    """Refer to a shape; the words next to it say what it means."""
    return svg(".i", aria_hidden="true")[use(href=f"#i-{name}")]


def shape_of(word: str) -> str:
    """Choose the shape for a state of a session, an object or a save."""
    name = OF_OBJECTS.get(word, OF_OUTCOMES.get(word, word))
    return name if name in SHAPES else "new"
