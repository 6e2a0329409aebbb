"""Events become lines: one for each save, with how many files, its verdict and how long it took.

Where the time of a save went is for `status` to say. A line that names objects is cut to a terminal's width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gitops_run.cli.text import for_terminal
from gitops_run.model.objects.change import Change
from gitops_run.model.session.limits import Duration
from gitops_run.model.state.events import (
    Event,
    HealthChanged,
    HistoryFailed,
    LeaseAwaited,
    NamedNamespace,
    NamespaceOverridden,
    ObjectsAwaited,
    RecordFailed,
    RequestAnswered,
    SaveApplied,
    SaveBroken,
    SaveFailed,
    SaveHealthy,
    SavePartlyHealthy,
    SavePushed,
    SaveSuperseded,
    SaveSuspended,
    SaveUnchanged,
    SaveUndecided,
    SaveUploading,
    ServiceFailed,
    SessionExpiring,
    SessionIdle,
    SnapshotKept,
    StoreDiffered,
    StoreReplaced,
    SyncEnded,
    SyncStarted,
    TreeIsLive,
    UndoFailed,
    WatchLimited,
    WholeRootNeeded,
    WorkTreeSeen,
)
from gitops_run.model.state.timings import size_text, whole_ms
from gitops_run.model.text.amounts import counted, duration
from gitops_run.model.text.problem import Problem

CHANGES_SHOWN = 5
COLUMNS_MAX = 100
SIGNS = {"create": "+", "change": "~", "delete": "-", "recreate": "± recreate", "replace": "± replace"}
"""What stands before a changed object, by what happens to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Hold the marks that lines begin with."""

    good: str
    bad: str
    note: str


TERMINAL_MARKS = Marks(good="✓", bad="✗", note="•")
PLAIN_MARKS = Marks(good="ok", bad="failed", note="-")


def lines(event: Event, marks: Marks) -> list[str]:  # noqa: C901, PLR0911, PLR0912 - one table
    """Write an event for a person; nothing for facts that the next event repeats."""
    match event:
        case SyncStarted():
            place = f"{event.root}/{event.target}" if event.target != "." else event.root
            return [f"{marks.note} syncing {place} to {event.namespace} on {event.context}"]
        case SyncEnded():
            return [f"{marks.note} stopped; to continue: {event.how_to_go_on}"]
        case LeaseAwaited():
            return [f"{marks.note} waiting up to {event.seconds} s for the lease of {event.holder}"]
        case ObjectsAwaited():
            return [f"{marks.note} nothing to apply in {event.target} yet: add a manifest"]
        case SaveBroken():
            head = (
                f"{marks.bad} save {event.save}: {_files(event.paths)} not pushed, the live state "
                "is unchanged"
            )
            return [head, *_problem_lines(event.problems)]
        case SaveUnchanged():
            return [f"{marks.good} save {event.save}: equal to the last push, nothing to push"]
        case SaveUploading():
            size, files = size_text(event.size), counted(event.files, "file")
            return [f"{marks.note} save {event.save}: uploading {size} in {files}, {event.percent} % done"]
        case SavePushed():
            return [*_change_lines(event.changes), *(f"  not checked: {text}" for text in event.not_checked)]
        case SaveApplied():
            return _applied_lines(event, marks)
        case HealthChanged():
            mark = marks.bad if event.health in ("failed", "missing") else marks.note
            head = f"{mark} {event.object} {event.health}" + (f": {event.message}" if event.message else "")
            return [head, *(f"  | {line}" for line in event.log)]
        case SaveHealthy():
            return [f"{marks.good} save {event.save}: healthy after {duration(event.times_ms['healthy'])}"]
        case SavePartlyHealthy():
            count, ms = event.ready + event.not_watched, event.times_ms["partly_healthy"]
            ready = f"{event.ready} of {counted(count, 'object')} ready after {duration(ms)}"
            rest = f"{event.not_watched} can't be watched: {', '.join(event.kinds)}"
            return [f"{marks.note} save {event.save}: {ready}; {rest}"]
        case WholeRootNeeded():
            return [f"{marks.note} the whole root is part of each save: {event.reason}"]
        case NamespaceOverridden():
            return overridden_lines(event.namespace, event.places, marks)
        case SaveFailed():
            head = f"{marks.bad} save {event.save}: {_files(event.paths)} refused by Flux: {event.reason}"
            return [head, *_indented(event.message), *_indented(event.hint)]
        case SaveSuspended():
            return [f"{marks.note} save {event.save}: {event.message}", *_indented(event.hint)]
        case SaveSuperseded():
            return [f"{marks.note} save {event.save}: superseded by save {event.by}"]
        case SaveUndecided():
            waited = f"waited {event.seconds} s for {event.waited_for}"
            return [f"{marks.bad} save {event.save}: no verdict, {waited}"]
        case StoreDiffered():
            return [f"{marks.bad} save {event.save}: {event.message}; pushing again"]
        case StoreReplaced():
            return [f"{marks.note} {event.message}: refilling its bucket"]
        case WatchLimited():
            return [f"{marks.note} {event.message}", *_indented(event.hint)]
        case HistoryFailed():
            return [f"{marks.bad} not kept for undo: {event.message}", *_indented(event.hint)]
        case RequestAnswered():
            return _answer_lines(event, marks)
        case UndoFailed():
            return [f"{marks.bad} not undone: {event.message}", *_indented(event.hint)]
        case RecordFailed():
            return [f"{marks.bad} {event.message}", *_indented(event.hint)]
        case SessionExpiring():
            left = Duration(max(event.seconds, 1)).rough
            head = f"{marks.note} the session ends at {event.expires}, in {left}"
            return [head, *_indented(event.hint)]
        case SessionIdle():
            left = Duration(max(event.seconds, 1)).rough
            head = f"{marks.note} without a save, the session is suspended at {event.until}, in {left}"
            return [head, *_indented(event.hint)]
        case TreeIsLive() | SnapshotKept() | WorkTreeSeen():
            return []
        case ServiceFailed():
            head = f"{marks.bad} {event.message}; retrying in {event.seconds} s"
            return [head, *_indented(event.hint)]


def overridden_lines(namespace: str, places: Sequence[NamedNamespace], marks: Marks) -> list[str]:
    """Write which manifests name another namespace than the session's; nothing where none does."""
    if not places:
        return []
    head = f"{marks.note} everything is applied in {namespace}, whatever namespace a manifest names:"
    more = len(places) - CHANGES_SHOWN
    rest = [f"  … and {counted(more, 'more place')}"] if more > 0 else []
    return [head, *(f"  {place}" for place in places[:CHANGES_SHOWN]), *rest]


