"""What a browser's stream brings: everything once, then what has changed, and never more than may be seen."""

from __future__ import annotations

import gc
import gzip
import json
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_run.api.viewing import SEE_ALL, see_one
from gitops_run.errors import BackendError, TransientError
from gitops_run.model.rights.right import Right
from gitops_run.model.session.limits import Lifetime, Limits, write_time
from gitops_run.model.state.close_up import LogLine
from gitops_run.model.state.session_state import Phase, SessionState
from gitops_run.web import live as live_module
from gitops_run.web import session_routes
from gitops_run.web.pages.session import Topic
from gitops_run.web.streams import BATCH_S, PING_S, EventStream, Gzip, Since, Watching, browser_events
from gitops_run.web.viewer import Scene
from tests.virtual_time import scenario
from tests.web_fakes import Browser, FakeViewing, browsing, session

MINUTE_S = 60.0
Told = tuple[str, dict[str, Any], str]


def parsed(chunk: bytes) -> Told:
    fields = dict(line.split(": ", 1) for line in chunk.decode().strip().split("\n"))
    return fields["event"], json.loads(fields["data"]), fields.get("id", "")


def events_in(text: str) -> list[str]:
    return [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]


class Follower:
    """Read a stream, without pings."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        self._events = events

    async def next(self) -> Told:
        with anyio.fail_after(200):
            async for chunk in self._events:
                if chunk.startswith((b"event: ping", b"retry")):
                    continue
                return parsed(chunk)
        return "end", {}, ""

    async def rows(self) -> dict[str, Any]:
        kind, data, _ = await self.next()
        assert kind == "rows", (kind, data)
        return data


@asynccontextmanager
async def following(
    browser: Browser, since: str = "", *topics: str, has_rows: bool = True
) -> AsyncIterator[Follower]:
    site = browser.site
    looks = {}
    async with anyio.create_task_group() as tasks:
        for topic in topics:
            parsed_topic = Topic.parse(topic)
            assert parsed_topic is not None
            open_look = site.looks.open(site.viewer, parsed_topic.namespace, parsed_topic.name)
            looks[parsed_topic] = await open_look.__aenter__()
        watching = Watching(
            viewer=site.viewer, login=browser.login, since=Since.parse(since), has_rows=has_rows, looks=looks
        )
        async with aclosing(browser_events(site.live, site.logins, watching)) as events:
            yield Follower(events)
        tasks.cancel_scope.cancel()


def shown(rows: dict[str, Any]) -> list[str]:
    """Name the sessions whose rows were brought."""
    return sorted(html.split('id="row-run-', 1)[1].split("_", 1)[0] for html in rows["set"])


@scenario
async def test_the_first_event_says_how_many_there_are_and_the_next_brings_them() -> None:
    async with browsing(FakeViewing([session("web"), session("api")])) as browser, following(browser) as told:
        kind, data, _ = await told.next()
        assert (kind, data) == ("synced", {"rows": 2, "all": True})
        assert shown(await told.rows()) == ["api", "web"]


@scenario
async def test_nothing_is_synced_until_the_sessions_are_listed() -> None:
    viewing = FakeViewing()
    viewing.trouble = BackendError("the cluster doesn't answer")
    async with browsing(viewing) as browser, following(browser) as told:
        with anyio.move_on_after(30) as waited:
            await told.next()
        assert waited.cancelled_caught


@scenario
async def test_an_empty_cluster_is_synced_with_no_rows() -> None:
    async with browsing(FakeViewing()) as browser, following(browser) as told:
        assert (await told.next())[:2] == ("synced", {"rows": 0, "all": True})


@scenario
async def test_a_change_brings_one_row_and_the_end_of_a_session_its_id() -> None:
    viewing = FakeViewing([session("web"), session("api")])
    async with browsing(viewing) as browser, following(browser) as told:
        await told.next()
        await told.rows()
        viewing.show(session("web", owner="bob"))
        assert shown(await told.rows()) == ["web"]
        viewing.watch.board.remove("run-api")
        gone = await told.rows()
        assert (gone["set"], gone["gone"]) == ([], ["row-run-api_api"])


@scenario
async def test_changes_within_a_moment_come_as_one_batch_with_the_newest_state() -> None:
    viewing = FakeViewing([session("web")])
    async with browsing(viewing) as browser, following(browser) as told:
        await told.next()
        await told.rows()
        for owner in ("bob", "carol", "dave"):
            viewing.show(session("web", owner=owner))
            viewing.show(session("api", owner=owner))
            await anyio.sleep(BATCH_S / 10)
        await anyio.sleep(BATCH_S)
        batch = await told.rows()
        assert shown(batch) == ["api", "web"]
        assert all("dave" in html for html in batch["set"])


@scenario
async def test_a_reader_who_was_away_for_a_thousand_changes_gets_the_newest_state_only() -> None:
    viewing = FakeViewing([session("web")])
    async with browsing(viewing) as browser, following(browser) as told:
        await told.next()
        await told.rows()
        for number in range(1000):
            viewing.show(session("web", owner=f"user{number}"))
            await anyio.sleep(0.01)
        batch = await told.rows()
        assert len(batch["set"]) == 1
        assert "user999" in batch["set"][0]


@scenario
async def test_a_stream_that_was_cut_goes_on_where_it_ended() -> None:
    viewing = FakeViewing([session("web"), session("api")])
    async with browsing(viewing) as browser:
        async with following(browser) as told:
            await told.next()
            _, _, last = await told.next()
        viewing.show(session("web", owner="bob"))
        await anyio.sleep(1)
        async with following(browser, last) as told:
            assert (await told.next())[1] == {"rows": 2, "all": False}
            assert shown(await told.rows()) == ["web"]


@scenario
async def test_a_session_that_ended_while_a_stream_was_cut_is_reported_as_gone() -> None:
    viewing = FakeViewing([session("web"), session("api")])
    async with browsing(viewing) as browser:
        async with following(browser) as told:
            await told.next()
            _, _, last = await told.next()
        viewing.watch.board.remove("run-api")
        await anyio.sleep(1)
        async with following(browser, last) as told:
            await told.next()
            assert (await told.rows())["gone"] == ["row-run-api_api"]


@pytest.mark.parametrize(
    "since", ["other-1", "", "x", "-", "other", "{epoch}-999999", "{epoch}--1", "{epoch}-²"]
)
def test_a_stream_of_an_unknown_epoch_or_number_gets_everything(since: str) -> None:
    @scenario
    async def run() -> None:
        async with browsing(FakeViewing([session("web")])) as browser:
            await browser.site.live.listed.wait()
            async with following(browser, since.format(epoch=browser.site.live.epoch)) as told:
                assert (await told.next())[1] == {"rows": 1, "all": True}
                assert shown(await told.rows()) == ["web"]

    run()


@given(st.text(max_size=20))
@settings(max_examples=30)
def test_any_text_is_taken_for_a_place_in_a_stream(text: str) -> None:
    assert Since.parse(text).version >= 0


def test_a_stream_that_was_cut_before_the_oldest_end_that_is_remembered_gets_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_module, "GONE_MAX", 1)

    @scenario
    async def run() -> None:
        viewing = FakeViewing([session("web"), session("a"), session("b"), session("c")])
        async with browsing(viewing) as browser:
            async with following(browser) as told:
                await told.next()
                _, _, last = await told.next()
            for name in "abc":
                viewing.watch.board.remove(f"run-{name}")
                await anyio.sleep(0.1)
            async with following(browser, last) as told:
                assert (await told.next())[1] == {"rows": 1, "all": True}

    run()


@scenario
async def test_only_what_may_be_seen_is_brought_and_counted() -> None:
    viewing = FakeViewing([session("web"), session("api")])
    viewing.denied = {SEE_ALL, see_one(session("api"))}
    async with browsing(viewing) as browser, following(browser) as told:
        assert (await told.next())[1]["rows"] == 1
        rows = await told.rows()
        assert shown(rows) == ["web"]
        viewing.show(session("api", owner="bob"))
        viewing.show(session("web", owner="bob"))
        assert shown(await told.rows()) == ["web"]


@scenario
async def test_a_right_that_is_taken_away_closes_the_row_within_a_minute() -> None:
    viewing = FakeViewing([session("web"), session("api")])
    viewing.denied = {SEE_ALL}
    async with browsing(viewing) as browser, following(browser) as told:
        await told.next()
        await told.rows()
        began = anyio.current_time()
        viewing.denied = {SEE_ALL, see_one(session("api"))}
        assert (await told.rows())["gone"] == ["row-run-api_api"]
        assert anyio.current_time() - began <= MINUTE_S


@scenario
async def test_a_right_that_is_given_opens_the_row_within_a_minute() -> None:
    viewing = FakeViewing([session("web"), session("api")])
    viewing.denied = {SEE_ALL, see_one(session("api"))}
    async with browsing(viewing) as browser, following(browser) as told:
        await told.next()
        await told.rows()
        viewing.denied = {SEE_ALL}
        assert shown(await told.rows()) == ["api"]


@scenario
async def test_one_review_of_the_whole_cluster_is_enough_where_it_is_allowed() -> None:
    viewing = FakeViewing([session(f"s{number}") for number in range(50)])
    async with browsing(viewing) as browser, following(browser) as told:
        await told.next()
        await told.rows()
    assert viewing.reviews == [SEE_ALL]


@scenario
async def test_a_hundred_streams_of_one_identity_ask_for_rights_once_a_minute() -> None:
    viewing = FakeViewing([session("web"), session("api")])
    viewing.denied = {SEE_ALL}
    async with browsing(viewing) as browser, anyio.create_task_group() as tasks:

        async def follow() -> None:
            async with following(browser) as told:
                await told.next()
                await told.next()

        for _ in range(100):
            tasks.start_soon(follow)
    assert len(viewing.reviews) == 3


@scenario
async def test_a_login_that_ends_ends_its_stream() -> None:
    async with browsing(FakeViewing([session()])) as browser, following(browser) as told:
        await told.next()
        await told.rows()
        browser.site.logins.leave(browser.login)
        assert [(await told.next())[0], (await told.next())[0]] == ["login", "end"]


@scenario
async def test_a_watch_that_is_cut_is_reported_and_so_is_its_return() -> None:
    viewing = FakeViewing([session()])
    async with browsing(viewing) as browser, following(browser) as told:
        await told.next()
        await told.rows()
        viewing.watch.pulses[0].cut()
        kind, data, _ = await told.next()
        assert kind == "cut"
        assert datetime.fromisoformat(data["at"]) <= datetime.now(UTC)
        viewing.watch.pulses[0].opened()
        assert (await told.next())[0] == "live"


@scenario
async def test_a_silent_stream_is_kept_open_by_pings() -> None:
    async with browsing(FakeViewing([session()])) as browser:
        site = browser.site
        watching = Watching(viewer=site.viewer, login=browser.login, since=Since(), has_rows=True, looks={})
        pings = 0
        with anyio.move_on_after(PING_S * 4.5):
            async with aclosing(browser_events(site.live, site.logins, watching)) as events:
                async for chunk in events:
                    pings += chunk.startswith(b"event: ping")
    assert pings == 4


def expiring(state: SessionState) -> SessionState:
    """Let a session's end be a minute away, of ten."""
    end = write_time(datetime.now(UTC) + timedelta(seconds=1))
    assert state.place is not None
    lifetime = Lifetime(limits=Limits(), expires=end)
    return replace(state, place=replace(state.place, lifetime=lifetime))


