"""What a session's loop has done, folded from its events: the record that others may read in the cluster.

This module holds the last saves with what came of each, what isn't healthy, and what can be brought back. It
is bounded: details are cut when they come in, and fitting.py drops the oldest ones where the whole is too
large. It knows what may follow what: a late or repeated event changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from gitops_run.model.objects.change import Change, FieldChange
from gitops_run.model.state.envelope import Envelope
from gitops_run.model.state.events import (
    HealthChanged,
    ObjectsAwaited,
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
    ServiceFailed,
    SessionExpiring,
    SessionIdle,
    SnapshotKept,
    StoreDiffered,
    SyncStarted,
    TreeIsLive,
    WorkTreeSeen,
)
from gitops_run.model.state.saves import (
    MAY_FOLLOW,
    Answer,
    KeptRevision,
    Outcome,
    SaveRecord,
    TargetVerdict,
    UnhealthyObject,
)
from gitops_run.model.state.timings import RECENT_MAX, whole_ms
from gitops_run.model.text.problem import Problem, printable

RECORD_VERSION: Final = 1
SAVES_MAX: Final = 20
ITEMS_MAX: Final = 20
"""Files, changes and objects that are listed; their total numbers are kept too."""
FIELDS_MAX: Final = 4
PROBLEMS_MAX: Final = 5
KEPT_MAX: Final = 10
ANSWERS_MAX: Final = 5
LOG_MAX: Final = 5
TEXT_MAX: Final = 500
NAME_MAX: Final = 253
REVISION_MAX: Final = 80
VALUE_MAX: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Hold what a session's loop has done.

    run: how many syncs there were. seq: of the last event of this run. at: when that was. since: when the
    present sync began. saves: oldest first. recent_ms: how long the last applied ones took, oldest first.
    trouble: why the loop waits for a service. branch, commit, is_dirty: of the root's git work tree.
    undone_to: the revision that an undo brought back, until the next save. warned: of which end of its TTL
    people were warned, RFC 3339. warned_idle: of which end of its idle limit.
    """

    v: int = RECORD_VERSION
    run: int = 0
    seq: int = 0
    at: str = ""
    since: str = ""
    targets: tuple[str, ...] = ()
    saves: tuple[SaveRecord, ...] = ()
    recent_ms: tuple[int, ...] = ()
    unhealthy: tuple[UnhealthyObject, ...] = ()
    unhealthy_count: int = 0
    kept: tuple[KeptRevision, ...] = ()
    answers: tuple[Answer, ...] = ()
    branch: str = ""
    commit: str = ""
    is_dirty: bool = False
    undone_to: str = ""
    trouble: str = ""
    warned: str = ""
    warned_idle: str = ""

    @property
    def last(self) -> SaveRecord | None:
        """The newest save that still counts: a broken one that was withdrawn doesn't."""
        counting = (one for one in reversed(self.saves) if one.outcome is not Outcome.WITHDRAWN)
        return next(counting, None)


def begin_run(record: Record) -> Record:
    """Begin another stream of events, whose saves count from 1 again."""
    return replace(record, run=record.run + 1, seq=0, trouble="")


def fold(record: Record, envelope: Envelope) -> Record:
    """Add one event. Total: what is late, repeated or doesn't fit leaves what is known as it is."""
    if envelope.seq <= record.seq:
        return record
    stamped = replace(record, seq=envelope.seq, at=envelope.ts)
    return _folded(stamped, envelope)


def with_answer(record: Record, event: RequestAnswered, ts: str) -> Record:
    """Add the answer of who isn't the session's sync. ts: RFC 3339."""
    return replace(record, answers=(*record.answers, _answer(event, ts))[-ANSWERS_MAX:])


