"""The tab Logs in the system's Chromium: what is followed, filtered, kept and downloaded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.chromium import PROGRAM, Faults
from tests.browser.server import Example
from tests.browser.visits import LINES, SESSION, live

pytestmark = pytest.mark.skipif(
    not PROGRAM, reason="not run, there is no Chromium: apt-get install -y chromium fonts-dejavu-core"
)


def test_the_logs_of_all_pods_are_shown_as_text(page: Page) -> None:
    live(page, f"{SESSION}?tab=logs")
    expect(page.locator(".line")).to_have_count(4)
    expect(page.locator(".line").nth(2)).to_contain_text("<script>alert(1)</script>")
    expect(page.locator("#log-count")).to_have_text("4 of 4 lines")


def test_logs_are_filtered_by_level_text_and_expression_and_the_link_keeps_it(page: Page) -> None:
    live(page, f"{SESSION}?tab=logs")
    page.get_by_label("Level").select_option("warning")
    expect(page.locator(".line")).to_have_count(2)
    page.get_by_label("Level").select_option("")
    page.get_by_label("Regular expression").check()
    page.get_by_label("Text or expression").fill("^(GET|ERR)")
    expect(page.locator(".line")).to_have_count(2)
    page.reload()
    expect(page.locator(".line")).to_have_count(2)
    expect(page.get_by_label("Regular expression")).to_be_checked()
    page.get_by_label("Text or expression").fill("(")
    expect(page.locator("#log-problem")).to_contain_text("Invalid regular expression")


def test_an_expression_without_an_end_is_ended(page: Page, example: Example) -> None:
    example.lines.append({**LINES[0], "text": "a" * 60})
    live(page, f"{SESSION}?tab=logs")
    page.get_by_label("Regular expression").check()
    page.get_by_label("Text or expression").fill("^(a+)+$|^(a+)+b")
    page.get_by_label("Text or expression").fill("^(a+)+b$")
    expect(page.locator("#log-problem")).to_contain_text("takes longer than")
    expect(page.locator(".line")).to_have_count(5)


def test_a_filter_that_has_not_been_loaded_yet_blames_no_expression(page: Page) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/logs-worker.js*", hold)
    page.clock.install()
    live(page, f"{SESSION}?tab=logs&regex=1&text=GET")
    expect(page.locator("#log-lines")).to_be_empty()
    page.clock.fast_forward(5000)
    expect(page.locator("#log-problem")).to_be_hidden()
    assert len(held) == 1
    held[0].continue_()
    expect(page.locator(".line")).to_have_count(1)
    expect(page.locator("#log-problem")).to_be_hidden()


def test_paused_logs_wait_and_five_thousand_lines_are_kept(page: Page, example: Example) -> None:
    live(page, f"{SESSION}?tab=logs")
    expect(page.locator(".line")).to_have_count(4)
    page.keyboard.press("f")
    example.send("line", [{**LINES[0], "text": f"line {number}"} for number in range(6000)])
    expect(page.locator("#log-count")).to_contain_text("since you paused")
    expect(page.locator(".line")).to_have_count(4)
    page.keyboard.press("f")
    expect(page.locator(".line")).to_have_count(5000)
    expect(page.locator(".line").last).to_contain_text("line 5999")


def test_what_several_pods_have_kept_is_shown_in_the_order_of_time(page: Page, example: Example) -> None:
    example.lines = [LINES[1], LINES[3], LINES[0], LINES[2]]
    live(page, f"{SESSION}?tab=logs")
    expect(page.locator(".line .text")).to_have_text([line["text"] for line in LINES])


def test_lines_are_not_repeated_once_a_stream_that_was_cut_is_back(
    page: Page, example: Example, faults: Faults
) -> None:
    faults.expected = ("net::ERR",)
    live(page, f"{SESSION}?tab=logs")
    expect(page.locator(".line")).to_have_count(4)
    example.cut()
    expect(page.locator("#log-note")).to_have_text("No lines come at present, reconnecting.")
    expect(page.locator("#log-note")).to_be_hidden(timeout=10_000)
    example.send("line", [{**LINES[0], "at": "2026-11-26T12:00:09Z", "text": "the newest"}])
    expect(page.locator(".line")).to_have_count(5)


def test_why_there_are_no_lines_is_said(page: Page, example: Example) -> None:
    live(page, f"{SESSION}?tab=logs")
    expect(page.locator(".line")).to_have_count(4)
    example.send("note", {"pod": "web-1", "container": "app", "at": "", "text": "<b> is waiting to start"})
    example.send("denied", {"message": "You need the right to get pods/log.", "hint": "Ask the owner."})
    expect(page.locator("#log-note")).to_contain_text("web-1 app: <b> is waiting to start")
    expect(page.locator("#log-note")).to_contain_text("You need the right to get pods/log. Ask the owner.")


def test_logs_are_followed_as_soon_as_there_is_a_pod(page: Page, example: Example) -> None:
    pods, example.view = example.view.pods, replace(example.view, pods=())
    live(page, f"{SESSION}?tab=logs")
    expect(page.locator("#panel")).to_contain_text("No pods, so no logs")
    example.view = replace(example.view, pods=pods)
    example.send_parts("run-checkout/checkout/logs")
    expect(page.locator(".line")).to_have_count(4)


def test_a_pod_that_comes_can_be_chosen_and_the_choice_stays(page: Page, example: Example) -> None:
    live(page, f"{SESSION}?tab=logs")
    first = example.view.pods[-1].name
    page.get_by_label("Pod").select_option(first)
    pods = (replace(example.view.pods[0], name="another", has_previous=True), *example.view.pods)
    example.view = replace(example.view, pods=pods)
    example.send_parts("run-checkout/checkout/logs")
    expect(page.locator("#pod-another")).to_be_attached()
    expect(page.get_by_label("Pod")).to_have_value(first)
    expect(page.get_by_label("Before the crash")).to_be_enabled()
    example.view = replace(example.view, pods=())
    example.send_parts("run-checkout/checkout/logs")
    expect(page.get_by_label("Pod")).to_have_value(first)


def test_logs_are_downloaded_as_they_are_shown(page: Page) -> None:
    live(page, f"{SESSION}?tab=logs")
    expect(page.locator(".line")).to_have_count(4)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert (
        download.value.path().read_text().splitlines()[1]
        == "2026-11-26T12:00:01Z web-1 app ERROR payment timed out"
    )
