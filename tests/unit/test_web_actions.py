"""What a form does: with which rights, to what, and what a page says where it can't be done."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gitops_run.api.acting import needed
from gitops_run.errors import DeniedError
from gitops_run.model.flux.requests import Verb
from gitops_run.model.names import (
    RECONCILE_ANNOTATION,
    REQUEST_ANNOTATION,
    REQUESTED_BY_ANNOTATION,
    RESET_ANNOTATION,
    SUSPENDED_REASON_ANNOTATION,
)
from gitops_run.model.session.limits import Duration, Lifetime, Limits
from gitops_run.model.state.record import Record
from gitops_run.model.state.saves import Answer, KeptRevision
from gitops_run.model.state.session_state import SessionState, TargetState
from tests.virtual_time import scenario
from tests.web_fakes import REVISION, FakeViewing, browsing, session

BUCKET = "/apis/source.toolkit.fluxcd.io/v1/namespaces/run-web/buckets/web"
KUSTOMIZATION = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/run-web/kustomizations/web"
KEPT = f"sha256:{'b' * 64}"


def said_in(patch: Any) -> dict[str, str]:
    found: dict[str, str] = patch["metadata"]["annotations"]
    return found


def with_ttl(state: SessionState) -> SessionState:
    assert state.place is not None
    lifetime = Lifetime(limits=Limits(ttl=Duration.parse("8h")), expires="2036-11-26T10:00:00Z")
    return replace(state, place=replace(state.place, lifetime=lifetime))


@scenario
async def test_retry_asks_the_live_sync() -> None:
    viewing = FakeViewing([session()])
    async with browsing(viewing) as browser:
        answer = await browser.post("/s/run-web/web/retry", reason="flaky")
    ((path, patch),) = viewing.connection.patched
    asked = json.loads(said_in(patch)[REQUEST_ANNOTATION])
    assert (answer.status_code, answer.headers["location"]) == (303, "/s/run-web/web")
    assert (path, asked["verb"], asked["why"]) == (BUCKET, "retry", "flaky")
    assert said_in(patch)[REQUESTED_BY_ANNOTATION] == "alice"


@scenario
async def test_retry_asks_flux_where_nobody_syncs() -> None:
    viewing = FakeViewing([session(synced_by=None)])
    async with browsing(viewing) as browser:
        await browser.post("/s/run-web/web/retry")
    assert [path for path, _ in viewing.connection.patched] == [BUCKET, KUSTOMIZATION]
    assert all(RECONCILE_ANNOTATION in said_in(patch) for _, patch in viewing.connection.patched)


@scenario
async def test_retry_of_a_release_that_failed_lets_flux_try_again() -> None:
    release = TargetState(target=".", object="HelmRelease web", ready="False")
    viewing = FakeViewing([session(synced_by=None, targets=(release,))])
    async with browsing(viewing) as browser:
        await browser.post("/s/run-web/web/retry")
    assert RESET_ANNOTATION in said_in(viewing.connection.patched[-1][1])


@scenario
async def test_suspend_takes_a_reason_and_leaves_word_of_it() -> None:
    reports: list[str] = []
    viewing = FakeViewing([session()], reports)
    async with browsing(viewing) as browser:
        answer = await browser.post("/s/run-web/web/suspend", reason="demo at noon")
        shown = await browser.get("/s/run-web/web")
        again = await browser.get("/s/run-web/web")
    ((path, patch),) = viewing.connection.patched
    ((events, event),) = viewing.connection.created
    assert answer.status_code == 303
    assert (path, patch["spec"]) == (KUSTOMIZATION, {"suspend": True})
    assert said_in(patch)[SUSPENDED_REASON_ANNOTATION] == "demo at noon"
    assert events == "/api/v1/namespaces/run-web/events"
    assert event["reason"] == "SuspendRequested"
    assert event["message"] == "alice asked for suspend: demo at noon"
    assert event["involvedObject"]["name"] == "web"
    assert reports == ["run-web/web: alice asked for suspend: demo at noon"]
    assert "It is suspended" in shown.text
    assert "It is suspended" not in again.text


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201, "two\nlines"])
def test_a_reason_that_is_no_line_suspends_nothing(reason: str) -> None:
    @scenario
    async def run() -> None:
        viewing = FakeViewing([session()])
        async with browsing(viewing) as browser:
            answer = await browser.post("/s/run-web/web/suspend", reason=reason)
        assert answer.status_code == 400
        assert viewing.connection.patched == []
        assert viewing.connection.created == []

    run()


@scenario
async def test_an_action_is_done_where_no_event_may_be_left() -> None:
    reports: list[str] = []
    viewing = FakeViewing([session()], reports)
    viewing.connection.refuses_events = True
    async with browsing(viewing) as browser:
        answer = await browser.post("/s/run-web/web/suspend", reason="demo")
    assert answer.status_code == 303
    assert reports[-1] == "no Event could be left in run-web: events is forbidden"


@pytest.mark.parametrize("act", [Verb.RETRY, Verb.SUSPEND, Verb.EXTEND, Verb.UNDO])
def test_a_right_that_was_taken_away_since_the_page_was_made_is_noticed(act: Verb) -> None:
    @scenario
    async def run() -> None:
        state = with_ttl(session())
        viewing = FakeViewing([state])
        async with browsing(viewing) as browser:
            await browser.get("/s/run-web/web")  # the rights are cached from here on
            viewing.denied = set(needed(act, state))
            answer = await browser.post(f"/s/run-web/web/{act}", reason="x", revision=KEPT)
        assert answer.status_code == 403
        assert "you need the right to patch" in answer.text
        assert viewing.connection.patched == []

    run()


@scenario
async def test_a_disabled_action_names_the_right_that_is_missing() -> None:
    viewing = FakeViewing([session()])
    viewing.denied = set(needed(Verb.SUSPEND, session()))
    async with browsing(viewing) as browser:
        page = await browser.get("/s/run-web/web")
    right = "patch kustomizations.kustomize.toolkit.fluxcd.io web in namespace run-web"
    assert f"you need the right to {right}" in page.text


@scenario
async def test_extend_moves_the_end() -> None:
    viewing = FakeViewing([with_ttl(session())])
    async with browsing(viewing) as browser:
        answer = await browser.post("/s/run-web/web/extend", duration="2h")
    ((path, patch),) = viewing.connection.patched
    assert (answer.status_code, path) == (303, BUCKET)
    assert list(said_in(patch).values()) == ["2036-11-26T12:00:00Z"]


@scenario
async def test_extend_by_what_is_no_duration_is_explained() -> None:
    viewing = FakeViewing([with_ttl(session())])
    async with browsing(viewing) as browser:
        answer = await browser.post("/s/run-web/web/extend", duration="soon")
    assert answer.status_code == 400
    assert viewing.connection.patched == []


@scenario
async def test_undo_asks_for_a_snapshot_that_is_kept() -> None:
    kept = Record(kept=(KeptRevision(revision=KEPT, taken="2026-11-26T10:00:00Z"),))
    viewing = FakeViewing([session(record=kept)])
    async with browsing(viewing) as browser:
        unknown = await browser.post("/s/run-web/web/undo", revision=REVISION)
        answer = await browser.post("/s/run-web/web/undo", revision=KEPT)
    ((path, patch),) = viewing.connection.patched
    asked = json.loads(said_in(patch)[REQUEST_ANNOTATION])
    assert (unknown.status_code, answer.status_code) == (400, 303)
    assert (path, asked["verb"], asked["argument"]) == (BUCKET, "undo", KEPT)


@scenario
async def test_undo_without_a_sync_is_refused_with_the_reason() -> None:
    kept = Record(kept=(KeptRevision(revision=KEPT, taken="2026-11-26T10:00:00Z"),))
    viewing = FakeViewing([session(record=kept, synced_by=None)])
    async with browsing(viewing) as browser:
        answer = await browser.post("/s/run-web/web/undo", revision=KEPT)
    assert answer.status_code == 403
    assert "nobody syncs it" in answer.text
    assert viewing.connection.patched == []


@scenario
async def test_the_collector_is_asked_to_end_a_session_whose_stack_is_elsewhere() -> None:
    viewing = FakeViewing([session()])
    viewing.connection.there.add("/api/v1/namespaces/run-web")
    async with browsing(viewing) as browser:
        page = await browser.get("/s/run-web/web/end")
        answer = await browser.post("/s/run-web/web/end", name="web", reason="demo is over")
        waiting = await browser.get(answer.headers["location"])
        viewing.watch.board.remove("run-web")
        leaving = await browser.get(answer.headers["location"])
        viewing.connection.there.clear()
        ended = await browser.get(answer.headers["location"])
    ((path, patch),) = viewing.connection.patched
    asked = json.loads(said_in(patch)[REQUEST_ANNOTATION])
    assert (path, asked["verb"], asked["why"]) == (BUCKET, "end", "demo is over")
    assert "Carried out by the collector" in page.text
    assert [one.headers.get("refresh") for one in (waiting, leaving, ended)] == ["2", "2", None]
    assert "does it when it next runs" in waiting.text
    assert "Namespace run-web" in ended.text


@scenario
async def test_whoever_waits_for_the_collector_sees_when_it_ran_last() -> None:
    viewing = FakeViewing([session()])
    async with browsing(viewing) as browser:
        answer = await browser.post("/s/run-web/web/end", name="web")
        unseen = await browser.get(answer.headers["location"])
        viewing.connection.cron_job = {
            "spec": {"schedule": "*/10 * * * *"},
            "status": {"lastSuccessfulTime": "2026-11-26T10:00:00Z"},
        }
        ran = await browser.get(answer.headers["location"])
    assert "It has never run as a CronJob, or you may not see it." in unseen.text
    assert "It last succeeded " in ran.text
    assert 'datetime="2026-11-26T10:00:00Z"' in ran.text
    assert "Its CronJob runs at */10 * * * *, in UTC." in ran.text


@scenario
async def test_an_owner_whose_rights_end_with_the_session_is_told_so() -> None:
    viewing = FakeViewing([session()])
    async with browsing(viewing) as browser:
        answer = await browser.post("/s/run-web/web/end", name="web")
        viewing.trouble = DeniedError("buckets is forbidden")
        unseen = await browser.get(answer.headers["location"])
    assert (unseen.status_code, unseen.headers.get("refresh")) == (200, None)
    assert "You may not see session web any more" in unseen.text
    assert "your rights there have ended, as they do with the session" in unseen.text


@scenario
async def test_an_end_that_was_refused_says_why_and_can_be_asked_for_again() -> None:
    viewing = FakeViewing([session()])
    async with browsing(viewing) as browser:
        answer = await browser.post("/s/run-web/web/end", name="web")
        (asked,) = [json.loads(said_in(patch)[REQUEST_ANNOTATION]) for _, patch in viewing.connection.patched]
        refusal = Answer(
            request=asked["id"], verb="end", who="alice", at="", is_accepted=False, message="it may not"
        )
        viewing.show(session(record=Record(answers=(refusal,))))
        refused = await browser.get(answer.headers["location"])
        await browser.post("/s/run-web/web/end", name="web")
    assert (refused.status_code, "it may not" in refused.text) == (403, True)
    assert len(viewing.connection.patched) == 2


@scenario
async def test_an_end_that_a_later_request_replaced_is_waited_for_no_longer() -> None:
    viewing = FakeViewing([session()])
    async with browsing(viewing) as browser:
        answer = await browser.post("/s/run-web/web/end", name="web")
        await browser.post("/s/run-web/web/retry", reason="flaky")
        replaced = await browser.get(answer.headers["location"])
    assert replaced.headers.get("refresh") is None
    assert "a later request replaced it: alice asks to retry it: flaky" in replaced.text


@scenario
async def test_an_end_that_the_collector_withdrew_is_waited_for_no_longer() -> None:
    viewing = FakeViewing([session()])
    async with browsing(viewing) as browser:
        answer = await browser.post("/s/run-web/web/end", name="web")
        viewing.connection.patched.clear()
        withdrawn = await browser.get(answer.headers["location"])
    assert withdrawn.headers.get("refresh") is None
    assert "the collector withdrew it" in withdrawn.text


@scenario
async def test_no_end_is_asked_for_where_no_policy_proves_who_asks() -> None:
    viewing = FakeViewing([session()])
    viewing.connection.has_policies = False
    async with browsing(viewing) as browser:
        answer = await browser.post("/s/run-web/web/end", name="web")
    assert (answer.status_code, viewing.connection.patched) == (403, [])
    assert "admission policies" in answer.text


@scenario
async def test_an_end_needs_the_sessions_name() -> None:
    viewing = FakeViewing([session()])
    async with browsing(viewing) as browser:
        answer = await browser.post("/s/run-web/web/end", name="wep")
    assert answer.status_code == 400
    assert "not the session" in answer.text


@scenario
async def test_many_sessions_are_changed_at_once_and_one_that_fails_keeps_no_other() -> None:
    viewing = FakeViewing([session("web"), session("api")])
    viewing.denied = set(needed(Verb.SUSPEND, session("api")))
    async with browsing(viewing) as browser:
        answer = await browser.post(
            "/bulk", action="suspend", reason="lunch", session=["run-api/api", "run-web/web"]
        )
    assert [path for path, _ in viewing.connection.patched] == [KUSTOMIZATION]
    assert "Suspended 1 session; 1 failed: run-api/api" in answer.text


@pytest.mark.parametrize("action", ["undo", "end", "delete", ""])
def test_only_some_actions_are_done_to_many(action: str) -> None:
    @scenario
    async def run() -> None:
        viewing = FakeViewing([session()])
        async with browsing(viewing) as browser:
            answer = await browser.post("/bulk", action=action, session=["run-web/web"])
        assert answer.status_code == 400
        assert viewing.connection.patched == []

    run()


@scenario
async def test_a_session_that_is_gone_is_said_to_be_gone() -> None:
    async with browsing(FakeViewing()) as browser:
        page = await browser.get("/s/run-web/web")
        answer = await browser.post("/s/run-web/web/retry")
    assert (page.status_code, answer.status_code) == (404, 404)


@scenario
async def test_a_cluster_that_may_not_be_looked_at_is_said_to_be_so() -> None:
    viewing = FakeViewing()
    viewing.trouble = DeniedError("you may not list the sessions", hint="name a namespace")
    async with browsing(viewing) as browser:
        page = await browser.get("/")
        document = await browser.get("/api/sessions")
    assert page.status_code == 403
    assert "you may not list the sessions" in page.text
    assert document.json()["message"] == "you may not list the sessions"


@scenario
async def test_text_of_others_that_looks_like_a_tag_is_shown_as_text() -> None:
    hostile = "<script>alert(1)</script>"
    refused = TargetState(target=hostile, object="Kustomization web", ready="False", message=hostile)
    viewing = FakeViewing([session(owner=hostile, targets=(refused,))])
    async with browsing(viewing) as browser:
        await browser.site.live.listed.wait()
        for url in ("/", "/s/run-web/web?tab=why", f"/?q={hostile}"):
            page = await browser.get(url)
            assert hostile not in page.text, url
            assert "&lt;script&gt;" in page.text, url
