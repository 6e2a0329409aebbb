"""What others see of a session: its state and record, from another machine and by another user."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from gitops_run.adapters.cluster.connection import connect
from gitops_run.adapters.cluster.record import RecordMaps
from gitops_run.api.watch import watch_sessions
from gitops_run.model.state.session_state import Phase, SessionState, phase
from gitops_run.sandbox.processes import wait_until
from gitops_run.sandbox.state import Sandbox
from tests.conftest import DEVELOPER, EXAMPLES
from tests.integration.conftest import SharedSession
from tests.integration.own_clusters import bind, someone, user_of
from tests.people import Person

NAME = "record"
VIEWER = "watcher@example.com"
MAPS = ("gitops-run-state", "gitops-run-record")
BROKEN = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: broken}\ndata: [\n"
SEEN_WITHIN_S = 1.0
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def engineer(own_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Person:
    engineer = someone(own_sandbox, tmp_path_factory.mktemp("engineer"))
    engineer.succeeds("platform", "up")
    bind(engineer, "gitops-run-viewer", VIEWER)
    return engineer


@pytest.fixture(scope="module")
def viewer(own_sandbox: Sandbox, engineer: Person, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody with the platform's viewer role, on a machine that has never seen the session."""
    return replace(user_of(own_sandbox, engineer, VIEWER), cwd=tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="module")
def made(
    own_sandbox: Sandbox, engineer: Person, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedSession]:
    """A session that its owner syncs with no other rights than the session gives."""
    root = tmp_path_factory.mktemp("record") / "plain"
    shutil.copytree(EXAMPLES / "plain", root)
    engineer.succeeds("up", NAME, str(root), "--root", str(root), "--owner", DEVELOPER)
    yield SharedSession(NAME, root, user_of(own_sandbox, engineer, DEVELOPER))
    engineer.succeeds("down", NAME)


@pytest.fixture
def session(made: SharedSession) -> SharedSession:
    shutil.rmtree(made.root)
    shutil.copytree(EXAMPLES / "plain", made.root)
    return made


def test_another_machine_shows_a_broken_save_with_file_and_line_within_a_second(
    session: SharedSession, viewer: Person, own_sandbox: Sandbox
) -> None:
    seen: list[float] = []

    async def watch() -> None:
        async with (
            connect(viewer.env["KUBECONFIG"], own_sandbox.context) as connection,
            watch_sessions(connection) as watched,
        ):
            with anyio.fail_after(PATIENCE_S):
                async for states in watched.sessions():
                    if any(phase(one) is Phase.BROKEN and one.name == session.name for one in states):
                        seen.append(time.monotonic())
                        return

    with session.syncing() as sync:
        (session.root / "broken.yaml").write_text(BROKEN)
        anyio.run(watch)
        sync.tells("save_broken")
        told = time.monotonic()
        listed = viewer.succeeds("list").out
        shown = viewer.succeeds("status", session.name)
        (session.root / "broken.yaml").unlink()
        sync.tells("save_unchanged")
    assert seen[0] - told < SEEN_WITHIN_S
    assert "broken: broken.yaml:" in listed
    assert "broken.yaml:" in shown.out
    assert "not valid YAML" in shown.out


def test_another_machine_shows_the_last_saves_the_changes_and_who_syncs(
    session: SharedSession, viewer: Person
) -> None:
    with session.syncing() as sync:
        (session.root / "shown.yaml").write_text(BROKEN.replace("data: [", "data: {a: b}"))
        applied = sync.tells("save_applied")
        sync.tells("save_healthy")
        shown = shown_with(viewer, applied["revision"])
        (session.root / "shown.yaml").unlink()
        sync.tells("save_applied")
    last = shown["record"]["saves"][-1]
    assert last["outcome"] == "applied"
    assert last["files"] == ["shown.yaml"]
    assert [change["object"] for change in last["changes"]] == [f"ConfigMap {session.namespace}/broken"]
    assert shown["synced_by"]["is_live"]
    assert shown["phase"] in ("live", "applied")


def shown_with(viewer: Person, revision: str) -> dict[str, Any]:
    """Show the session once its record has this revision: it is written every few seconds at most."""
    shown: dict[str, Any] = {}

    def has_it() -> bool:
        shown.update(viewer.succeeds("status", NAME, "-o", "json").json)
        return bool(shown["record"]["saves"][-1]["revision"] == revision)

    assert wait_until(has_it, PATIENCE_S)
    return shown


def test_a_session_of_an_earlier_version_is_synced_without_a_record_and_that_is_told_once(
    session: SharedSession, engineer: Person, tmp_path: Path
) -> None:
    """Its stack has made neither ConfigMap, and its owner may not."""
    maps = ("configmap", *MAPS, "-n", session.namespace)
    kept = tmp_path / "maps.json"
    kept.write_text(engineer.kubectl("get", *maps, "-o", "json"))
    engineer.kubectl("delete", *maps)
    with session.syncing() as sync:
        for number in range(2):
            (session.root / "old.yaml").write_text(BROKEN.replace("data: [", f"data: {{a: b{number}}}"))
            sync.tells("save_applied")
        (session.root / "old.yaml").unlink()
        sync.tells("save_applied")
        sync.interrupt()
    engineer.kubectl("create", "-f", str(kept))
    (failed,) = [event for event in sync.told if event["type"] == "record_failed"]
    assert "others can't see this session's saves" in failed["message"]
    assert f"gitops-run up {session.name}" in failed["hint"]


def test_a_configmap_with_the_name_of_a_state_makes_no_session(engineer: Person) -> None:
    engineer.kubectl("create", "namespace", "mine")
    engineer.kubectl("create", "configmap", "gitops-run-state", "-n", "mine", "--from-literal=loop={}")
    listed = engineer.succeeds("list", "-o", "json").json
    engineer.kubectl("delete", "namespace", "mine", "--wait=false")
    assert {one["namespace"] for one in listed} == {f"run-{NAME}"}


def test_a_state_that_can_not_be_read_is_none_and_its_session_is_shown(
    session: SharedSession, engineer: Person, own_sandbox: Sandbox
) -> None:
    found: list[tuple[SessionState, ...]] = []

    async def watch() -> None:
        async with (
            connect(engineer.env["KUBECONFIG"], own_sandbox.context) as connection,
            watch_sessions(connection) as watched,
        ):
            before = RecordMaps(connection, session.namespace)
            await before.write_state("not JSON")
            with anyio.fail_after(PATIENCE_S):
                async for states in watched.sessions():
                    found.append(states)
                    if all(one.summary is None for one in states if one.name == session.name):
                        return

    anyio.run(watch)
    assert session.name in {one.name for one in found[-1]}
