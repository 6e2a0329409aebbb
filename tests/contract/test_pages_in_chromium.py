"""The pages in the system's Chromium, of example states: what people see, press and follow."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from gitops_run.model.flux.conditions import SourceStatus
from gitops_run.model.state.saves import Outcome
from gitops_run.web.pages.ordering import GROUPS, SORTS, ordered
from tests.browser import states
from tests.browser.chromium import PROGRAM, Faults
from tests.browser.server import NOTICES, Example
from tests.browser.visits import SESSION, live

pytestmark = pytest.mark.skipif(
    not PROGRAM, reason="not run, there is no Chromium: apt-get install -y chromium fonts-dejavu-core"
)
PLACES = {
    "sessions": "/",
    "groups": "/?group=state&sort=-saved&q=run",
    "no match": "/?q=nothing-like-this",
    "saves": SESSION,
    "objects": f"{SESSION}?tab=objects&kind=Deployment&name=worker&group=apps",
    "logs": f"{SESSION}?tab=logs",
    "why": f"{SESSION}?tab=why",
    "access": f"{SESSION}?tab=access",
    "end": f"{SESSION}/end",
    "receipt": f"{SESSION}/receipt",
    "me": "/me",
    "platform": "/platform",
    **{kind: f"/notice/{kind}" for kind in NOTICES},
}
STANDARDS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
SCHEMES: dict[Literal["light", "dark"], Sequence[str]] = {"light": STANDARDS, "dark": ["color-contrast"]}
WIDTHS = (360, 1440, 2560)
DIALOGS = {"help": "Keys", "suspend": "Suspend…", "undo": "Undo…"}
Open = Callable[..., Page]


def names(page: Page) -> list[str]:
    return page.locator("#rows [role=rowheader] a").all_text_contents()


def look(page: Page, rules: Sequence[str] = STANDARDS) -> list[str]:
    """Name what people with assistive technology can't use, on what is open now."""
    if not page.evaluate("'axe' in globalThis"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate("(rules) => axe.run({ runOnly: rules, resultTypes: ['violations'] })", list(rules))
    return [f"{each['id']}: {each['nodes'][0]['html'][:160]}" for each in found["violations"]]


def looks(page: Page) -> dict[str, list[str]]:
    """Look in light and dark, narrow and wide. Only colours differ between light and dark."""
    seen = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for scheme, rules in SCHEMES.items():
            page.emulate_media(color_scheme=scheme)
            if found := look(page, rules):
                seen[f"{scheme} {width}"] = found
    return seen


SHIFTS = """
    globalThis.shifts = [];
    const place = ({ x, y, width, height }) => [x, y, width, height].join(",");
    const words = ({ node, previousRect, currentRect }) =>
      `${place(previousRect)} -> ${place(currentRect)} ${node?.outerHTML?.slice(0, 80) ?? ""}`;
    const note = (list) => shifts.push(
      ...list.getEntries().map(({ value, sources }) => [value, ...sources.map(words)].join(" ")));
    new PerformanceObserver(note).observe({ type: "layout-shift", buffered: true });
"""


@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("place", ["/", SESSION, f"{SESSION}?tab=logs"], ids=["sessions", "saves", "logs"])
def test_nothing_jumps_while_a_page_is_loaded_followed_and_cut(
    page: Page, example: Example, faults: Faults, place: str, width: int
) -> None:
    faults.expected = ("Failed to load resource", "net::ERR")
    page.set_viewport_size({"width": width, "height": 900})
    page.add_init_script(SHIFTS)
    live(page, place)
    example.change(*(replace(one, owner=f"{one.owner}-b") for one in example.sessions[:5]))
    example.send_parts("run-checkout/checkout/saves")
    expect(page.locator("body")).to_have_attribute("data-stream", "live")
    example.is_down = True
    example.cut()
    expect(page.locator("#cut")).to_be_visible()
    assert page.evaluate("shifts") == []


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_axe_finds_nothing_on_a_page(page: Page, place: str) -> None:
    page.clock.install(time=states.NOW)  # the page that waits doesn't load again meanwhile
    page.goto(place)
    assert looks(page) == {}


@pytest.mark.parametrize("place", ["/", SESSION])
def test_axe_finds_nothing_while_the_stream_is_cut(
    page: Page, example: Example, faults: Faults, place: str
) -> None:
    faults.expected = ("Failed to load resource", "net::ERR")
    live(page, place)
    example.is_down = True
    example.cut()
    expect(page.locator("#cut")).to_be_visible()
    assert looks(page) == {}


@pytest.mark.parametrize("words", DIALOGS.values(), ids=DIALOGS)
def test_axe_finds_nothing_in_a_dialog(page: Page, words: str) -> None:
    live(page, SESSION).get_by_role("button", name=words, exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    for width in (1440, 720):
        page.set_viewport_size({"width": width, "height": 900})
        assert look(page) == []


def test_axe_finds_nothing_in_an_opened_save_and_with_selected_rows(page: Page) -> None:
    live(page, SESSION)
    for each in page.locator("summary").all():
        each.click()
    assert looks(page) == {}
    page.set_viewport_size({"width": 1440, "height": 900})
    live(page, "/").locator("#rows input").first.check()
    assert looks(page) == {}


def test_no_page_scrolls_sideways(page: Page) -> None:
    page.clock.install(time=states.NOW)
    wide = []
    for place in PLACES.values():
        page.goto(place)
        for width in (360, 768, 1100, 2560):
            page.set_viewport_size({"width": width, "height": 900})
            if page.evaluate("document.documentElement.scrollWidth") != width:
                wide.append((place, width))
    assert wide == []


def test_controls_are_large_enough_to_hit(page: Page) -> None:
    """24 by 24 pixels: WCAG 2.2, 2.5.8."""
    live(page, "/")
    small = page.evaluate(
        """[...document.querySelectorAll(
            "button, select, .bar a, input:not([type=hidden], #counts input, #rows input, #all)")]
        .filter((each) => each.checkVisibility())
        .map((each) => [each.outerHTML.slice(0, 80), each.getBoundingClientRect()])
        .filter(([, box]) => box.width < 24 || box.height < 24).map(([html]) => html)"""
    )
    assert small == []


def test_a_row_is_replaced_where_it_is_and_keeps_focus_and_selection(page: Page, example: Example) -> None:
    live(page, "/")
    row = page.locator("#row-run-checkout_checkout")
    row.locator("input").check()
    row.locator("a").focus()
    example.change(states.with_record(states.session(), states.record(branch="other-branch")))
    expect(row).to_contain_text("other-branch")
    expect(row.locator("a")).to_be_focused()
    expect(row.locator("input")).to_be_checked()


def test_rows_keep_their_places_under_the_pointer(page: Page, example: Example) -> None:
    live(page, "/")
    before = names(page)
    page.locator("#row-run-invoices_invoices").hover()
    failing = replace(states.failed(), name="invoices", namespace="run-invoices")
    example.change(failing, replace(states.session("arrived"), owner="zoe"))
    expect(page.locator("#moved")).to_have_text("2 changed order")
    expect(page.locator("#row-run-invoices_invoices")).to_contain_text("failed")
    assert names(page) == before
    page.locator("#moved").press("Enter")  # a pointer that leaves the rows brings them into order by itself
    expect(page.locator("#moved")).to_be_hidden()
    assert names(page)[:2] == ["invoices", "payments"]
    assert "zoe" in page.locator("select[name=owner]").inner_text()


def test_rows_move_once_the_pointer_has_left(page: Page, example: Example) -> None:
    live(page, "/")
    page.locator("#row-run-invoices_invoices").hover()
    example.change(replace(states.failed(), name="invoices", namespace="run-invoices"))
    expect(page.locator("#moved")).to_be_visible()
    page.mouse.move(5, 5)
    expect(page.locator("#moved")).to_be_hidden()
    assert names(page)[:2] == ["invoices", "payments"]


def test_a_session_that_ends_is_struck_out_under_the_pointer_and_gone_after_it(
    page: Page, example: Example
) -> None:
    live(page, "/")
    page.locator("#row-run-invoices_invoices").hover()
    example.send("rows", {"set": [], "gone": ["row-run-catalog_catalog"], "counts": ""})
    expect(page.locator("#row-run-catalog_catalog")).to_have_class("going")
    page.mouse.move(5, 5)
    expect(page.locator("#row-run-catalog_catalog")).to_have_count(0)


@pytest.mark.parametrize("sort", [*SORTS, *(f"-{each}" for each in SORTS)])
def test_the_page_and_the_script_sort_alike(page: Page, example: Example, sort: str) -> None:
    expected = [one.name for one in ordered(example.sessions, sort, states.NOW)]
    live(page, "/").evaluate(
        f"history.replaceState(null, '', '/?sort={sort}'); dispatchEvent(new PopStateEvent('popstate'))"
    )
    assert names(page) == expected
    live(page, f"/?sort={sort}")
    assert names(page) == expected


@pytest.mark.parametrize("group", GROUPS)
def test_the_page_and_the_script_group_alike(page: Page, group: str) -> None:
    live(page, f"/?group={group}")
    by_page = page.locator("#rows").text_content()
    page.locator("select[name=group]").select_option("")
    page.locator("select[name=group]").select_option(group)
    assert page.locator("#rows").text_content() == by_page
    assert f"group={group}" in page.url


def test_what_is_chosen_is_kept_in_the_url_and_comes_back_with_it(page: Page) -> None:
    live(page, "/")
    page.get_by_role("checkbox", name="live").check()
    page.locator("select[name=owner]").select_option("mine")
    page.get_by_role("searchbox").fill("!web-mara")
    assert names(page) == ["checkout"]
    page.reload()
    assert names(page) == ["checkout"]
    expect(page.get_by_role("checkbox", name="live")).to_be_checked()
    page.get_by_role("button", name="Clear", exact=True).click()
    assert len(names(page)) == len(states.team())
    page.go_back()
    assert names(page) == ["checkout"]


def test_a_journey_by_keyboard_alone(page: Page, example: Example) -> None:
    live(page, "/")
    press = page.keyboard.press
    press("/")
    page.keyboard.type("run-checkout")
    press("Escape")
    assert names(page) == ["checkout"]
    press("j")
    expect(page.locator("#row-run-checkout_checkout a")).to_be_focused()
    press("x")
    expect(page.locator("#selected")).to_have_text("1 selected")
    press("p")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_label("Reason").focus()
    page.keyboard.type("demo")
    press("Enter")
    page.wait_for_url("**/")
    assert example.posted[-1][0] == "/bulk"
    assert example.posted[-1][1]["session"] == ["run-checkout/checkout"]
    assert example.posted[-1][1]["action"] == ["suspend"]


def test_a_journey_through_one_session_by_keyboard_alone(page: Page, example: Example) -> None:
    press = page.keyboard.press
    live(page, "/?q=run-checkout")
    press("j")
    press("Enter")
    page.wait_for_url(f"**{SESSION}")
    expect(page.locator("body")).to_have_attribute("data-stream", "live")
    for key, tab in (
        ("o", "objects"),
        ("l", "logs"),
        ("w", "why"),
        ("]", "access"),
        ("[", "why"),
        ("h", "saves"),
    ):
        press(key)
        page.wait_for_url(f"**tab={tab}")
        expect(page.locator("body")).to_have_attribute("data-stream", "live")
    press("?")
    expect(page.locator("#keys")).to_be_visible()
    press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    press("r")
    page.wait_for_url("**/")
    assert example.posted[-1][0] == f"{SESSION}/retry"
    expect(page.locator("body")).to_have_attribute("data-stream", "live")
    press("g")
    press("m")
    page.wait_for_url("**/me")


def test_the_key_that_suspends_resumes_what_is_suspended(page: Page, example: Example) -> None:
    live(page, "/?state=suspended")
    page.keyboard.press("j")
    page.keyboard.press("p")
    page.wait_for_url("**/")
    assert example.posted[-1][1]["action"] == ["resume"]


def test_keys_can_be_switched_off(page: Page) -> None:
    live(page, "/")
    page.keyboard.press("?")
    page.get_by_label("Use these keys").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_hidden()
    page.reload()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_hidden()


def test_tab_reaches_every_control_of_the_sessions_and_shows_where_it_is(page: Page) -> None:
    live(page, "/")
    seen: list[str] = []
    for _ in range(200):
        page.keyboard.press("Tab")
        where, outline = page.evaluate(
            """(() => {
                const at = document.activeElement;
                const ring = (each) => getComputedStyle(each).outlineStyle !== "none";
                if (at === document.body) return ["", true];
                return [at.id || at.name || at.textContent, ring(at) || ring(at.closest("label") ?? at)];
            })()"""
        )
        if where in {"", None} or ("gitops-run" in seen and where == "Skip to the content"):
            break
        assert outline, where
        seen.append(where)
    assert {
        "Sessions",
        "Platform",
        "mara",
        "Keys",
        "q",
        "owner",
        "ns",
        "group",
        "state",
        "all",
        "checkout",
    } <= set(seen)


def test_a_cut_stream_dims_the_page_and_says_as_of_when(page: Page, example: Example, faults: Faults) -> None:
    faults.expected = ("Failed to load resource", "net::ERR")
    live(page, "/")
    rows = names(page)
    example.is_down = True
    example.cut()
    expect(page.locator("#cut")).to_have_text(re.compile(r"As of \d\d:\d\d:\d\d, reconnecting"))
    assert names(page) == rows
    assert page.evaluate("getComputedStyle(document.querySelector('main')).opacity") != "1"
    example.is_down = False
    expect(page.locator("body")).to_have_attribute("data-stream", "live", timeout=20_000)
    expect(page.locator("#cut")).to_be_hidden()


def test_a_cluster_that_is_cut_off_dims_the_page_too(page: Page, example: Example) -> None:
    live(page, "/")
    example.send("cut", {"at": "2026-11-26T12:03:11Z"})
    expect(page.locator("#cut")).to_contain_text("As of")
    example.send("live", {})
    expect(page.locator("#cut")).to_be_hidden()


def test_a_login_that_ends_is_said(page: Page, example: Example) -> None:
    live(page, "/")
    example.send("login", {})
    expect(page.locator("#cut")).to_contain_text("Your login has ended")


def test_a_tab_that_is_opened_after_a_new_login_is_live_and_brings_the_old_ones_back(
    page: Page, example: Example
) -> None:
    live(page, "/")
    example.send("login", {})
    expect(page.locator("#cut")).to_contain_text("Your login has ended")
    example.change(states.with_record(states.session(), states.record(branch="after-login")))
    tab = page.context.new_page()
    tab.clock.set_fixed_time(states.NOW)
    for each in (live(tab, "/"), page):
        expect(each.locator("#cut")).to_be_hidden()
        expect(each.locator("#row-run-checkout_checkout")).to_contain_text("after-login")


def test_a_server_with_too_many_streams_is_said(page: Page, example: Example) -> None:
    live(page, "/")
    example.is_down = True  # a stream that is refused has one event, and ends
    example.send("busy", {})
    example.cut()
    expect(page.locator("#cut")).to_contain_text("Too many pages are open")


def test_eight_tabs_share_one_stream_and_are_all_live(page: Page, example: Example) -> None:
    live(page, "/")
    tabs = [page, *(page.context.new_page() for _ in range(7))]
    for tab in tabs[1:]:
        tab.clock.set_fixed_time(states.NOW)
        live(tab, "/")
    example.change(states.with_record(states.session(), states.record(branch="seen-by-all")))
    for tab in tabs:
        expect(tab.locator("#row-run-checkout_checkout")).to_contain_text("seen-by-all")
    assert example.queries == ["topic=rows"]


def test_a_page_without_shared_workers_has_a_stream_of_its_own(page: Page, example: Example) -> None:
    page.add_init_script("delete globalThis.SharedWorker")
    live(page, "/")
    example.change(states.with_record(states.session(), states.record(branch="own-stream")))
    expect(page.locator("#row-run-checkout_checkout")).to_contain_text("own-stream")


def test_a_session_changes_while_a_save_is_open(page: Page, example: Example) -> None:
    live(page, SESSION)
    page.locator("#save-3-44 summary").click()
    changed = states.with_record(
        states.session(),
        states.record(saves=(*states.saves()[1:], states.save(46, Outcome.APPLIED, states.ago()))),
    )
    view = replace(example.view, state=changed)
    example.view = view
    example.send_parts("run-checkout/checkout/saves")
    expect(page.locator("#save-3-46")).to_be_visible()
    assert page.locator("#save-3-44").get_attribute("open") is not None


def test_five_hundred_sessions_are_all_there_though_the_page_has_the_first_ones(
    page: Page, example: Example
) -> None:
    example.sessions = states.many()
    response = page.goto("/")
    assert response
    assert int(response.request.sizes()["responseBodySize"]) <= 20_000
    expect(page.locator("#rows [role=row]")).to_have_count(500)
    assert names(page) == [one.name for one in ordered(example.sessions, "state", states.NOW)]


def test_an_age_shows_the_exact_time_on_hover(page: Page) -> None:
    live(page, "/")
    age = page.locator("#rows time").first
    age.hover()
    expect(age).to_have_attribute("title", re.compile(r"^26 Nov 2026, \d\d:\d\d:\d\d "))


def test_revisions_and_commands_are_copied(page: Page) -> None:
    live(page, SESSION)
    page.get_by_role("button", name="Copy the command: gitops-run retry").click()
    expect(page.locator("#said")).to_have_text("Command copied")
    assert page.evaluate("navigator.clipboard.readText()") == "gitops-run retry checkout --context kind-dev"
    page.keyboard.press("c")
    expect(page.locator("#said")).to_have_text("Link copied")


def test_hostile_names_are_shown_and_followed_as_text(page: Page, example: Example) -> None:
    name = "<script>alert(1)</script>"
    hostile = replace(
        states.session(),
        name=name,
        owner="\"'><img src=x onerror=alert(1)>",
        source=SourceStatus(revision="x"),
    )
    example.sessions.append(hostile)
    live(page, "/")
    assert name in names(page)
    example.change(replace(hostile, pod_security="<b>new</b>"))
    expect(page.get_by_text("<b>new</b>")).to_be_visible()
    assert page.locator("#rows script, #rows img, #rows b").count() == 0


def long_tasks(page: Page, example: Example, first: int) -> list[float]:
    """Change sessions 20 times a second for two seconds, and collect the tasks of 50 ms and more."""
    page.evaluate(
        """globalThis.long = []; new PerformanceObserver((list) => {
        for (const each of list.getEntries()) long.push(each.duration); }).observe({ type: "longtask" })"""
    )
    for number in range(first, first + 40):
        one = example.sessions[number * 4]
        example.change(states.with_record(one, states.record(branch=f"change-{number}")))
        page.wait_for_timeout(50)
    page.wait_for_timeout(300)
    found: list[float] = page.evaluate("long")
    return found


def test_twenty_changes_a_second_of_five_hundred_sessions_never_hold_up_the_page(
    page: Page, example: Example
) -> None:
    """On a machine that does something else a task may wait; so one of three times must be without any."""
    example.sessions = states.many()
    live(page, "/")
    expect(page.locator("#rows [role=row]")).to_have_count(500)
    page.wait_for_timeout(500)
    seen = []
    for attempt in range(3):
        seen.append(long_tasks(page, example, attempt * 40))
        if not seen[-1]:
            break
    assert [] in seen, seen
    expect(page.get_by_text(f"change-{len(seen) * 40 - 1}")).to_have_count(1)
