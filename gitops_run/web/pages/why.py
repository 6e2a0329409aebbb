"""The tab Why: what is wrong with a session, as the terminal explains it, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from htpy import Node, Renderable, article, div, h2, li, ol, p, pre, small, span

from gitops_run.model.session.commands import completed
from gitops_run.model.state.details import Condition
from gitops_run.model.state.saves import Outcome, SaveRecord
from gitops_run.model.state.session_state import Phase, SessionState, phase
from gitops_run.web.pages.page import notice
from gitops_run.web.pages.shapes import icon
from gitops_run.web.pages.view import Explanation, Notice, NoticeKind, SessionView
from gitops_run.web.pages.words import age, copied

NOTHING_WRONG = Notice(
    kind=NoticeKind.EMPTY,
    title="Nothing is wrong",
    explanation="The last save was applied, and no object has reported a failure.",
)

_HEALTHS = {"failed": "has failed", "progressing": "is not ready yet"}
_FATES = {Outcome.FAILED: "failed", Outcome.UNDECIDED: "has no verdict"}


def content(view: SessionView, now: datetime) -> Node:
    """Write every explanation, the most pressing one first, and below them Flux's conditions."""
    place = view.place
    found = [replace(one, hint=completed(one.hint, place)) for one in explained(view.state, now)]
    return [
        div(".whys")[(_one(each) for each in found)]
        if found
        else notice(NOTHING_WRONG, h2[NOTHING_WRONG.title]),
        _conditions(view.details.conditions, now),
    ]


def explained(state: SessionState, now: datetime) -> Iterator[Explanation]:
    """Explain what the state and the record say is wrong."""
    word = phase(state, now)
    yield from _of_limits(state, word)
    record = state.record
    if record is not None and record.last is not None:
        yield from _of_save(record.last)
    elif state.summary and state.summary.last and state.summary.last.problem:
        last = state.summary.last
        yield Explanation(title=f"Save {last.number} is {last.outcome.value}", lines=(last.problem,))
    yield from _of_flux(state)
    for one in record.unhealthy if record else ():
        yield Explanation(
            title=f"{one.ref} {_HEALTHS.get(one.health, f'is {one.health}')}",
            lines=(one.message,) if one.message else (),
            log=one.log,
            hint=""
            if one.health == "progressing"
            else "fix the manifest or the image, and save; Logs has more",
        )
    if record and record.trouble:
        yield Explanation(title="The loop waits", lines=(record.trouble,), hint="it retries on its own")
    if record and record.answers and not record.answers[-1].is_accepted:
        answer = record.answers[-1]
        yield Explanation(
            title=f"{answer.verb} was refused",
            lines=(f"{answer.who or 'Somebody'} asked for it. {answer.message}".strip(),),
        )


def _of_limits(state: SessionState, word: Phase) -> Iterator[Explanation]:
    if word is Phase.INCOMPLETE:
        yield Explanation(
            title="It is incomplete",
            lines=("There is no Flux Bucket: an up or a down was interrupted.",),
            hint="to complete it: gitops-run up NAME; to remove what is left: gitops-run down NAME",
        )
    if word is Phase.EXPIRED:
        yield Explanation(
            title="Its TTL is over",
            lines=("`gitops-run gc --apply` ends it when it next runs.",),
            hint="to keep it: gitops-run extend NAME",
        )
    if word is Phase.EXPIRING:
        yield Explanation(
            title="Its TTL is nearly over",
            lines=("Less than a tenth of it is left.",),
            hint="to keep it: gitops-run extend NAME",
        )
    for one in state.targets:
        if one.is_suspended:
            why = f": {one.suspended_reason}" if one.suspended_reason else ""
            who = f"{one.suspended_by} has suspended it{why}" if one.suspended_by else "Nobody said why."
            yield Explanation(
                title=f"{one.object or 'It'} is suspended",
                lines=(who, "Saves are stored, and applied once it is resumed."),
                hint="to continue: gitops-run resume NAME",
            )


def _of_save(save: SaveRecord) -> Iterator[Explanation]:
    if save.outcome is Outcome.BROKEN:
        for problem in save.problems:
            yield Explanation(
                title=f"Save {save.number} was not pushed",
                lines=(problem.message, "What was live before is still live."),
                place=problem.place,
                hint=problem.hint,
            )
    for target in save.targets:
        if target.outcome in _FATES:
            yield Explanation(
                title=f"Save {save.number} {_FATES[target.outcome]}",
                lines=(f"{target.reason}: {target.message}".strip(": "),),
                place=target.target,
                hint=target.hint,
            )


def _of_flux(state: SessionState) -> Iterator[Explanation]:
    """Explain what Flux refuses where no record does."""
    last = state.record.last if state.record else None
    if last is not None and last.outcome is Outcome.FAILED:
        return
    for one in state.targets:
        if one.ready == "False" and one.attempted and not one.is_suspended:
            yield Explanation(
                title=f"{one.object} is not ready",
                lines=tuple(f"{one.reason}: {one.message}".splitlines()),
                hint="repair the files and save, or go back to an earlier snapshot",
            )
    if state.source and state.source.ready == "False":
        yield Explanation(
            title="Flux can't fetch what was saved",
            lines=tuple(f"{state.source.reason}: {state.source.message}".splitlines()),
            hint="to check the cluster and its store: gitops-run doctor",
        )


def _one(each: Explanation) -> Renderable:
    return article(".why")[
        icon("failed"),
        div[
            h2[each.title],
            each.place and copied(each.place),
            (p[line] for line in each.lines if line),
            each.log and pre(tabindex="0", aria_label="The last lines of its log")["\n".join(each.log)],
            each.hint and p(".hint")[span["What to do: "], each.hint],
        ],
    ]


def _conditions(conditions: tuple[Condition, ...], now: datetime) -> Renderable | None:
    if not conditions:
        return None
    return div(".conditions")[
        h2["What Flux says"],
        ol(".plain")[
            (
                li(data_s="failed" if one.status == "False" else "applied")[
                    span(".object")[f"{one.object}: {one.type} {one.status}"],
                    " ",
                    small[one.reason, " ", age(one.since, now)],
                    p[one.message],
                ]
                for one in conditions
            )
        ],
    ]
