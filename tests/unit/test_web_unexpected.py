"""What nobody expects to fail: the server runs on, the page says so, and the terminal has a line of it."""

from __future__ import annotations

import anyio
import pytest

from gitops_run.api import end_here
from gitops_run.errors import GitOpsRunError
from gitops_run.web import looks, viewer
from gitops_run.web.live import RETRY_S
from gitops_run.web.looks import READ_AGAIN_S
from gitops_run.web.unexpected import guarded
from tests.virtual_time import scenario
from tests.web_fakes import FakeViewing, browsing, session

LINE = "unexpected error: OSError: the disk is full"


async def fails(*_: object) -> None:
    raise OSError("the disk is full")


def viewing_that_reports() -> tuple[FakeViewing, list[str]]:
    reports: list[str] = []
    return FakeViewing([session()], reports), reports


def test_an_end_that_fails_unexpectedly_has_a_receipt_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "has_stack", lambda *_: True)
    monkeypatch.setattr(end_here, "end", fails)

    @scenario
    async def run() -> None:
        viewing, reports = viewing_that_reports()
        async with browsing(viewing) as browser:
            answer = await browser.post("/s/run-web/web/end", name="web")
            await anyio.sleep(1)
            receipt = await browser.get(answer.headers["location"])
            other = await browser.get("/")
        assert (receipt.status_code, "the disk is full" in receipt.text) == (500, True)
        assert (other.status_code, reports) == (200, [LINE])

    run()


@pytest.mark.parametrize("method", ["close_up", "bound"])
def test_a_session_whose_reading_fails_unexpectedly_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(FakeViewing, method, fails)

    @scenario
    async def run() -> None:
        viewing, reports = viewing_that_reports()
        async with browsing(viewing) as browser:
            await browser.site.live.listed.wait()
            page = await browser.get("/s/run-web/web?tab=objects")
            await anyio.sleep(READ_AGAIN_S * 3)
            again = await browser.get("/s/run-web/web?tab=objects")
        assert (page.status_code, again.status_code, reports) == (200, 200, [LINE])

    run()


def test_a_session_that_cannot_even_be_followed_has_a_page_that_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails_at_once(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(looks, "FileDiffs", fails_at_once)

    @scenario
    async def run() -> None:
        viewing, reports = viewing_that_reports()
        async with browsing(viewing) as browser:
            await browser.site.live.listed.wait()
            page = await browser.get("/s/run-web/web")
            other = await browser.get("/")
        assert (page.status_code, "the disk is full" in page.text, other.status_code) == (500, True, 200)
        assert reports == [LINE]

    run()


@scenario
async def test_a_watch_that_fails_unexpectedly_begins_again() -> None:
    viewing, reports = viewing_that_reports()
    places, viewing.places = viewing.places, fails  # type: ignore[method-assign]
    async with browsing(viewing) as browser:
        await anyio.sleep(RETRY_S / 2)
        viewing.places = places  # type: ignore[method-assign]
        await browser.site.live.listed.wait()
    assert reports == [LINE]


@scenario
async def test_logs_that_fail_unexpectedly_end_with_the_reason() -> None:
    viewing, reports = viewing_that_reports()
    viewing.follow_logs = fails  # type: ignore[method-assign,assignment]
    async with browsing(viewing) as browser:
        await browser.site.live.listed.wait()
        answer = await browser.get("/s/run-web/web/logs/stream")
    assert "the disk is full" in answer.text
    assert reports == [LINE]


@scenario
async def test_a_request_that_fails_unexpectedly_is_answered_and_reported() -> None:
    viewing, reports = viewing_that_reports()
    viewing.state = fails  # type: ignore[method-assign,assignment]
    async with browsing(viewing) as browser:
        answer = await browser.post("/s/run-web/web/retry")
        after = await browser.get("/me")
    assert (answer.status_code, "unexpectedly" in answer.text, after.status_code) == (500, True, 200)
    assert reports == [LINE]


def test_the_first_error_of_several_at_once_is_kept() -> None:
    failed: list[GitOpsRunError] = []
    with guarded(lambda _: None, failed.append):
        raise ExceptionGroup("both", [OSError("the disk is full"), ValueError("no")])
    assert [error.message for error in failed] == [LINE]