@scenario
async def test_a_session_changes_its_state_by_time_alone() -> None:
    past = expiring(session("web"))
    viewing = FakeViewing([past])
    async with browsing(viewing) as browser:
        await browser.site.live.listed.wait()
        row = browser.site.live.rows["row-run-web_web"]
        browser.site.live.rows["row-run-web_web"] = replace(row, phase=Phase.NEW)  # as it was a while ago
        async with following(browser) as told:
            await told.next()
            await told.rows()
            assert shown(await told.rows()) == ["web"]


@scenario
async def test_one_session_is_followed_with_its_parts() -> None:
    viewing = FakeViewing([session("web")])
    async with (
        browsing(viewing) as browser,
        following(browser, "", "run-web/web/saves", has_rows=False) as told,
    ):
        await browser.site.live.listed.wait()
        assert (await told.next())[0] == "synced"
        kind, data, _ = await told.next()
        assert (kind, data["topic"]) == ("parts", "run-web/web/saves")
        viewing.show(session("web", owner="carol"))
        kind, data, _ = await told.next()
        assert "carol" in data["parts"]["head"]
        viewing.watch.board.remove("run-web")
        while kind != "gone":
            kind, data, _ = await told.next()
        assert data == {"topic": "run-web/web/saves"}


@scenario
async def test_a_session_that_may_not_be_seen_any_more_is_gone_from_its_own_page() -> None:
    viewing = FakeViewing([session("web")])
    viewing.denied = {SEE_ALL}
    topic = "run-web/web/saves"
    async with browsing(viewing) as browser, following(browser, "", topic, has_rows=False) as told:
        await told.next()
        await told.next()
        viewing.denied = {SEE_ALL, see_one(session("web"))}
        kind = ""
        with anyio.fail_after(MINUTE_S + 5):
            while kind != "gone":
                kind, _, _ = await told.next()


