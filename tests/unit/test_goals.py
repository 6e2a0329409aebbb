"""When a wait ends: what counts as applied, healthy and gone, and what never will be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gitops_run.model.flux.conditions import SourceStatus
from gitops_run.model.state.goals import Goal, Progress, standing
from gitops_run.model.state.saves import Outcome
from gitops_run.model.state.session_state import EMPTY_REVISION, SessionState, TargetState, Writer
from gitops_run.model.state.summary import SaveSummary, Summary

REVISION = "sha256:new"
SAVE = SaveSummary(
    run=1, number=3, at="", outcome=Outcome.APPLIED, took_ms=1, files=1, revision=REVISION, is_healthy=True
)
TARGET = TargetState(
    target=".", object="Kustomization web", applied=REVISION, attempted=REVISION, ready="True"
)
LIVE = SessionState(
    namespace="run-web",
    name="web",
    namespace_created="2026-01-01T00:00:00Z",
    source=SourceStatus(revision=REVISION, ready="True"),
    targets=(TARGET,),
    synced_by=Writer(holder="a@b/1/x", since="", is_live=True),
    summary=Summary(last=SAVE),
)
NOBODY = Writer(holder="a@b/1/x", since="", is_live=False)


def with_target(**changed: Any) -> SessionState:
    return replace(LIVE, targets=(replace(TARGET, **changed),))


def with_save(state: SessionState = LIVE, **changed: Any) -> SessionState:
    return replace(state, summary=Summary(last=replace(SAVE, **changed)))


ROWS: dict[str, tuple[SessionState | None, Goal, Progress, str]] = {
    "the newest save is applied": (LIVE, Goal.APPLIED, Progress.REACHED, ""),
    "all objects are healthy": (LIVE, Goal.HEALTHY, Progress.REACHED, ""),
    "Flux applied, and there is no record": (
        replace(LIVE, summary=None),
        Goal.APPLIED,
        Progress.REACHED,
        "",
    ),
    "health without a record": (replace(LIVE, summary=None), Goal.HEALTHY, Progress.PENDING, "running sync"),
    "an earlier revision is applied": (
        with_target(applied="sha256:old"),
        Goal.APPLIED,
        Progress.PENDING,
        "Kustomization web",
    ),
    "Flux refused the newest revision": (
        with_target(applied="sha256:old", ready="False", reason="BuildFailed", message="no such field"),
        Goal.APPLIED,
        Progress.REJECTED,
        "BuildFailed: no such field",
    ),
    "Flux refused an earlier revision": (
        with_target(applied="", attempted="sha256:old", ready="False"),
        Goal.APPLIED,
        Progress.PENDING,
        "has not applied",
    ),
    "a save that never left": (
        with_save(outcome=Outcome.BROKEN, problem="web.yaml:3: not valid YAML"),
        Goal.APPLIED,
        Progress.REJECTED,
        "web.yaml:3",
    ),
    "a revision that was live before is pushed again": (
        with_save(outcome=Outcome.PUSHED),
        Goal.APPLIED,
        Progress.PENDING,
        "save 3 is pushed",
    ),
    "a sync that ended in the middle of a push": (
        replace(with_save(outcome=Outcome.PUSHED), synced_by=NOBODY),
        Goal.APPLIED,
        Progress.REACHED,
        "",
    ),
    "a fence": (
        replace(LIVE, source=SourceStatus(is_suspended=True, revision=REVISION)),
        Goal.APPLIED,
        Progress.PENDING,
        "being pushed",
    ),
    "a suspended session": (with_target(is_suspended=True), Goal.APPLIED, Progress.PENDING, "suspended"),
    "an empty bucket that was fetched": (
        replace(
            with_target(applied="", ready="False", reason="ArtifactFailed"),
            source=SourceStatus(revision=EMPTY_REVISION),
            summary=None,
        ),
        Goal.APPLIED,
        Progress.PENDING,
        "nothing was saved",
    ),
    "nothing was saved": (
        replace(with_target(applied=""), source=SourceStatus(), summary=None),
        Goal.APPLIED,
        Progress.PENDING,
        "nothing was saved",
    ),
    "an object that is not healthy": (
        replace(LIVE, summary=Summary(last=SAVE, unhealthy=2, first_unhealthy="Deployment web: no image")),
        Goal.HEALTHY,
        Progress.PENDING,
        "Deployment web: no image, and 1 more",
    ),
    "unknown health": (
        with_save(is_healthy=False),
        Goal.HEALTHY,
        Progress.PENDING,
        "not known",
    ),
    "nothing of it is there": (None, Goal.GONE, Progress.REACHED, ""),
    "only its namespace is left": (replace(LIVE, source=None), Goal.GONE, Progress.PENDING, "run-web"),
    "its Bucket is gone and its namespace can't be seen": (
        replace(LIVE, source=None, namespace_created=""),
        Goal.GONE,
        Progress.REACHED,
        "",
    ),
    "it ended during the wait": (None, Goal.APPLIED, Progress.ABSENT, ""),
    "what was seen of no session": (SessionState(namespace="run-web"), Goal.HEALTHY, Progress.ABSENT, ""),
}


@pytest.mark.parametrize(("state", "goal", "progress", "why"), ROWS.values(), ids=ROWS)
def test_a_session_stands_to_a_goal_as(
    state: SessionState | None, goal: Goal, progress: Progress, why: str
) -> None:
    found = standing(state, goal)
    assert found.progress is progress
    assert why in found.why
