"""How long sessions live: limits in the stack, extend, suspend, resume, and the platform's rules."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from gitops_run.sandbox.processes import wait_until
from gitops_run.sandbox.state import Sandbox
from tests.browser.chromium import chromium
from tests.conftest import DEVELOPER, EXAMPLES
from tests.integration.conftest import SharedSession
from tests.integration.own_clusters import bind, someone, user_of
from tests.integration.page_visits import needs_chromium, visiting
from tests.people import Person

NAME = "timed"
VIEWER = "watcher@example.com"
PATIENCE_S = 30.0
RULES = ("--session-ttl", "8h", "--session-max-ttl", "3d", "--session-max-idle-limit", "2h")


@pytest.fixture(scope="module")
def engineer(own_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Person:
    engineer = someone(own_sandbox, tmp_path_factory.mktemp("engineer"))
    engineer.succeeds("platform", "up", *RULES)
    bind(engineer, "gitops-run-viewer", VIEWER)
    return engineer


@pytest.fixture(scope="module")
def viewer(own_sandbox: Sandbox, engineer: Person, tmp_path_factory: pytest.TempPathFactory) -> Person:
    return replace(user_of(own_sandbox, engineer, VIEWER), cwd=tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="module")
def session(
    own_sandbox: Sandbox, engineer: Person, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedSession]:
    """A session whose owner has no other rights than the session gives."""
    root = tmp_path_factory.mktemp("time") / "plain"
    shutil.copytree(EXAMPLES / "plain", root)
    engineer.succeeds("up", NAME, str(root), "--root", str(root), "--owner", DEVELOPER)
    yield SharedSession(NAME, root, user_of(own_sandbox, engineer, DEVELOPER))
    engineer.succeeds("down", NAME)


def shown(person: Person, name: str = NAME) -> dict[str, Any]:
    document: dict[str, Any] = person.succeeds("status", name, "-o", "json").json
    return document


def live(engineer: Person, kind: str) -> dict[str, Any]:
    (found,) = engineer.get(kind, f"run-{NAME}")
    return found


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_session_that_says_nothing_has_the_platforms_limits_and_everybody_sees_them(
    session: SharedSession, engineer: Person, viewer: Person
) -> None:
    annotations = live(engineer, "buckets.source.toolkit.fluxcd.io")["metadata"]["annotations"]
    document = shown(viewer)
    assert annotations["gitops-run.dev/ttl"] == "8h"
    assert annotations["gitops-run.dev/idle-limit"] == "2h"
    created = moment(annotations["gitops-run.dev/created"])
    assert moment(annotations["gitops-run.dev/expires"]) == created + timedelta(hours=8)
    assert document["time"]["expires"] == annotations["gitops-run.dev/expires"]
    assert 0 < document["time"]["left_s"] <= 8 * 3600
    assert 0 < document["time"]["idle_left_s"] <= 2 * 3600
    assert "7h" in viewer.succeeds("list").out


def test_the_owner_extends_within_the_maximum_and_up_keeps_that(
    session: SharedSession, engineer: Person
) -> None:
    before = moment(shown(session.owner)["time"]["expires"])
    session.owner.succeeds("extend", NAME, "4h")
    engineer.succeeds("up", NAME)
    after = shown(session.owner)["time"]
    assert moment(after["expires"]) == before + timedelta(hours=4)
    assert after["is_extended"]


def test_an_extension_beyond_the_maximum_is_refused_with_the_name_of_the_rule(
    session: SharedSession, engineer: Person
) -> None:
    """The owner may not read the rules: the admission policy refuses."""
    before = shown(engineer)["time"]["expires"]
    for person in (session.owner, engineer):
        refused = person.types("extend", NAME, "72h")
        assert refused.code != 0
        assert "sessionMaxTtl" in refused.err
    assert shown(engineer)["time"]["expires"] == before


def test_nobody_gives_a_session_other_limits_around_the_rules(
    session: SharedSession, engineer: Person
) -> None:
    for annotation in ("expires=2099-01-01T00:00:00Z", "idle-limit=9h", "extended=soon", "expires-"):
        with pytest.raises(AssertionError, match="gitops-run-session-time"):
            engineer.kubectl(
                *("annotate", "bucket.source.toolkit.fluxcd.io", NAME, "-n", session.namespace),
                *("--overwrite", f"gitops-run.dev/{annotation}"),
            )


@pytest.mark.parametrize(
    ("flags", "rule"),
    [(("--ttl", "4d"), "sessionMaxTtl"), (("--idle-limit", "never"), "sessionMaxIdleLimit")],
)
def test_a_session_that_exceeds_a_rule_is_refused_with_its_name_and_is_not_created(
    engineer: Person, session: SharedSession, flags: tuple[str, ...], rule: str
) -> None:
    root = str(session.root)
    refused = engineer.types("up", "greedy", root, "--root", root, *flags)
    assert refused.code != 0
    assert rule in refused.err
    assert "run-greedy" not in engineer.names("namespace")


def test_a_suspended_session_says_who_and_why_and_applies_what_was_saved_once_it_is_resumed(
    session: SharedSession, engineer: Person, viewer: Person
) -> None:
    with session.syncing() as sync:
        session.owner.succeeds("suspend", NAME, "--reason", "demo at noon")
        assert live(engineer, "kustomizations.kustomize.toolkit.fluxcd.io")["spec"]["suspend"]
        (session.root / "settings.yaml").write_text(
            (session.root / "settings.yaml").read_text() + "# changed\n"
        )
        told = sync.tells("save_suspended")
        assert f"gitops-run resume {NAME}" in told["hint"]
        document = shown(viewer)
        assert document["phase"] == "suspended"
        assert document["targets"][0]["suspended_by"] == DEVELOPER
        assert document["targets"][0]["suspended_reason"] == "demo at noon"
        assert f"{DEVELOPER}: demo at noon" in viewer.succeeds("list").out
        session.owner.succeeds("resume", NAME)
        sync.tells("save_applied", revision=told["revision"])
    assert shown(viewer)["targets"][0]["suspended_by"] == ""


def test_a_viewer_neither_extends_nor_suspends(
    session: SharedSession, engineer: Person, viewer: Person
) -> None:
    before = shown(engineer)
    for command in (("extend", NAME), ("suspend", NAME, "--reason", "mine")):
        assert viewer.types(*command).code != 0
    after = shown(engineer)
    assert after["time"]["expires"] == before["time"]["expires"]
    assert not after["targets"][0]["is_suspended"]


def test_the_live_loop_warns_before_the_end_and_an_ended_session_is_brought_up_only_after_extend(
    session: SharedSession, own_sandbox: Sandbox, engineer: Person
) -> None:
    root = str(session.root)
    engineer.succeeds("up", "short", root, "--root", root, "--ttl", "20s", "--owner", DEVELOPER)
    with replace(session.owner, cwd=session.root).leaves_running("sync", "short") as sync:
        warned = sync.tells("session_expiring")
        assert warned["expires"] == shown(engineer, "short")["time"]["expires"]
        assert "gitops-run extend short" in warned["hint"]
        ends = warned["expires"]
        assert wait_until(lambda: shown(engineer, "short")["record"]["warned"] == ends, PATIENCE_S)
    assert wait_until(lambda: shown(engineer, "short")["phase"] == "expired", PATIENCE_S)
    refused = engineer.types("up", "short")
    assert refused.code != 0
    assert "gitops-run extend short" in refused.err
    session.owner.succeeds("extend", "short", "1h")
    engineer.succeeds("up", "short")
    left = moment(shown(engineer, "short")["time"]["expires"]) - datetime.now(UTC)
    assert timedelta(minutes=50) < left <= timedelta(hours=1)
    engineer.succeeds("down", "short")


def found(person: Person, kind: str) -> list[str]:
    """Name the sessions of which gc would do something for this reason; changes nothing."""
    findings = person.succeeds("gc", "-o", "json").json
    return sorted(one["session"] for one in findings if one["kind"] == kind)


def make(engineer: Person, root: Path, name: str, *flags: str) -> None:
    engineer.succeeds("up", name, str(root), "--root", str(root), *flags)


def tombstones(engineer: Person) -> set[str]:
    return {name for name in engineer.names("configmap", "default") if name.startswith("gitops-run-ended")}


def test_gc_suspends_an_idle_session_and_idle_time_begins_anew_when_it_is_resumed(
    session: SharedSession, engineer: Person, viewer: Person
) -> None:
    make(engineer, session.root, "idle", "--idle-limit", "5s")
    assert wait_until(lambda: found(viewer, "idle") == ["idle"], PATIENCE_S)
    assert shown(engineer, "idle")["phase"] != "suspended"
    engineer.succeeds("gc", "--apply")
    (target,) = shown(engineer, "idle")["targets"]
    assert target["is_suspended"]
    assert target["suspended_reason"] == "no save for 5s"
    assert found(engineer, "idle") == []
    engineer.succeeds("resume", "idle")
    after = shown(engineer, "idle")
    assert not after["targets"][0]["is_suspended"]
    resumed = moment(after["targets"][0]["resumed_at"])
    assert moment(after["time"]["idle_until"]) == resumed + timedelta(seconds=5)
    engineer.succeeds("down", "idle")


def test_gc_ends_an_expired_session_as_down_does_where_its_stack_is_here(
    session: SharedSession, engineer: Person
) -> None:
    make(engineer, session.root, "brief", "--ttl", "5s")
    assert wait_until(lambda: found(engineer, "expired") == ["brief"], PATIENCE_S)
    assert "run-brief" in engineer.names("namespace")
    told = engineer.succeeds("gc", "--apply").err
    assert "brief" in told
    assert "run-brief" not in engineer.names("namespace")
    assert engineer.types("down", "brief").code != 0
    assert tombstones(engineer) == set()


def test_gc_ends_a_session_whose_stack_is_elsewhere_and_that_stack_learns_of_it(
    session: SharedSession,
    engineer: Person,
    own_sandbox: Sandbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """One stack is brought up again, the other is taken down: neither stumbles, and no word is left."""
    other = someone(own_sandbox, tmp_path_factory.mktemp("other"))
    for name in ("far-a", "far-b"):
        make(engineer, session.root, name, "--ttl", "5s")
    assert wait_until(lambda: found(other, "expired") == ["far-a", "far-b"], PATIENCE_S)
    other.succeeds("gc", "--apply")
    assert not {"run-far-a", "run-far-b"} & engineer.names("namespace")
    assert found(other, "bucket") == []
    assert tombstones(engineer) == {"gitops-run-ended-run-far-a", "gitops-run-ended-run-far-b"}
    again = engineer.succeeds("up", "far-a", "--ttl", "1h")
    assert "its TTL of 5s ended" in again.err
    assert shown(engineer, "far-a")["time"]["ttl"] == "1h"
    engineer.succeeds("down", "far-a")
    assert "its TTL of 5s ended" in engineer.succeeds("down", "far-b").err
    assert tombstones(engineer) == set()
    assert engineer.types("down", "far-b").code != 0


def test_gc_removes_what_carries_the_label_of_a_session_that_is_gone_and_nothing_else(
    session: SharedSession, engineer: Person
) -> None:
    engineer.kubectl("create", "namespace", "shop")
    labels = ("gitops-run.dev/session=gone", "app.kubernetes.io/managed-by=gitops-run")
    for name in ("left", "mine"):
        engineer.kubectl("create", "configmap", name, "-n", "shop")
    engineer.kubectl("label", "configmap", "left", "-n", "shop", *labels)
    assert found(engineer, "orphan") == ["gone"]
    assert "left" in engineer.names("configmap", "shop")
    engineer.succeeds("gc", "--apply")
    assert found(engineer, "orphan") == []
    assert "left" not in engineer.names("configmap", "shop")
    assert "mine" in engineer.names("configmap", "shop")
    engineer.kubectl("delete", "namespace", "shop", "--wait=false")


def test_gc_removes_the_bucket_and_the_keys_of_a_session_whose_namespace_somebody_deleted(
    session: SharedSession, engineer: Person
) -> None:
    make(engineer, session.root, "wiped")
    engineer.kubectl("delete", "namespace", "run-wiped")
    assert found(engineer, "bucket") == ["wiped"] * 3, "the bucket, and a key each to read and to write it"
    engineer.succeeds("gc", "--apply")
    assert found(engineer, "bucket") == []
    engineer.succeeds("down", "wiped", "--from-cluster")


def test_whoever_does_not_see_every_session_collects_nothing(session: SharedSession) -> None:
    assert session.owner.types("gc", "--apply").code != 0


def ask(person: Person, name: str, *words: str) -> str:
    """Ask something of a session; return the request's id."""
    asked = person.succeeds("request", name, *words, "--reason", "demo at noon", "-o", "json").json
    return str(asked["request"]["id"])


