"""What a session is waited for: whether it has come that far, can't come there, or why it hasn't yet.

Flux's word decides what is applied. The owner's record adds what only the loop knows: that a save was refused
before it reached Flux, that a revision that was live before is to be applied once more, and health.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gitops_run.model.state.saves import Outcome
from gitops_run.model.state.session_state import SessionState, TargetState
from gitops_run.model.state.summary import SaveSummary


class Goal(StrEnum):
    """Say what a session is waited for."""

    APPLIED = "applied"
    HEALTHY = "healthy"
    GONE = "gone"


class Progress(StrEnum):
    """Say how far a session is with a goal."""

    PENDING = "pending"
    REACHED = "reached"
    REJECTED = "rejected"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Standing:
    """Say how far a session is with a goal, and why it is no further."""

    progress: Progress
    why: str = ""


def standing(state: SessionState | None, goal: Goal) -> Standing:
    """Say how far a session is with a goal. state: None where there is nothing of it."""
    is_there = state is not None and (state.source is not None or state.has_label)
    if state is None or not is_there:
        return Standing(Progress.REACHED if goal is Goal.GONE else Progress.ABSENT)
    if goal is Goal.GONE:
        left = "its Flux Bucket" if state.source is not None else f"its namespace {state.namespace}"
        return _pending(f"{left} is still there")
    reached = _applied(state)
    return _healthy(state) if goal is Goal.HEALTHY and reached.progress is Progress.REACHED else reached


def _applied(state: SessionState) -> Standing:
    last = state.summary.last if state.summary else None
    if last is not None and last.outcome is Outcome.BROKEN:
        return Standing(Progress.REJECTED, f"save {last.number} was refused: {last.problem}")
    if hindrance := _hindrance(state):
        return _pending(hindrance)
    revision = state.source.revision if state.source else ""
    found = [_applied_target(target, revision) for target in state.targets]
    unfinished = (one for one in found if one.progress is not Progress.REACHED)
    return next(unfinished, None) or _by_the_loop(state, last)


def _hindrance(state: SessionState) -> str:
    """Say why nothing can have been applied yet; "" where something can."""
    if state.source is None:
        return "it has no Flux Bucket: an up or down was interrupted"
    if not state.targets:
        return "it has no Kustomization or HelmRelease"
    if any(one.is_suspended for one in state.targets):
        return "it is suspended"
    if state.is_new:
        return "nothing was saved yet"
    return "a save is being pushed" if state.source.is_suspended else ""


def _applied_target(target: TargetState, revision: str) -> Standing:
    if target.ready == "False" and target.attempted == revision:
        return Standing(Progress.REJECTED, f"{target.object}: {target.reason}: {target.message}")
    if target.applied != revision or target.ready != "True":
        return _pending(f"{target.object} has not applied what was saved last")
    return Standing(Progress.REACHED)


def _by_the_loop(state: SessionState, last: SaveSummary | None) -> Standing:
    """Take a live loop's word that what Flux shows as applied is its newest save, and not an older one."""
    is_live = state.synced_by is not None and state.synced_by.is_live
    if last is None or not is_live or last.outcome is Outcome.APPLIED:
        return Standing(Progress.REACHED)
    if last.outcome is Outcome.FAILED:
        return Standing(Progress.REJECTED, f"save {last.number} was refused: {last.problem}")
    return _pending(f"save {last.number} is {last.outcome}")


def _healthy(state: SessionState) -> Standing:
    summary = state.summary
    if summary is None or summary.last is None:
        return _pending("nobody has reported its health: that takes a running sync")
    if summary.unhealthy:
        more = f", and {summary.unhealthy - 1} more" if summary.unhealthy > 1 else ""
        return _pending(f"not healthy: {summary.first_unhealthy}{more}")
    if not summary.last.is_healthy:
        return _pending("the health of its objects is not known yet")
    return Standing(Progress.REACHED)


def _pending(why: str) -> Standing:
    return Standing(Progress.PENDING, why)
