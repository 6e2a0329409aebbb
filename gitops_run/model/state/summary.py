"""What a table's row shows of a session's record: small enough for everybody to watch.

It is the owner's claim, as the whole record is. At most 4 KB as JSON, whatever the record holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gitops_run.model.state.record import Record
from gitops_run.model.state.saves import Answer, Outcome, SaveRecord, TargetVerdict
from gitops_run.model.state.timings import percentile

SUMMARY_VERSION: Final = 1
_RECENT_MAX: Final = 30
_TEXT_MAX: Final = 160
_TARGETS_MAX: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSummary:
    """Describe what came of the newest save for one target. reason: of a failure, as Flux names it."""

    target: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveSummary:
    """Hold the newest save. problem: the first one, with file and line; or why Flux refused the save."""

    run: int
    number: int
    at: str
    outcome: Outcome
    took_ms: int
    files: int
    revision: str = ""
    problem: str = ""
    problems: int = 0
    is_healthy: bool = False
    targets: tuple[TargetSummary, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Hold a row. unhealthy: how many objects aren't ready. first_unhealthy: one of them, and why.

    recent_ms: how long the last saves took, oldest first; p50_ms, p95_ms, saves: of all that are remembered.
    The rest is as in Record.
    """

    v: int = SUMMARY_VERSION
    run: int = 0
    seq: int = 0
    at: str = ""
    since: str = ""
    last: SaveSummary | None = None
    unhealthy: int = 0
    first_unhealthy: str = ""
    first_unhealthy_state: str = ""
    recent_ms: tuple[int, ...] = ()
    saves: int = 0
    p50_ms: int = 0
    p95_ms: int = 0
    branch: str = ""
    is_dirty: bool = False
    undone_to: str = ""
    trouble: str = ""
    answer: Answer | None = None


def summarize(record: Record) -> Summary:
    """Reduce a record to its row."""
    first = record.unhealthy[0] if record.unhealthy else None
    return Summary(
        run=record.run,
        seq=record.seq,
        at=record.at,
        since=record.since,
        last=_summarized(record.last) if record.last else None,
        unhealthy=record.unhealthy_count,
        first_unhealthy=_cut(f"{first.ref} {first.message}".rstrip()) if first else "",
        first_unhealthy_state=first.health if first else "",
        recent_ms=record.recent_ms[-_RECENT_MAX:],
        saves=len(record.recent_ms),
        p50_ms=percentile(record.recent_ms, 50),
        p95_ms=percentile(record.recent_ms, 95),
        branch=_cut(record.branch),
        is_dirty=record.is_dirty,
        undone_to=record.undone_to,
        trouble=_cut(record.trouble),
        answer=_short_answer(record.answers[-1]) if record.answers else None,
    )


def _short_answer(answer: Answer) -> Answer:
    return replace(answer, who=_cut(answer.who), message=_cut(answer.message))


def _summarized(save: SaveRecord) -> SaveSummary:
    return SaveSummary(
        run=save.run,
        number=save.number,
        at=save.at,
        outcome=save.outcome,
        took_ms=save.took_ms,
        files=save.file_count,
        revision=save.revision,
        problem=_cut(_problem(save)),
        problems=save.problem_count,
        is_healthy=save.is_healthy,
        targets=tuple(_target(verdict) for verdict in save.targets[:_TARGETS_MAX]),
    )


def _problem(save: SaveRecord) -> str:
    """Write the problem that a person must fix first; "" where nothing is wrong."""
    if save.problems:
        return str(save.problems[0])
    refusals = (one for one in save.targets if one.outcome is not Outcome.APPLIED)
    return next((f"{one.reason} {one.message}".strip() for one in refusals), "")


def _target(verdict: TargetVerdict) -> TargetSummary:
    return TargetSummary(target=_cut(verdict.target), outcome=verdict.outcome, reason=_cut(verdict.reason))


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_MAX else f"{text[: _TEXT_MAX - 1]}…"
