"""The tab Saves: every save, broken ones too, with its steps, changes, problems and files' differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from htpy import (
    Node,
    Renderable,
    code,
    del_,
    details,
    div,
    h2,
    h3,
    ins,
    li,
    p,
    pre,
    small,
    span,
    strong,
    summary,
    ul,
)

from gitops_run.model.objects.change import Change, FieldChange
from gitops_run.model.session.commands import Place, completed
from gitops_run.model.state.history import short
from gitops_run.model.state.record import Record
from gitops_run.model.state.saves import Outcome, SaveRecord
from gitops_run.model.state.timings import percentile
from gitops_run.model.text.amounts import counted, duration
from gitops_run.model.text.problem import Problem
from gitops_run.web.pages.charts import trend, waterfall, waterfall_rows
from gitops_run.web.pages.page import notice
from gitops_run.web.pages.shapes import icon, shape_of
from gitops_run.web.pages.view import FileDiff, Notice, NoticeKind, SessionView
from gitops_run.web.pages.words import age, copied

NO_SAVES: Final = Notice(
    kind=NoticeKind.EMPTY,
    title="No save yet",
    explanation="The record of this session has no saves: nobody has synced it, or it is not published.",
    next_step="Saves appear here as soon as its owner syncs:",
    command="gitops-run sync NAME",
)
_SIGNS: Final[Mapping[str, str]] = {
    "create": "+",
    "change": "~",
    "delete": "-",
    "recreate": "±",
    "replace": "±",
}


def content(view: SessionView, now: datetime) -> Node:
    """Write all saves, newest first."""
    record = view.state.record
    if record is None or not record.saves:
        none = replace(NO_SAVES, command=completed(NO_SAVES.command, view.place))
        return notice(none, h2[none.title])
    return [
        h2(".unseen")["All saves"],
        _figures(record),
        div(".saves")[(_save(one, view, now) for one in reversed(record.saves))],
    ]


def _figures(record: Record) -> Renderable | None:
    if not record.recent_ms:
        return None
    p50, p95 = (percentile(record.recent_ms, percent) for percent in (50, 95))
    return div(".figures")[
        div(".figure")[span["p50"], strong[duration(p50)]],
        div(".figure")[span["p95"], strong[duration(p95)]],
        div(".figure")[span["of"], strong[counted(len(record.recent_ms), "save")]],
        trend(record.recent_ms),
    ]


def _save(save: SaveRecord, view: SessionView, now: datetime) -> Renderable:
    word = save.outcome.value
    files = f"{save.files[0]}" if save.files else "no file changed"
    more = f" and {save.file_count - 1} more" if save.file_count > 1 else ""
    return details(".save-row", id=f"save-{save.run}-{save.number}")[
        summary[
            span(".save-number")[f"#{save.number}"],
            span(".state", data_s=shape_of(word))[icon(shape_of(word)), word],
            span(".age")[age(save.at, now)],
            span(".save-files")[files, more and small[more]],
            span(".bar-cell")[waterfall(save.times_ms)],
            span(".number")[duration(save.took_ms) if save.times_ms else ""],
        ],
        div(".opened")[
            _problems(save.problems, save.problem_count, view.place),
            _verdicts(save, view.place),
            _changes(save),
            save.times_ms and div(".falls")[h3["Steps"], waterfall_rows(save.times_ms)],
            _files(save, view.diffs.get((save.run, save.number), ())),
            save.not_checked and _list("Not checked", save.not_checked),
            save.revision and p(".revision")[small["Revision "], copied(short(save.revision))],
        ],
    ]


def _problems(problems: tuple[Problem, ...], count: int, place: Place) -> Renderable | None:
    if not problems:
        return None
    return div[
        h3["Problems"],
        ul(".problems")[(_problem(one, place) for one in problems)],
        _more(count - len(problems), "problem"),
    ]


def _problem(one: Problem, place: Place) -> Renderable:
    hint = completed(one.hint, place)
    return li[one.place and copied(one.place), p[one.message], hint and p(".hint")[hint]]


def _more(number: int, word: str) -> Renderable | None:
    return p(".none")[f"and {counted(number, f'more {word}')}"] if number > 0 else None


def _verdicts(save: SaveRecord, place: Place) -> Renderable | None:
    refused = [
        one for one in save.targets if one.outcome is not Outcome.APPLIED and (one.message or one.reason)
    ]
    if not refused:
        return None
    return div[
        h3["Flux said"],
        ul(".problems")[
            (
                li[
                    code[one.target],
                    p[f"{one.reason} {one.message}".strip()],
                    one.hint and p(".hint")[completed(one.hint, place)],
                ]
                for one in refused
            )
        ],
    ]


def _changes(save: SaveRecord) -> Renderable | None:
    if not save.changes:
        return None
    return div[
        h3["Changes"],
        ul(".changes")[(_change(one) for one in save.changes)],
        _more(save.change_count - len(save.changes), "object"),
    ]


def _change(change: Change) -> Renderable:
    return li(data_action=change.action)[
        span(".sign", title=change.action)[_SIGNS.get(change.action, "~")],
        div[span(".object")[change.object], (_field(one) for one in change.fields)],
    ]


def _field(one: FieldChange) -> Renderable:
    return div(".field-change")[
        code[one.path], del_[one.before or "nothing"], " → ", ins[one.after or "nothing"]
    ]


def _files(save: SaveRecord, diffs: tuple[FileDiff, ...]) -> Renderable | None:
    if diffs:
        return div[h3["Files"], (_diff(one) for one in diffs)]
    if not save.files:
        return None
    return div[_list("Files", save.files), _more(save.file_count - len(save.files), "file")]


def _list(words: str, items: tuple[str, ...]) -> Renderable:
    return div[h3[words], ul(".plain")[(li[code[one]] for one in items)]]


def _diff(one: FileDiff) -> Renderable:
    return div(".diff")[
        div(".diff-path")[code[one.path]],
        one.note and p(".none")[one.note],
        one.lines
        and pre(tabindex="0", aria_label=f"Differences of {one.path}")[
            (_diff_line(line) for line in one.lines)
        ],
    ]


def _diff_line(line: str) -> Renderable:
    kind = {"+": "added", "-": "removed", "@": "place"}.get(line[:1], "same")
    return span(class_=kind)[line, "\n"]
