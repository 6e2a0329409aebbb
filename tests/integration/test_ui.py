"""The page in a real browser on a real cluster: what people see of sessions, and what they do to them."""

from __future__ import annotations

import base64
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from playwright.sync_api import Browser, Page, expect

from gitops_run.sandbox.kubeconfigs import issue_user_kubeconfig
from gitops_run.sandbox.state import Sandbox
from tests.browser.chromium import chromium
from tests.conftest import DEVELOPER
from tests.integration.conftest import SharedSession
from tests.integration.page_visits import eventually, needs_chromium, visiting
from tests.people import Person

pytestmark = needs_chromium
CANARY = "canary-of-the-page"
REVOKED_WITHIN_MS = 75_000
"""A minute, and time for a busy machine."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def config_map(name: str, value: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: {value!r}\n"


def row(page: Page, session: SharedSession) -> Any:
    return page.locator(f"#row-{session.namespace}_{session.name}")


def state_of(page: Page, session: SharedSession) -> Any:
    return row(page, session).locator(".state")


def here(session: SharedSession, tab: str = "saves") -> str:
    return f"/s/{session.namespace}/{session.name}?tab={tab}"


def asked_events(session: SharedSession) -> list[str]:
    found = session.owner.get("events", session.namespace)
    return [str(one["message"]) for one in found if str(one["reason"]).endswith("Requested")]


def test_a_save_and_a_broken_one_show_in_the_table_as_they_happen(
    session: SharedSession, browser: Browser
) -> None:
    with session.syncing() as sync, visiting(session.owner, browser) as visit:
        page = visit.opens()
        expect(row(page, session)).to_contain_text(DEVELOPER)
        (session.root / "seen.yaml").write_text(config_map("seen", "1"))
        sync.tells("save_applied")
        expect(state_of(page, session)).to_have_text("live")
        (session.root / "seen.yaml").write_text("kind: [")
        sync.tells("save_broken")
        expect(state_of(page, session)).to_have_text("broken")
        expect(row(page, session)).to_contain_text("seen.yaml")
        page.goto(visit.url + here(session, "why"))
        expect(page.locator("#panel")).to_contain_text("seen.yaml:2")


def test_the_page_of_one_session_shows_saves_and_changes_while_it_is_open(
    session: SharedSession, browser: Browser
) -> None:
    with session.syncing() as sync, visiting(session.owner, browser) as visit:
        page = visit.opens(here(session))
        (session.root / "opened.yaml").write_text(config_map("opened", "1"))
        sync.tells("save_applied")
        expect(page.locator("#panel")).to_contain_text("opened.yaml")


def test_objects_are_a_tree_and_a_secret_has_no_values(session: SharedSession, browser: Browser) -> None:
    secret = f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: hush\nstringData:\n  password: {CANARY}\n"
    with session.syncing() as sync, visiting(session.owner, browser) as visit:
        (session.root / "hush.yaml").write_text(secret)
        sync.tells("save_applied")
        page = visit.opens(here(session, "objects"))
        panel = page.locator("#panel")
        for name in ("Bucket", "Kustomization", "ConfigMap", "Secret"):
            expect(panel).to_contain_text(name)
        page.get_by_role("link", name="hush").click()
        expect(page.locator("#yaml")).to_contain_text("password: (masked)")
        assert CANARY not in page.content()
        assert base64.b64encode(CANARY.encode()).decode() not in page.content()


def test_a_session_is_suspended_with_a_reason_and_resumed(session: SharedSession, browser: Browser) -> None:
    with session.syncing(), visiting(session.owner, browser) as visit:
        page = visit.opens(here(session))
        page.get_by_role("button", name="Suspend…").click()
        page.get_by_label("Reason, for everybody who looks at the session").fill("demo at noon")
        page.locator("#do-suspend").get_by_role("button", name="Suspend", exact=True).click()
        expect(page.locator("#main")).to_contain_text("It is suspended")
        assert session.applier()["spec"]["suspend"] is True
        assert any("suspend: demo at noon" in text for text in asked_events(session))
        page.get_by_role("button", name="Resume", exact=True).click()
        eventually(lambda: session.applier()["spec"].get("suspend") is not True)
        eventually(lambda: "asked for resume" in visit.ui.errors)
        assert "demo at noon" in visit.ui.errors


def test_an_earlier_snapshot_is_brought_back_by_the_sync(session: SharedSession, browser: Browser) -> None:
    with session.syncing() as sync, visiting(session.owner, browser) as visit:
        (session.root / "undone.yaml").write_text(config_map("undone", "first"))
        first = sync.tells("save_applied")["revision"]
        (session.root / "undone.yaml").write_text(config_map("undone", "second"))
        sync.tells("save_applied")
        page = visit.opens(here(session))
        page.get_by_role("button", name="Undo…").click()
        choice = page.locator(f"#do-undo input[value='{first}']")
        expect(choice).to_be_attached()
        choice.check()
        page.locator("#do-undo").get_by_role("button", name="Undo", exact=True).click()
        assert sync.tells("save_applied")["revision"] == first


def test_a_session_is_ended_by_its_name_and_the_page_shows_the_receipt(
    admin: Person, plain: Path, browser: Browser
) -> None:
    admin.succeeds("up", "ui-ended", str(plain), "--root", str(plain))
    with visiting(admin, browser) as visit:
        page = visit.opens("/s/run-ui-ended/ui-ended/end")
        page.get_by_label("Type ui-ended to end it").fill("ui-ended")
        page.get_by_role("button", name="End ui-ended").click()
        expect(page.locator("#main")).to_contain_text("has ended", timeout=120_000)
        expect(page.locator(".receipt")).to_contain_text("run-ui-ended")
        page.goto(f"{visit.url}/")
        expect(page.locator("#row-run-ui-ended_ui-ended")).to_have_count(0)
    assert "run-ui-ended" not in admin.names("namespaces")


def test_two_people_see_what_each_of_them_may_see(
    session: SharedSession, developer: Person, admin: Person, browser: Browser, sandbox: Sandbox
) -> None:
    nobody = issue_user_kubeconfig(sandbox, "nobody@example.com")
    admin.succeeds("up", "ui-other", str(session.root), "--root", str(session.root))
    try:
        with (
            visiting(admin, browser) as every,
            visiting(developer, browser, "--namespace", session.namespace, expected=("404",)) as own,
        ):
            expect(every.opens().locator("#rows [role=row]")).not_to_have_count(1)
            page = own.opens()
            expect(row(page, session)).to_be_visible()
            expect(page.locator("#row-run-ui-other_ui-other")).to_have_count(0)
            gone = own.opens("/s/run-ui-other/ui-other")
            expect(gone.locator("#main")).to_contain_text("or you may not see it")
        stranger = Person(env={**developer.env, "KUBECONFIG": str(nobody)}, cwd=developer.cwd)
        with visiting(stranger, browser, "--namespace", session.namespace, expected=("403",)) as visit:
            expect(visit.opens().locator("#main")).to_contain_text("You may not")
    finally:
        admin.succeeds("down", "ui-other")


def test_a_right_that_is_taken_away_closes_the_row_while_it_is_watched(
    session: SharedSession, admin: Person, developer: Person, browser: Browser, sandbox: Sandbox
) -> None:
    viewer = issue_user_kubeconfig(sandbox, "viewer@example.com")
    kinds = "--resource=buckets,kustomizations,namespaces"
    admin.kubectl("create", "clusterrole", "ui-viewer", "--verb=get,list,watch", kinds)
    bound = ("--clusterrole=ui-viewer", "--user=viewer@example.com")
    admin.kubectl("create", "clusterrolebinding", "ui-viewer", *bound)
    person = Person(env={**developer.env, "KUBECONFIG": str(viewer)}, cwd=developer.cwd)
    try:
        with visiting(person, browser, expected=("404",)) as visit:
            page = visit.opens()
            expect(row(page, session)).to_be_visible()
            one = visit.opens(here(session))
            expect(one.locator("h1")).to_have_text(session.name)
            admin.kubectl("delete", "clusterrolebinding", "ui-viewer")
            expect(row(page, session)).to_have_count(0, timeout=REVOKED_WITHIN_MS)
            expect(one.locator("#main")).to_contain_text("you may not see it", timeout=REVOKED_WITHIN_MS)
    finally:
        admin.kubectl("delete", "clusterrole", "ui-viewer")


def test_eight_tabs_share_one_stream(session: SharedSession, browser: Browser) -> None:
    with visiting(session.owner, browser) as visit:
        pages = [visit.opens("/" if number % 2 else here(session)) for number in range(8)]
        for page in pages:
            expect(page.locator("body")).to_have_attribute("data-stream", "live")
        eventually(lambda: visit.metric('gitops_run_streams{kind="sessions"}') == 1)


def test_a_server_that_is_gone_leaves_the_page_dimmed_with_the_time(
    session: SharedSession, browser: Browser
) -> None:
    expected = ("Failed to load resource", "net::ERR")
    with visiting(session.owner, browser, expected=expected) as visit:
        page = visit.opens()
        expect(page.locator("body")).to_have_attribute("data-stream", "live")
        visit.ui.kill()
        expect(page.locator("#cut")).to_contain_text("reconnecting")
        expect(row(page, session)).to_be_visible()


def test_a_server_that_stops_says_that_the_login_has_ended(session: SharedSession, browser: Browser) -> None:
    with visiting(session.owner, browser) as visit:
        page = visit.opens()
        expect(page.locator("body")).to_have_attribute("data-stream", "live")
        assert visit.ui.interrupt() == 130
        expect(page.locator("#cut")).to_contain_text("Your login has ended")


def test_names_that_look_like_tags_are_shown_as_text(session: SharedSession, browser: Browser) -> None:
    hostile = session.root / "<img src=x onerror=alert(1)>.yaml"
    with session.syncing() as sync, visiting(session.owner, browser) as visit:
        hostile.write_text("kind: [")
        sync.tells("save_broken")
        page = visit.opens(here(session, "why"))
        expect(page.locator("#panel")).to_contain_text(hostile.name)
        page.goto(f"{visit.url}/")
        expect(row(page, session)).to_contain_text("<img src=x")
        assert page.locator("img").count() == 0


def test_logs_that_the_node_does_not_give_are_explained(session: SharedSession, browser: Browser) -> None:
    """A simulated node runs no containers: what it answers is shown, and the stream stays."""
    with session.syncing(), visiting(session.owner, browser) as visit:
        eventually(lambda: session.owner.get("pods", session.namespace))
        page = visit.opens(here(session, "logs"))
        expect(page.locator("#logs")).to_be_visible()
        eventually(lambda: visit.metric('gitops_run_streams{kind="logs"}') == 1)


def test_a_table_is_used_by_keyboard_alone(session: SharedSession, browser: Browser) -> None:
    with visiting(session.owner, browser) as visit:
        page = visit.opens()
        expect(page.locator("body")).to_have_attribute("data-stream", "live")
        page.keyboard.press("/")
        page.keyboard.type(session.name)
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text(session.name)
        expect(page.locator("body")).to_have_attribute("data-stream", "live")
        page.keyboard.press("]")
        expect(page).to_have_url(f"{visit.url}{here(session, 'objects')}")
        expect(page.locator("body")).to_have_attribute("data-stream", "live")
        page.keyboard.press("Escape")
        expect(page).to_have_url(f"{visit.url}/")


def test_the_api_answers_as_it_is_described(session: SharedSession, browser: Browser) -> None:
    with visiting(session.owner, browser) as visit:
        (cookie,) = visit.context.cookies()
        headers = {"Cookie": f"{cookie['name']}={cookie['value']}"}
        schema = schemathesis.openapi.from_url(f"{visit.url}/api/openapi.json", headers=headers)
        for found in schema.get_all_operations():
            operation = found.ok()  # type: ignore[union-attr]
            case = operation.Case(path_parameters={"namespace": session.namespace, "name": session.name})
            answer = case.call(headers=headers)
            case.validate_response(answer)
            assert answer.status_code == 200, operation.label
            _answers_anything(operation, headers)


def _answers_anything(operation: Any, headers: dict[str, str]) -> None:
    """Ask with whatever the description allows: every answer is one that it describes."""

    @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def answers(case: Any) -> None:
        case.call_and_validate(headers=headers)

    answers()


def test_a_link_is_used_once_and_other_names_of_the_server_are_refused(
    session: SharedSession, browser: Browser
) -> None:
    with visiting(session.owner, browser) as visit:
        for host in ("evil.example", "localhost", "127.0.0.1"):
            request = urllib.request.Request(f"{visit.url}/healthz", headers={"Host": host})
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request)
            assert refused.value.code == 421
        listening = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True, check=True).stdout
        port = visit.url.rpartition(":")[2]
        addresses = {line.split()[3] for line in listening.splitlines() if f":{port} " in line}
        assert addresses == {f"127.0.0.1:{port}"}