@scenario
async def test_a_browser_that_leaves_ends_its_stream() -> None:
    async with browsing(FakeViewing([session()])) as browser:
        site = browser.site
        watching = Watching(viewer=site.viewer, login=browser.login, since=Since(), has_rows=True, looks={})

        async def receive() -> dict[str, Any]:
            await anyio.sleep(1)
            return {"type": "http.disconnect"}

        async def send(_: object) -> None:
            assert site.viewer.streams <= 1

        with anyio.fail_after(5):
            events = browser_events(site.live, site.logins, watching)
            await EventStream(events)({"type": "http", "headers": []}, receive, send)
        assert site.viewer.streams == 0


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=8))
@settings(max_examples=30)
def test_compressed_events_are_read_as_they_come_and_as_a_whole(events: list[bytes]) -> None:
    gzip_stream, reader = Gzip(), zlib.decompressobj(31)
    assert reader.decompress(gzip_stream.HEAD) == b""
    sent = gzip_stream.HEAD
    for one in events:
        block = gzip_stream.block(one)
        sent += block
        assert reader.decompress(block) == one
    assert gzip.decompress(sent + gzip_stream.end()) == b"".join(events)


def test_more_streams_than_allowed_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_routes, "STREAMS_MAX", 0)

    @scenario
    async def run() -> None:
        async with browsing(FakeViewing([session()])) as browser:
            answer = await browser.get("/events?topic=rows")
        assert answer.text == "event: busy\ndata: {}\n\n"

    run()


