"""One session in depth: the tree of its objects, Secrets without values, documents and numbers."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_run.api import stack_here
from gitops_run.errors import BackendError, UsageError
from gitops_run.model.flux.conditions import SourceStatus
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.objects.shown import MASK, as_shown
from gitops_run.model.rights.right import Right
from gitops_run.model.state.close_up import CloseUp, SeenObject, SeenPod
from gitops_run.model.state.saves import Outcome
from gitops_run.model.state.session_state import SessionState
from gitops_run.model.state.summary import SaveSummary, Summary
from gitops_run.web.documents import openapi
from gitops_run.web.looks import READ_AGAIN_S
from gitops_run.web.pages.view import Tab
from gitops_run.web.trees import missing_notices, object_tree, refs_of
from tests.virtual_time import scenario
from tests.web_fakes import FakeViewing, browsing, session


def ref(kind: str, name: str) -> ObjectRef:
    return ObjectRef(group="apps" if kind == "Deployment" else "", kind=kind, namespace="run-web", name=name)


SERVICE = SeenObject(ref=ref("Service", "web"), uid="s", health="ready")
WEB = SeenObject(ref=ref("Deployment", "web"), uid="d", health="progressing")
POD = SeenObject(ref=ref("Pod", "web-1"), uid="p", owner="d", health="failed", message="it crashes")
OTHER = SeenObject(ref=ref("Pod", "debug"), uid="o", health="ready")


def test_a_tree_leads_from_the_source_to_the_pods_with_the_failed_first() -> None:
    (source,) = object_tree(session(), CloseUp(objects=(SERVICE, OTHER, POD, WEB)))
    (applier,) = source.children
    assert (source.kind, applier.kind) == ("Bucket", "Kustomization")
    assert [child.name for child in applier.children] == ["web", "debug", "web"]
    assert applier.children[0].kind == "Deployment"
    assert [pod.name for pod in applier.children[0].children] == ["web-1"]


def test_a_session_of_which_nothing_is_known_has_an_empty_tree() -> None:
    assert object_tree(SessionState(namespace="x"), CloseUp()) == ()
    (source,) = object_tree(SessionState(namespace="x", source=SourceStatus()), CloseUp())
    assert source.children == ()


def test_every_object_of_a_tree_may_be_asked_for() -> None:
    found = set(refs_of(object_tree(session(), CloseUp(objects=(SERVICE, POD, WEB)))))
    assert {SERVICE.ref, POD.ref, WEB.ref} < found


def test_pods_that_may_not_be_seen_are_named_with_the_right() -> None:
    right = Right(verb="list", resource="pods", namespace="run-web")
    notice = missing_notices(CloseUp(missing={"pods": right}))[Tab.LOGS]
    assert "list pods in namespace run-web" in notice.explanation


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(min_size=12, max_size=40), min_size=1))
@settings(max_examples=25)
def test_a_secret_is_shown_without_a_value(values: dict[str, str]) -> None:
    live = {
        "kind": "Secret",
        "metadata": {
            "name": "x",
            "managedFields": [values],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(values)},
        },
        "data": values,
        "stringData": values,
    }
    shown = as_shown(live)
    assert set(shown["data"]) == set(values)
    assert set(shown["data"].values()) | set(shown["stringData"].values()) == {MASK}
    assert not any(value in json.dumps(shown["metadata"]) for value in values.values())


def test_another_object_is_shown_as_it_is() -> None:
    live = {"kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "b"}}
    assert as_shown(live) == live


@scenario
async def test_only_objects_of_the_session_are_opened() -> None:
    viewing = FakeViewing([session()])
    viewing.close_ups["run-web"] = CloseUp(objects=(SERVICE,))
    url = "/s/run-web/web?tab=objects&kind={}&in=run-web&name={}&version=v1"
    async with browsing(viewing) as browser:
        own = await browser.get(url.format("Service", "web"))
        foreign = await browser.get(url.format("Secret", "bucket-writer"))
    assert "kind: Service" in own.text
    assert "kind: Secret" not in foreign.text
    assert "is no object of this session" in foreign.text


@scenario
async def test_every_tab_of_a_session_without_a_status_has_a_page() -> None:
    bare = SessionState(namespace="run-web", name="web")
    viewing = FakeViewing([bare])
    async with browsing(viewing) as browser:
        for tab in Tab:
            page = await browser.get(f"/s/run-web/web?tab={tab}")
            assert page.status_code == 200, tab
        assert (await browser.get("/")).status_code == 200
        assert (await browser.get("/s/run-web/web/end")).status_code == 200


@scenario
async def test_a_cluster_that_does_not_answer_leaves_the_page_with_what_is_known() -> None:
    viewing = FakeViewing([session()])
    async with browsing(viewing) as browser:
        await browser.site.live.listed.wait()
        viewing.trouble = BackendError("the cluster answers nothing")
        page = await browser.get("/s/run-web/web?tab=objects")
    assert page.status_code == 200
    assert "the cluster answers nothing" in page.text


def test_a_session_whose_stack_file_cannot_be_used_has_its_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    def unusable(*_: object) -> Path:
        raise UsageError("the stack file can't be read")

    monkeypatch.setattr(stack_here, "find_stack_file", unusable)

    @scenario
    async def run() -> None:
        async with browsing(FakeViewing([session()])) as browser:
            page = await browser.get("/s/run-web/web?tab=why")
            end = await browser.get("/s/run-web/web/end")
        assert (page.status_code, end.status_code) == (200, 200)
        assert "the collector" in end.text

    run()


@scenario
async def test_a_page_stays_as_it_was_while_the_watch_is_cut() -> None:
    viewing = FakeViewing([session()])
    viewing.close_ups["run-web"] = CloseUp(objects=(SERVICE,))
    async with browsing(viewing) as browser:
        await browser.site.live.listed.wait()
        async with browser.site.looks.open(browser.site.viewer, "run-web", "web") as look:
            await look.is_read.wait()
            viewing.trouble = BackendError("the cluster answers nothing")
            viewing.watch.pulses[0].cut()
            await anyio.sleep(READ_AGAIN_S * 3)
            page = await browser.get("/s/run-web/web?tab=objects")
    assert "the cluster answers nothing" not in page.text
    assert "Service" in page.text


@scenario
async def test_every_tab_of_a_session_that_is_still_read_says_so() -> None:
    viewing = FakeViewing([session()])
    viewing.is_slow = True
    async with browsing(viewing) as browser:
        await browser.site.live.listed.wait()
        pages = [await browser.get(f"/s/run-web/web?tab={tab}") for tab in Tab]
    assert all("Reading the session" in page.text for page in pages)


@scenario
async def test_pods_are_offered_for_their_logs() -> None:
    viewing = FakeViewing([session()])
    pod = SeenPod(name="web-1", phase="Running", containers=("web",), has_previous=True)
    viewing.close_ups["run-web"] = CloseUp(pods=(pod,))
    async with browsing(viewing) as browser:
        page = await browser.get("/s/run-web/web?tab=logs")
    assert "web-1" in page.text


@scenario
async def test_documents_are_those_of_the_command_line() -> None:
    viewing = FakeViewing([session("web"), session("api", owner="bob")])
    async with browsing(viewing) as browser:
        every = (await browser.get("/api/sessions")).json()
        of_bob = (await browser.get("/api/sessions?owner=bob")).json()
        live = (await browser.get("/api/sessions?state=suspended")).json()
        one = (await browser.get("/api/sessions/run-web/web")).json()
        missing = await browser.get("/api/sessions/run-web/other")
        me = (await browser.get("/api/me")).json()
    assert [found["name"] for found in every] == ["api", "web"]
    assert [found["name"] for found in of_bob] == ["api"]
    assert live == []
    assert (one["v"], one["name"], one["owner"]) == (1, "web", "alice")
    assert (missing.status_code, set(missing.json())) == (404, {"error", "message", "hint"})
    assert me == {"user": "alice", "groups": ["team"]}


@scenario
async def test_the_platform_page_shows_when_the_collector_ran() -> None:
    viewing = FakeViewing()
    async with browsing(viewing) as browser:
        never = await browser.get("/platform")
        status = {
            "lastScheduleTime": "2026-11-26T10:10:00Z",
            "lastSuccessfulTime": "2026-11-26T10:00:00Z",
        }
        viewing.connection.cron_job = {"spec": {"schedule": "*/10 * * * *"}, "status": status}
        ran = await browser.get("/platform")
    assert "has never run, or you may not see it" in never.text
    assert 'datetime="2026-11-26T10:00:00Z"' in ran.text
    assert "The run of 2026-11-26T10:10:00Z has not succeeded." in ran.text


@scenario
async def test_numbers_name_no_session() -> None:
    saved = SaveSummary(run=1, number=2, at="", outcome=Outcome.APPLIED, took_ms=420, files=1)
    viewing = FakeViewing([session("canary")])
    async with browsing(viewing) as browser:
        await browser.site.live.listed.wait()
        viewing.show(session("canary", summary=Summary(last=saved)))
        await browser.get("/api/sessions")
        text = (await browser.get("/metrics")).text
        health = await browser.get("/healthz")
        viewing.watch.pulses[0].cut()
        cut = await browser.get("/healthz")
    assert 'gitops_run_sessions{state="applied"} 1.0' in text
    assert 'gitops_run_save_seconds_bucket{le="0.5"} 1.0' in text
    assert "canary" not in text
    assert (health.status_code, cut.status_code) == (200, 503)


def test_the_api_is_described_as_it_answers() -> None:
    """Requests that the description allows, and some that it doesn't; every answer fits it."""
    schema = schemathesis.openapi.from_dict(openapi())
    paths = {operation.ok().path for operation in schema.get_all_operations()}  # type: ignore[union-attr]
    assert paths == set(openapi()["paths"])
