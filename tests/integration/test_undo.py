"""Going back to an earlier snapshot, on real Flux: files stay, the cluster goes back, the next save wins."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gitops_run.adapters.files.history import SNAPSHOTS_MAX
from gitops_run.sandbox.processes import wait_until
from tests.integration.conftest import SharedSession
from tests.people import Person, Running

PATIENCE_S = 30.0


def save(session: SharedSession, value: str) -> Path:
    """Save a file whose object tells this value."""
    file = session.root / "undone.yaml"
    file.write_text(
        f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: undone\ndata:\n  value: {value!r}\n"
    )
    return file


def applied(session: SharedSession, sync: Running, value: str) -> str:
    """Save a value, and wait until it is applied; return the revision."""
    save(session, value)
    return str(sync.tells("save_applied")["revision"])


def live(session: SharedSession) -> str:
    found = session.owner.get("configmaps", session.namespace)
    return next(str(item["data"]["value"]) for item in found if item["metadata"]["name"] == "undone")


def status(session: SharedSession) -> Any:
    return session.owner.succeeds("status", session.name, "-o", "json").json


def test_an_undo_amid_a_sync_brings_the_earlier_state_back_and_leaves_the_files(
    session: SharedSession,
) -> None:
    with session.syncing() as sync:
        first = applied(session, sync, "first")
        applied(session, sync, "second")
        undone = session.owner.succeeds("undo", session.name)
        assert "your files are unchanged" in undone.out
        assert sync.tells("save_applied")["revision"] == first
        assert live(session) == "first"
        assert "second" in (session.root / "undone.yaml").read_text()
        assert status(session)["undone_to"] == first


def test_an_undo_from_another_machine_is_done_by_the_sync_that_is_live(
    session: SharedSession, tmp_path: Path
) -> None:
    elsewhere = Person(env={**session.owner.env, "XDG_DATA_HOME": str(tmp_path)}, cwd=tmp_path)
    with session.syncing() as sync:
        first = applied(session, sync, "near")
        applied(session, sync, "far")
        assert wait_until(lambda: first in kept(session), PATIENCE_S)
        elsewhere.succeeds("undo", session.name, first.removeprefix("sha256:")[:12])
        answered = sync.tells("request_answered")
        assert live(session) == "near"
    assert (answered["verb"], answered["is_accepted"]) == ("undo", True)
    assert answered["who"]


def kept(session: SharedSession) -> set[str]:
    record = status(session)["record"]
    return {one["revision"] for one in record["kept"]} if record else set()


def test_the_next_save_after_an_undo_applies_the_files_again(session: SharedSession) -> None:
    with session.syncing() as sync:
        applied(session, sync, "before")
        applied(session, sync, "after")
        session.owner.succeeds("undo", session.name)
        sync.tells("save_applied")
        (session.root / "other.yaml").write_text(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: other\ndata: {}\n"
        )
        sync.tells("save_applied")
        assert live(session) == "after"
        sync.interrupt()
    assert status(session)["undone_to"] == ""


def test_an_undo_where_nobody_syncs_pushes_by_itself(session: SharedSession) -> None:
    with session.syncing() as sync:
        first = applied(session, sync, "one")
        applied(session, sync, "two")
        sync.interrupt()
    session.owner.succeeds("undo", session.name, first.removeprefix("sha256:")[:12])
    shown = status(session)
    assert live(session) == "one"
    assert (shown["applier"]["applied"], shown["undone_to"], shown["writer"]) == (first, first, "")
    assert not session.source()["spec"].get("suspend", False)


def test_an_undo_to_what_is_live_does_nothing(session: SharedSession) -> None:
    with session.syncing() as sync:
        revision = applied(session, sync, "stays")
        done = session.owner.succeeds("undo", session.name, revision)
    assert "nothing to undo" in done.err
    assert live(session) == "stays"


def test_an_undo_names_the_sync_elsewhere_that_does_not_answer(session: SharedSession) -> None:
    with session.syncing() as sync:
        first = applied(session, sync, "here")
        applied(session, sync, "there")
        sync.interrupt()
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    theirs = {"holderIdentity": "bob@elsewhere/1/x-1", "renewTime": now}
    lease = ("lease", session.name, "-n", session.namespace, "--type=merge", "-p")
    session.owner.kubectl("patch", *lease, json.dumps({"spec": theirs}))
    try:
        refused = session.owner.types("undo", session.name, first, timeout_s=120)
    finally:
        session.owner.kubectl("patch", *lease, json.dumps({"spec": {"holderIdentity": ""}}))
    assert refused.code == 5
    assert "bob@elsewhere/1/x-1, did not answer" in refused.err
    assert live(session) == "there"


def test_the_history_lists_the_newest_first_and_marks_what_is_live(session: SharedSession) -> None:
    with session.syncing() as sync:
        older = applied(session, sync, "older")
        newer = applied(session, sync, "newer")
    listed = session.owner.succeeds("history", session.name, "-o", "json").json
    assert [entry["revision"] for entry in listed[:2]] == [newer, older]
    assert [entry["is_live"] for entry in listed[:2]] == [True, False]
    assert listed[0]["changed"] == {"added": 0, "changed": 1, "deleted": 0}


def test_a_revision_that_is_not_kept_is_not_found(session: SharedSession) -> None:
    with session.syncing():
        pass
    assert session.owner.types("undo", session.name, "0000").code == 7
    assert session.owner.types("undo", session.name, "no-digits").code == 2


def test_who_has_never_synced_has_no_history(session: SharedSession, developer: Person) -> None:
    refused = developer.types("undo", session.name)
    assert refused.code == 7
    assert "no history on this machine" in refused.err


def test_status_shows_what_the_last_save_took_step_by_step(session: SharedSession) -> None:
    with session.syncing() as sync:
        revision = applied(session, sync, "timed")
        sync.interrupt()
    timings = status(session)["timings"]
    assert timings["last"]["revision"] == revision
    assert sum(step["took_ms"] for step in timings["last"]["steps"]) == timings["last"]["took_ms"]
    assert timings["saves"] >= 2
    assert "saves p50 / p95" in session.owner.succeeds("status", session.name).out


@pytest.mark.timeout(300)  # fifty saves, one after another
def test_only_the_last_snapshots_are_kept(session: SharedSession) -> None:
    with session.syncing() as sync:
        revisions = [applied(session, sync, f"number {number}") for number in range(SNAPSHOTS_MAX + 2)]
    listed = session.owner.succeeds("history", session.name, "-o", "json").json
    assert [entry["revision"] for entry in reversed(listed)] == revisions[-SNAPSHOTS_MAX:]
