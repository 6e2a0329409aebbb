"""People, interruptions and crashes around one session."""

from __future__ import annotations

from pathlib import Path

from tests.integration.conftest import SharedSession
from tests.people import Person


def test_the_owner_syncs_from_another_home_with_no_right_but_the_session_s(
    session: SharedSession, developer: Person, plain: Path
) -> None:
    with Person(env=developer.env, cwd=plain).leaves_running("sync", session.name, "--allow-prune") as sync:
        sync.tells("save_applied")
        (plain / "settings.yaml").write_text(
            (plain / "settings.yaml").read_text().replace("30s", "from the owner's machine")
        )
        sync.tells("save_applied")
    found = session.owner.get("configmaps", session.namespace)
    data = next(item["data"] for item in found if item["metadata"]["name"] == "settings")
    assert data["interval"] == "from the owner's machine"


def test_someone_else_may_not_even_read_the_writer_s_key(session: SharedSession, developer: Person) -> None:
    del session
    assert developer.types("list").code == 6


def test_a_second_writer_is_refused_by_name(session: SharedSession) -> None:
    with session.syncing():
        second = session.in_root().types("sync", session.name)
        assert second.code == 3
        assert "is being synced by" in second.err
        assert "--take-over" in second.err


def test_an_interrupted_sync_leaves_the_session_and_says_how_to_go_on(session: SharedSession) -> None:
    with session.syncing() as sync:
        assert sync.interrupt() == 130
        ended = sync.tells("sync_ended")
        assert f"gitops-run sync {session.name}" in ended["how_to_go_on"]
    assert not session.source()["spec"].get("suspend", False)


def test_the_next_sync_starts_at_once_after_a_kill(session: SharedSession) -> None:
    with session.syncing() as sync:
        sync.kill()
    with session.in_root().leaves_running("sync", session.name) as sync:
        sync.tells("save_applied", patience_s=15)


def test_a_second_up_amid_a_sync_changes_nothing(session: SharedSession) -> None:
    with session.syncing() as sync:
        before = session.source()["metadata"]["generation"], session.source()["metadata"]["annotations"]
        place = (str(session.root), "--root", str(session.root))
        session.owner.succeeds("up", session.name, *place)
        after = session.source()["metadata"]["generation"], session.source()["metadata"]["annotations"]
        assert before == after
        assert sync.process.poll() is None


def test_a_session_that_is_destroyed_ends_its_sync(admin: Person, plain: Path) -> None:
    admin.succeeds("up", "destroyed", str(plain), "--root", str(plain))
    with Person(env=admin.env, cwd=plain).leaves_running("sync", "destroyed") as sync:
        sync.tells("save_applied")
        admin.succeeds("down", "destroyed")
        assert sync.ends() == 7
    assert "the session was destroyed" in sync.errors


def test_an_interrupted_run_takes_its_session_down(admin: Person, plain: Path) -> None:
    with Person(env=admin.env, cwd=plain).leaves_running("run", ".", "--name", "brief", "--root", ".") as run:
        run.tells("save_applied")
        assert run.interrupt() == 130
    assert "run-brief" not in admin.names("namespaces")


def test_a_session_shows_in_list_and_status(session: SharedSession) -> None:
    with session.syncing() as sync:
        revision = sync.told[-1]["revision"]
        listed = session.owner.succeeds("list", "-o", "json").json
        shown = session.owner.succeeds("status", session.name, "-o", "json").json
    assert session.name in {entry["name"] for entry in listed}
    assert shown["applier"]["applied"] == revision
    assert shown["owner"] == "dev@example.com"