def _folded(record: Record, envelope: Envelope) -> Record:  # noqa: C901, PLR0911, PLR0912 - one table
    event = envelope.event
    match event:
        case SyncStarted():
            return replace(record, since=envelope.ts, targets=(_cut(event.target, NAME_MAX),), trouble="")
        case ServiceFailed():
            return replace(record, trouble=_cut(event.message, TEXT_MAX))
        case StoreDiffered():
            return replace(record, trouble=_cut(event.message, TEXT_MAX))
        case WorkTreeSeen():
            branch = _cut(event.branch, NAME_MAX)
            commit = _cut(event.commit, NAME_MAX)
            return replace(record, branch=branch, commit=commit, is_dirty=event.is_dirty)
        case SnapshotKept():
            others = (one for one in record.kept if one.revision != event.revision)
            kept = (
                *others,
                KeptRevision(
                    revision=_cut(event.revision, REVISION_MAX), taken=_cut(event.taken, REVISION_MAX)
                ),
            )
            return replace(record, kept=kept[-KEPT_MAX:])
        case RequestAnswered():
            return with_answer(record, event, envelope.ts)
        case SessionExpiring():
            return replace(record, warned=event.expires)
        case SessionIdle():
            return replace(record, warned_idle=event.until)
        case HealthChanged():
            return _with_health(record, event)
        case ObjectsAwaited():
            return replace(record, trouble="")
        case TreeIsLive():
            return _withdrawn(record, envelope)
        case SaveBroken() | SavePushed():
            return _with_new(record, envelope, event)
        case SaveUnchanged():
            return _withdrawn(record, envelope)
        case SaveHealthy() | SavePartlyHealthy():
            return _healthy(record, envelope, event)
        case SaveApplied():
            return _applied(record, envelope, event)
        case SaveFailed() | SaveSuspended() | SaveSuperseded() | SaveUndecided():
            return _decided(record, envelope, _verdict(event))
    return record


def _with_new(record: Record, envelope: Envelope, event: SaveBroken | SavePushed) -> Record:
    """Add a save; one that is known already stays what it is."""
    if _find(record, event.save) is not None:
        return record
    if isinstance(event, SaveBroken):
        save = SaveRecord(
            run=record.run,
            number=event.save,
            at=envelope.ts,
            outcome=Outcome.BROKEN,
            files=_names(event.paths),
            file_count=len(event.paths),
            times_ms=dict(event.times_ms),
            problems=tuple(_shortened(problem) for problem in event.problems[:PROBLEMS_MAX]),
            problem_count=len(event.problems),
        )
    else:
        files = (*event.puts, *event.deletes)
        save = SaveRecord(
            run=record.run,
            number=event.save,
            at=envelope.ts,
            outcome=Outcome.PUSHED,
            revision=_cut(event.revision, REVISION_MAX),
            files=_names(files),
            file_count=len(files),
            times_ms=dict(event.times_ms),
            changes=tuple(_short_change(change) for change in event.changes[:ITEMS_MAX]),
            change_count=len(event.changes),
            not_checked=_names(event.not_checked),
        )
    return replace(record, saves=(*record.saves, save)[-SAVES_MAX:], trouble="")


def _decided(record: Record, envelope: Envelope, verdict: tuple[int, TargetVerdict]) -> Record:
    """Take in what came of a save, unless that is too late."""
    number, said = verdict
    save = _find(record, number)
    if save is None or said.outcome not in MAY_FOLLOW[save.outcome]:
        return record
    target = said.target or next(iter(record.targets), "")
    decided = replace(save, at=envelope.ts, outcome=said.outcome, targets=(replace(said, target=target),))
    return _replaced(record, save, decided)


def _applied(record: Record, envelope: Envelope, event: SaveApplied) -> Record:
    """Take in that a save was applied. One that was mended took as long as somebody needed to mend it."""
    before = _find(record, event.save)
    verdict = TargetVerdict(target="", outcome=Outcome.APPLIED, objects=event.objects)
    found = _decided(record, envelope, (event.save, verdict))
    after = _find(found, event.save)
    if before is None or after is None or found is record:
        return record
    undone_to = _cut(event.undone_to, REVISION_MAX)
    applied = replace(after, times_ms=dict(event.times_ms), undone_to=undone_to)
    took = () if before.outcome is Outcome.FAILED else (whole_ms(event.times_ms),)
    gone = {change.ref for change in before.changes if change.action == "delete"}
    left = tuple(one for one in record.unhealthy if one.ref not in gone)
    return replace(
        _replaced(found, after, applied),
        recent_ms=(*record.recent_ms, *took)[-RECENT_MAX:],
        unhealthy=left,
        unhealthy_count=record.unhealthy_count - len(record.unhealthy) + len(left),
        undone_to=_cut(event.revision, REVISION_MAX) if event.undone_to else "",
        trouble="",
    )


