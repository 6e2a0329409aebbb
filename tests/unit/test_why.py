"""What the tab Why explains, and what it advises."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gitops_run.model.flux.conditions import SourceStatus
from gitops_run.model.session.limits import Duration, Lifetime, Limits
from gitops_run.model.state.session_state import SessionState, TargetState
from gitops_run.web.pages.session import session_page
from gitops_run.web.pages.view import SessionView, Tab, ViewerView
from tests.web_fakes import REVISION, session

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
REFUSED = TargetState(
    target="deploy",
    object="Kustomization web",
    attempted=REVISION,
    ready="False",
    reason="BuildFailed",
    message="no kustomization.yaml",
)
UNFETCHED = SourceStatus(ready="False", reason="BucketOperationFailed", message="no route to the store")


def page_of(state: SessionState) -> str:
    return session_page(ViewerView(user="alice"), SessionView(state=state), Tab.WHY, NOW)


@pytest.mark.parametrize(
    ("state", "message"),
    [(session(targets=(REFUSED,)), REFUSED.message), (session(source=UNFETCHED), UNFETCHED.message)],
)
def test_each_failure_of_flux_is_explained_once_with_what_to_do(state: SessionState, message: str) -> None:
    page = page_of(state)
    assert page.count(message) == 1
    assert page.count("What to do: ") == 1


def test_an_expired_session_is_ended_by_the_collector_wherever_that_runs() -> None:
    state = session()
    assert state.place is not None
    lifetime = Lifetime(limits=Limits(ttl=Duration.parse("8h")), expires="2026-11-26T10:00:00Z")
    assert "gc --apply" in page_of(replace(state, place=replace(state.place, lifetime=lifetime)))
