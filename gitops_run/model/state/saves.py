"""What is kept of saves and objects in a session's record, as values, and which outcome may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gitops_run.model.objects.change import Change
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.state.timings import whole_ms
from gitops_run.model.text.problem import Problem


class Outcome(StrEnum):
    """Describe how far a save has come."""

    BROKEN = "broken"
    WITHDRAWN = "withdrawn"
    PUSHED = "pushed"
    UNDECIDED = "undecided"
    SUSPENDED = "suspended"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    APPLIED = "applied"


MAY_FOLLOW: Final[Mapping[Outcome, frozenset[Outcome]]] = {
    Outcome.BROKEN: frozenset({Outcome.WITHDRAWN}),
    Outcome.WITHDRAWN: frozenset(),
    Outcome.PUSHED: frozenset(Outcome) - {Outcome.BROKEN, Outcome.WITHDRAWN, Outcome.PUSHED},
    Outcome.UNDECIDED: frozenset({Outcome.SUSPENDED, Outcome.SUPERSEDED, Outcome.FAILED, Outcome.APPLIED}),
    Outcome.SUSPENDED: frozenset({Outcome.UNDECIDED, Outcome.SUPERSEDED, Outcome.FAILED, Outcome.APPLIED}),
    Outcome.SUPERSEDED: frozenset(),
    Outcome.FAILED: frozenset({Outcome.APPLIED}),
    Outcome.APPLIED: frozenset(),
}
"""A broken save is withdrawn when the files are again what was pushed; a failed one may be mended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetVerdict:
    """Hold the result of a save for one target. objects: how many its inventory holds, once it is applied."""

    target: str
    outcome: Outcome
    reason: str = ""
    message: str = ""
    hint: str = ""
    objects: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveRecord:
    """Hold one save, and what came of it.

    run: which sync made it. at: when the last thing was heard of it, RFC 3339. times_ms: as events have them.
    file_count, change_count, problem_count: of all, where only the first ones are listed. is_healthy: whether
    all of its objects were ready once. undone_to: when the snapshot was taken that an undo brought back.
    """

    run: int
    number: int
    at: str
    outcome: Outcome
    revision: str = ""
    files: tuple[str, ...] = ()
    file_count: int = 0
    times_ms: Mapping[str, int] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    change_count: int = 0
    problems: tuple[Problem, ...] = ()
    problem_count: int = 0
    not_checked: tuple[str, ...] = ()
    targets: tuple[TargetVerdict, ...] = ()
    is_healthy: bool = False
    undone_to: str = ""

    @property
    def took_ms(self) -> int:
        """Describe how long it took until it was applied, or until the last step that it reached."""
        return whole_ms(self.times_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnhealthyObject:
    """Describe an applied object that isn't ready. health: as HealthChanged has it."""

    ref: ObjectRef
    health: str
    message: str = ""
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRevision:
    """Name a snapshot that the machine that syncs can bring back. taken: RFC 3339."""

    revision: str
    taken: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Say what came of a request. at: when it was answered. The rest is as RequestAnswered has it."""

    request: str
    verb: str
    who: str
    at: str
    is_accepted: bool
    message: str = ""