def answers(person: Person, name: str = NAME) -> dict[str, bool]:
    record = shown(person, name)["record"]
    return {one["request"]: one["is_accepted"] for one in record["answers"]} if record else {}


def test_what_an_owner_asks_while_nobody_syncs_the_collector_carries_out_once_and_answers(
    session: SharedSession, engineer: Person
) -> None:
    before = moment(shown(engineer)["time"]["expires"])
    suspended = ask(session.owner, NAME, "suspend")
    events = [one["message"] for one in engineer.get("events", f"run-{NAME}")]
    assert f"{DEVELOPER} asked for suspend: demo at noon" in events
    assert found(engineer, "requested") == [NAME]
    engineer.succeeds("gc", "--apply")
    (target,) = shown(engineer)["targets"]
    assert (target["suspended_by"], target["suspended_reason"]) == (DEVELOPER, "demo at noon")
    resumed = ask(session.owner, NAME, "resume")
    engineer.succeeds("gc", "--apply")
    extended = ask(session.owner, NAME, "extend", "10m")
    engineer.succeeds("gc", "--apply")
    session.owner.succeeds("suspend", NAME, "--reason", "later, by hand")
    assert found(engineer, "requested") == []
    engineer.succeeds("gc", "--apply")
    after = shown(engineer)
    assert after["targets"][0]["suspended_reason"] == "later, by hand"
    assert moment(after["time"]["expires"]) == before + timedelta(minutes=10)
    assert answers(engineer) == dict.fromkeys((suspended, resumed, extended), True) | answers(engineer)
    session.owner.succeeds("resume", NAME)


