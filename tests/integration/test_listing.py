"""What `list`, `status` and `wait` tell an administrator, and an owner with no right beyond the session."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import DEVELOPER, EXAMPLES
from tests.integration.conftest import SharedSession
from tests.people import Person
from tests.terminals import CTRL_C, at_terminal

BROKEN = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: broken}\ndata: [\n"
MORE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata: {a: b}\n"
SHORT_S = "2"
OTHER = "listed-elsewhere"


@pytest.fixture(scope="module")
def elsewhere(admin: Person, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A session of somebody else, which the developer may not see."""
    root = tmp_path_factory.mktemp("elsewhere") / "plain"
    shutil.copytree(EXAMPLES / "plain", root)
    admin.succeeds("up", OTHER, str(root), "--root", str(root), "--owner", "eve@example.com")
    yield OTHER
    admin.succeeds("down", OTHER)


def test_list_is_narrowed_to_an_owner_a_state_and_a_namespace(
    session: SharedSession, elsewhere: str, admin: Person
) -> None:
    def names(*flags: str) -> set[str]:
        return {one["name"] for one in admin.succeeds("list", "-o", "json", *flags).json}

    phases = {one["name"]: one["phase"] for one in admin.succeeds("list", "-o", "json").json}
    assert phases.keys() >= {session.name, elsewhere}
    assert elsewhere not in names("--owner", DEVELOPER)
    assert session.name in names("--owner", DEVELOPER)
    assert not names("--mine") & {session.name, elsewhere}
    assert elsewhere in names("--state", phases[elsewhere])
    assert elsewhere not in names("--state", "live")
    assert names("--namespace", f"run-{elsewhere}") == {elsewhere}


def test_an_owner_lists_the_session_of_the_one_namespace_that_they_may_see(
    session: SharedSession, elsewhere: str, developer: Person
) -> None:
    unknown = developer.types("list")
    listed = developer.succeeds("list", "-o", "json", "--namespace", session.namespace, "--mine").json
    forbidden = developer.types("list", "--namespace", f"run-{elsewhere}")
    assert unknown.code == 6
    assert "list --namespace NAMESPACE" in unknown.err
    assert [(one["name"], one["owner"]) for one in listed] == [(session.name, DEVELOPER)]
    assert forbidden.code == 6


def test_an_owner_lists_without_a_flag_what_is_synced_from_the_same_machine(
    session: SharedSession, developer: Person
) -> None:
    person = Person(env=developer.env, cwd=session.root)
    with person.leaves_running("sync", session.name, "--allow-prune") as sync:
        sync.tells("save_applied")
        (listed,) = person.succeeds("list", "-o", "json").json
        waited = person.types("wait", session.name, "--for", "applied")
    assert listed["name"] == session.name
    assert listed["synced_by"]["is_live"]
    assert waited.code == 0


def test_a_watched_list_tells_each_change_as_a_line(session: SharedSession, admin: Person) -> None:
    with (
        admin.leaves_running("list", "--watch", "--namespace", session.namespace) as watching,
        session.syncing() as sync,
    ):
        (session.root / "more.yaml").write_text(MORE)
        revision = sync.tells("save_applied")["revision"]
        told = watching.says(lambda one: one["applier"] and one["applier"]["applied"] == revision)
        assert watching.interrupt() == 130
    assert told["name"] == session.name


def test_a_watched_list_is_redrawn_on_a_terminal(session: SharedSession, admin: Person) -> None:
    with at_terminal(admin, "list", "--watch", "--namespace", session.namespace) as terminal:
        terminal.shows(session.name)
        with session.syncing():
            terminal.shows("\x1b[2A")
            terminal.types(CTRL_C)
            code, _ = terminal.ends()
    assert code == 130


def test_wait_ends_with_the_verdict_on_the_newest_save(session: SharedSession, admin: Person) -> None:
    with session.syncing() as sync:
        sync.tells("save_healthy")
        healthy = admin.types("wait", session.name, "--for", "healthy", "-o", "json")
        (session.root / "broken.yaml").write_text(BROKEN)
        sync.tells("save_broken")
        rejected = admin.types("wait", session.name, "--for", "applied")
        (session.root / "broken.yaml").unlink()
        sync.tells("save_unchanged")
        applied = admin.types("wait", session.name, "--for", "applied")
    assert (healthy.code, healthy.json["name"]) == (0, session.name)
    assert (rejected.code, applied.code) == (4, 0)
    assert "broken.yaml" in rejected.err


def test_wait_ends_after_its_timeout_and_says_what_is_missing(elsewhere: str, admin: Person) -> None:
    finished = admin.types("wait", elsewhere, "--for", "applied", "--timeout", SHORT_S)
    assert finished.code == 5
    assert "nothing was saved yet" in finished.err


def test_a_session_that_is_not_there_is_not_found_unless_it_is_to_be_gone(admin: Person) -> None:
    assert admin.types("wait", "nobody", "--for", "applied").code == 7
    assert admin.types("wait", "nobody", "--for", "gone").code == 0


def test_wait_for_gone_ends_when_the_session_has_ended(admin: Person, plain: Path) -> None:
    admin.succeeds("up", "leaving", str(plain), "--root", str(plain))
    with admin.leaves_running("wait", "leaving", "--for", "gone") as waiting:
        admin.succeeds("down", "leaving")
        assert waiting.ends() == 0


def test_status_shows_objects_conditions_and_events(session: SharedSession, admin: Person) -> None:
    with session.syncing():
        pass
    shown = admin.succeeds("status", session.name)
    document = admin.succeeds("status", session.name, "-o", "json").json
    assert {one["kind"] for one in document["inventory"]} >= {"Deployment"}
    assert any(one["type"] == "Ready" for one in document["conditions"])
    assert document["events"]
    assert f"Deployment {session.namespace}/" in shown.out


CHECKS = {
    "laptop": {"pulumi", "kubectl", "helm", "git", "plugin", "inotify", "disk", "settings", "kubeconfig"},
    "cluster": {
        *("kubernetes", "clock", "make sessions", "list sessions"),
        *("flux", "lockdown", "policies", "image"),
    },
    "store": {"endpoint"},
}


def test_doctor_reports_each_check_of_laptop_cluster_and_store(admin: Person, developer: Person) -> None:
    found = admin.succeeds("doctor", "-o", "json").json
    checks = {area: {one["check"] for one in found if one["area"] == area} for area in CHECKS}
    assert checks == CHECKS
    denied = {one["check"]: one for one in developer.types("doctor", "-o", "json").json}
    assert DEVELOPER in denied["make sessions"]["message"]
    assert "gitops-run-session-maker" in denied["make sessions"]["hint"]