def _healthy(record: Record, envelope: Envelope, event: SaveHealthy | SavePartlyHealthy) -> Record:
    save = _find(record, event.save)
    if save is None or save.outcome is not Outcome.APPLIED:
        return record
    is_healthy = isinstance(event, SaveHealthy)
    healthy = replace(save, at=envelope.ts, is_healthy=is_healthy, times_ms=dict(event.times_ms))
    return replace(_replaced(record, save, healthy), unhealthy=(), unhealthy_count=0)


def _withdrawn(record: Record, envelope: Envelope) -> Record:
    """Take back that the newest save is broken: the files are again what is live."""
    last = record.last
    found = replace(record, trouble="")
    if last is None or last.outcome is not Outcome.BROKEN:
        return found
    return _replaced(found, last, replace(last, at=envelope.ts, outcome=Outcome.WITHDRAWN))


def _with_health(record: Record, event: HealthChanged) -> Record:
    others = tuple(one for one in record.unhealthy if one.ref != event.ref)
    count = record.unhealthy_count - (len(record.unhealthy) - len(others))
    if event.health == "ready":
        return replace(record, unhealthy=others, unhealthy_count=count)
    one = UnhealthyObject(
        ref=event.ref,
        health=_cut(event.health, REVISION_MAX),
        message=_cut(event.message, TEXT_MAX),
        log=tuple(_cut(line, NAME_MAX) for line in event.log[-LOG_MAX:]),
    )
    return replace(record, unhealthy=(one, *others)[:ITEMS_MAX], unhealthy_count=count + 1)


def _verdict(event: SaveFailed | SaveSuspended | SaveSuperseded | SaveUndecided) -> tuple[int, TargetVerdict]:
    """Read a save's verdict from an event."""
    match event:
        case SaveFailed():
            said = TargetVerdict(
                target="",
                outcome=Outcome.FAILED,
                reason=_cut(event.reason, NAME_MAX),
                message=_cut(event.message, TEXT_MAX),
                hint=_cut(event.hint, TEXT_MAX),
            )
        case SaveSuspended():
            message, hint = _cut(event.message, TEXT_MAX), _cut(event.hint, TEXT_MAX)
            said = TargetVerdict(target="", outcome=Outcome.SUSPENDED, message=message, hint=hint)
        case SaveSuperseded():
            said = TargetVerdict(target="", outcome=Outcome.SUPERSEDED)
        case SaveUndecided():
            waited = f"no verdict within {event.seconds} s: waited for {event.waited_for}"
            said = TargetVerdict(target="", outcome=Outcome.UNDECIDED, message=_cut(waited, TEXT_MAX))
    return event.save, said


def _answer(event: RequestAnswered, ts: str) -> Answer:
    return Answer(
        request=_cut(event.request, REVISION_MAX),
        verb=_cut(event.verb, REVISION_MAX),
        who=_cut(event.who, NAME_MAX),
        at=ts,
        is_accepted=event.is_accepted,
        message=_cut(event.message, TEXT_MAX),
    )


def _find(record: Record, number: int) -> SaveRecord | None:
    """Find a save of the present run."""
    return next((one for one in record.saves if (one.run, one.number) == (record.run, number)), None)


def _replaced(record: Record, save: SaveRecord, by: SaveRecord) -> Record:
    return replace(record, saves=tuple(by if one is save else one for one in record.saves))


def _cut(text: str, most: int) -> str:
    """Cut what is too long, and write bytes of a name that aren't UTF-8 so that JSON can hold them."""
    text = printable(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _names(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(_cut(name, NAME_MAX) for name in names[:ITEMS_MAX])


def _shortened(problem: Problem) -> Problem:
    return replace(
        problem,
        message=_cut(problem.message, TEXT_MAX),
        path=_cut(problem.path, NAME_MAX),
        hint=_cut(problem.hint, TEXT_MAX),
    )


def _short_change(change: Change) -> Change:
    return replace(change, fields=tuple(_short_field(one) for one in change.fields[:FIELDS_MAX]))


def _short_field(change: FieldChange) -> FieldChange:
    return FieldChange(
        path=_cut(change.path, NAME_MAX),
        before=_cut(change.before, VALUE_MAX),
        after=_cut(change.after, VALUE_MAX),
    )