def test_a_retry_that_nobody_syncs_is_flux_s_and_an_extension_beyond_the_rules_is_refused_in_the_record(
    session: SharedSession, engineer: Person
) -> None:
    retried = ask(session.owner, NAME, "retry")
    engineer.succeeds("gc", "--apply")
    bucket = live(engineer, "buckets.source.toolkit.fluxcd.io")
    assert bucket["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"] == retried
    far = ask(session.owner, NAME, "extend", "90d")
    told = engineer.succeeds("gc", "--apply").err
    assert "sessionMaxTtl" in told
    assert answers(engineer)[retried]
    assert not answers(engineer)[far]


def test_an_undo_is_refused_where_nobody_syncs_and_a_viewer_asks_for_nothing(
    session: SharedSession, engineer: Person, viewer: Person
) -> None:
    refused = session.owner.types("request", NAME, "undo", "--reason", "back")
    assert refused.code == 7
    assert "nobody syncs" in refused.err
    assert viewer.types("request", NAME, "end", "--reason", "mine").code != 0
    assert found(engineer, "requested") == []


def test_a_live_sync_answers_what_is_asked_of_it_and_the_end_is_the_collectors(
    session: SharedSession, engineer: Person
) -> None:
    """Its owner may not delete a session: the collector does, and says for whom."""
    root = str(session.root)
    engineer.succeeds("up", "asked", root, "--root", root, "--owner", DEVELOPER)
    with replace(session.owner, cwd=session.root).leaves_running("sync", "asked") as sync:
        sync.tells("save_applied")
        asked = session.owner.succeeds("request", "asked", "suspend", "--reason", "noon", "-o", "json").json
        assert asked["answer"]["is_accepted"]
        assert sync.tells("request_answered")["verb"] == "suspend"
        assert shown(engineer, "asked")["targets"][0]["suspended_by"] == DEVELOPER
        ask(session.owner, "asked", "end")
        told = engineer.succeeds("gc", "--apply").err
        assert f"{DEVELOPER} asks to end it: demo at noon" in told
    assert "run-asked" not in engineer.names("namespace")
    assert engineer.types("down", "asked").code != 0


@needs_chromium
def test_an_end_that_is_asked_for_on_the_page_is_the_collectors_and_the_page_shows_the_receipt(
    session: SharedSession, engineer: Person
) -> None:
    """Its owner has no stack of it, and no rights once it has ended. They see when the collector ran last."""
    make(engineer, session.root, "onpage", "--owner", DEVELOPER)
    with chromium() as browser, visiting(session.owner, browser, "--namespace", "run-onpage") as visit:
        page = visit.opens("/s/run-onpage/onpage/end")
        expect(page.locator("#main")).to_contain_text("Carried out by the collector")
        page.get_by_label("Type onpage to end it").fill("onpage")
        page.get_by_role("button", name="End onpage").click()
        expect(page.locator("#main")).to_contain_text("It has never run as a CronJob, or you may not see it.")
        assert "asks to end it" in engineer.succeeds("gc", "--apply").err
        expect(page.locator("h1")).to_contain_text("You may not see session onpage any more")
        expect(page.locator(".receipt")).to_contain_text("Namespace run-onpage")
    assert "run-onpage" not in engineer.names("namespace")
