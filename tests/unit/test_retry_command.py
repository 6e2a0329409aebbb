"""`gitops-run retry`: the sync's answer is waited for, and Flux is asked where nobody syncs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from gitops_run.adapters.cluster.connection import Connection
from gitops_run.api import acting, requests
from gitops_run.api.acting import Retried
from gitops_run.errors import ReconcileFailed
from gitops_run.model.flux.requests import Request
from gitops_run.model.names import RECONCILE_ANNOTATION
from gitops_run.model.state.saves import Answer
from gitops_run.model.state.session_state import SessionState
from tests.web_fakes import FakeViewing, session


def retried(monkeypatch: pytest.MonkeyPatch, viewing: FakeViewing, refusal: str = "") -> Retried:
    @asynccontextmanager
    async def opened(*_: object) -> AsyncIterator[FakeViewing]:
        yield viewing

    async def answered(_: Connection, __: SessionState, request: Request) -> Answer:
        return Answer(
            request=request.id, verb="retry", who="alice", at="", is_accepted=not refusal, message=refusal
        )

    monkeypatch.setattr(acting, "open_viewing", opened)
    monkeypatch.setattr(requests, "answered", answered)
    return anyio.run(acting.retry, viewing.key("run-web", "web"), viewing.caller)


def test_retry_waits_until_the_sync_has_accepted_it(monkeypatch: pytest.MonkeyPatch) -> None:
    viewing = FakeViewing([session()])
    done = retried(monkeypatch, viewing)
    state = anyio.run(viewing.state, "run-web", "web")
    assert state.source is not None
    assert state.source.request is not None
    assert done == Retried(by="sync", request=state.source.request.id)


def test_retry_fails_where_the_sync_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ReconcileFailed, match="refuses to retry: not now"):
        retried(monkeypatch, FakeViewing([session()]), refusal="not now")


def test_retry_asks_flux_at_once_where_nobody_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    viewing = FakeViewing([session(synced_by=None)])
    done = retried(monkeypatch, viewing, refusal="nobody is asked")
    tokens = {body["metadata"]["annotations"][RECONCILE_ANNOTATION] for _, body in viewing.connection.patched}
    assert done.by == "flux"
    assert tokens == {done.request}


@pytest.mark.parametrize("writer", [None, session().synced_by])
def test_whoever_retries_a_session_leaves_an_event(monkeypatch: pytest.MonkeyPatch, writer: object) -> None:
    viewing = FakeViewing([session(synced_by=writer)])
    retried(monkeypatch, viewing)
    ((_, event),) = viewing.connection.created
    assert event["message"] == "alice asked for retry"