def _applied_lines(event: SaveApplied, marks: Marks) -> list[str]:
    if event.undone_to:
        took = duration(whole_ms(event.times_ms))
        head = f"{marks.good} save {event.save}: undone to {event.undone_to} in {took}"
        return [head, "  your files are unchanged: the next save applies them again"]
    took = duration(whole_ms(event.times_ms))
    head = f"{marks.good} save {event.save}: {_files(event.paths)} applied in {took}"
    return [head, *_indented(f"slow: {event.slowest}" if event.slowest else "")]


def _answer_lines(event: RequestAnswered, marks: Marks) -> list[str]:
    asked = f"{event.who or 'somebody'} asks for {event.verb}"
    if event.is_accepted:
        return [f"{marks.note} {asked}"]
    return [f"{marks.bad} {asked}: refused: {event.message}"]


def _change_lines(changes: tuple[Change, ...]) -> list[str]:
    """Write what a save changes: a few lines, since a first save may create a thousand objects."""
    found = []
    for change in changes[:CHANGES_SHOWN]:
        fields = ", ".join(f"{field.path} {field.before} → {field.after}" for field in change.fields[:2])
        more = f" and {len(change.fields) - 2} more" if len(change.fields) > 2 else ""
        found.append(_cut(f"  {SIGNS[change.action]} {change.object} {fields}{more}".rstrip()))
    if len(changes) > CHANGES_SHOWN:
        found.append(f"  … and {counted(len(changes) - CHANGES_SHOWN, 'more object')}")
    return found


def _files(paths: tuple[str, ...]) -> str:
    return counted(len(paths), "file") if paths else "no file changed,"


def _cut(line: str) -> str:
    return line if len(line) <= COLUMNS_MAX else f"{line[: COLUMNS_MAX - 1]}…"


def _problem_lines(problems: Iterable[Problem]) -> list[str]:
    found = []
    for problem in problems:
        place = f"{for_terminal(problem.place)}: " if problem.path else ""
        found += _indented(place + problem.message)
        found += [f"  {line}" for line in _indented(problem.hint)]
    return found


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]
