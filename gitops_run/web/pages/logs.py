"""The tab Logs: the controls; the script follows the stream, filters it, and keeps the last lines."""

from __future__ import annotations

from typing import Final

from htpy import Renderable, button, div, h2, input, label, option, p, select, span  # noqa: A004 - HTML's names

from gitops_run.web.pages.page import notice
from gitops_run.web.pages.view import Notice, NoticeKind, PodView, SessionView
from gitops_run.web.pages.words import session_url

NO_PODS: Final = Notice(
    kind=NoticeKind.EMPTY,
    title="No pods, so no logs",
    explanation="What Flux applied for this session runs no pods.",
    next_step="Logs appear here as soon as a workload starts one.",
)
LEVELS: Final = ("error", "warning", "info", "debug")


def content(view: SessionView) -> Renderable:
    """Write the controls and the place where lines appear."""
    if not view.pods:
        return notice(NO_PODS, h2[NO_PODS.title])
    place = session_url(view.state.namespace, view.state.name, "logs", "stream")
    return div("#logs", data_stream=place)[
        _filters(view.pods),
        div(".log-tools")[
            button("#log-follow.primary", type="button", data_do="follow", aria_pressed="true")["Pause"],
            button(type="button", data_do="download")["Download"],
            button(type="button", data_do="link")["Copy link"],
            span("#log-count", role="status"),
        ],
        p("#log-problem", role="alert", hidden=True),
        div("#log-lines", role="log", aria_live="off", aria_label="Log lines", tabindex="0"),
        p("#log-note", role="status", hidden=True),
    ]


def _filters(pods: tuple[PodView, ...]) -> Renderable:
    previous = any(one.has_previous for one in pods)
    return div(".log-tools", role="group", aria_label="Filter the logs")[
        label(".choice")[
            span["Pod"],
            pod_choice(pods),
        ],
        label(".choice")[
            span["Level"],
            select("#log-level", name="level")[
                option(value="")["All"], (option(value=one)[f"{one} and above"] for one in LEVELS[:3])
            ],
        ],
        label(".search")[
            input(
                "#log-text",
                type="search",
                name="text",
                placeholder="Text in a line",
                aria_label="Text or expression",
                data_do="search",
                autocomplete="off",
                spellcheck="false",
            )
        ],
        label(".check")[input("#log-regex", type="checkbox", name="regex"), span["Regular expression"]],
        label(".check", title="Of containers that were started again after a crash")[
            input("#log-previous", type="checkbox", name="previous", disabled=not previous),
            span["Before the crash"],
        ],
    ]


def pod_choice(pods: tuple[PodView, ...]) -> Renderable:
    """Write the choice of a pod: a part that changes while the page is open."""
    has_previous = any(one.has_previous for one in pods)
    return select("#log-pod", name="pod", data_previous=has_previous)[
        option("#pod", value="")[f"All {len(pods)}"],
        (option(id=f"pod-{one.name}", value=one.name)[_pod_words(one)] for one in pods),
    ]


def _pod_words(pod: PodView) -> str:
    return f"{pod.name} ({pod.phase})" if pod.phase and pod.phase != "Running" else pod.name