def test_more_logs_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_routes, "LOGS_MAX", 0)

    @scenario
    async def run() -> None:
        async with browsing(FakeViewing([session()])) as browser:
            await browser.site.live.listed.wait()
            answer = await browser.get("/s/run-web/web/logs/stream")
        assert events_in(answer.text) == ["denied", "end"]
        assert "0 logs are followed already" in answer.text

    run()


@scenario
async def test_log_lines_come_in_batches_and_remarks_apart_from_them() -> None:
    viewing = FakeViewing([session()])
    viewing.lines = [
        LogLine(pod="web-1", container="web", at="2026-11-26T10:00:00Z", text="<b>"),
        LogLine(pod="web-2", container="web", at="", text="it can't be read"),
    ]
    async with browsing(viewing) as browser:
        await browser.site.live.listed.wait()
        answer = await browser.get("/s/run-web/web/logs/stream")
    told = [parsed(chunk.encode()) for chunk in answer.text.split("\n\n") if "event" in chunk]
    assert [kind for kind, _, _ in told] == ["line", "note", "end"]
    assert [line["text"] for line in told[0][1]] == ["<b>"]  # type: ignore[index]
    assert told[1][1]["text"] == "it can't be read"


@scenario
async def test_logs_of_a_cluster_that_does_not_answer_are_followed_again_by_the_browser() -> None:
    viewing = FakeViewing([session()])
    async with browsing(viewing) as browser:
        await browser.site.live.listed.wait()
        viewing.log_trouble = TransientError("the cluster doesn't answer")
        answer = await browser.get("/s/run-web/web/logs/stream")
    assert events_in(answer.text) == ["note"]
    assert "the cluster doesn't answer" in answer.text


@scenario
async def test_logs_that_may_not_be_read_are_refused_and_ended() -> None:
    viewing = FakeViewing([session()])
    right = Right(verb="get", resource="pods", subresource="log", namespace="run-web")
    async with browsing(viewing) as browser:
        await browser.site.live.listed.wait()
        viewing.denied = {right}
        refused = await browser.get("/s/run-web/web/logs/stream")
        assert events_in(refused.text) == ["denied", "end"]
        assert "get pods/log in namespace run-web" in refused.text
        viewing.denied = set()
        await anyio.sleep(MINUTE_S)
        viewing.has_endless_logs = True

        async def take_away() -> None:
            await anyio.sleep(1)
            viewing.denied = {right}

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take_away)
            with anyio.fail_after(MINUTE_S):
                ended = await browser.get("/s/run-web/web/logs/stream")
    assert "event: denied" in ended.text


@scenario
async def test_a_session_that_may_be_seen_from_now_on_is_watched_without_a_restart() -> None:
    viewing = FakeViewing()
    viewing.narrowed_to = ("run-web",)
    async with browsing(viewing):
        await anyio.sleep(60)
        assert viewing.watched == [("run-web",)]
        viewing.narrowed_to = ("run-web", "run-api")
        await anyio.sleep(60)
    assert viewing.watched == [("run-web",), ("run-web", "run-api")]


@scenario
async def test_names_that_are_equal_once_they_are_joined_are_two_sessions() -> None:
    viewing = FakeViewing([session("b-run-c", namespace="run-a"), session("run-c", namespace="run-a-b")])
    async with browsing(viewing) as browser:
        await browser.site.live.listed.wait()
        assert len(browser.site.live.rows) == 2


@scenario
async def test_a_long_stream_keeps_nothing_of_what_was() -> None:
    viewing = FakeViewing([session("web")])
    async with browsing(viewing) as browser, following(browser) as told:
        await told.next()
        await told.rows()
        for number in range(50):
            viewing.show(session("web", owner=f"user{number}"))
            await told.rows()
        gc.collect()
        assert len([one for one in gc.get_objects() if isinstance(one, Scene)]) <= 3
