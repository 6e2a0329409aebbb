"""What a kill amid Pulumi's writing leaves in its file backend."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops_run.adapters.pulumi.state import TornState, find_torn
from gitops_run.model.stack_events import StackLock


@pytest.fixture
def state(tmp_path: Path) -> Path:
    file = tmp_path / ".pulumi/stacks/gitops-run/web.json"
    file.parent.mkdir(parents=True)
    file.with_name("web.json.bak").write_text('{"version": 3}')
    return file


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    file = tmp_path / ".pulumi/locks/organization/gitops-run/web/1.json"
    file.parent.mkdir(parents=True)
    return file


def torn(tmp_path: Path) -> TornState | None:
    return find_torn({"PULUMI_BACKEND_URL": tmp_path.as_uri()}, "web")


@pytest.mark.parametrize("text", ["", '{"version": 3, "che'])
def test_a_torn_state_gives_way_to_the_one_before(tmp_path: Path, state: Path, text: str) -> None:
    state.write_text(text)
    found = torn(tmp_path)
    assert found is not None
    found.restore()
    assert state.read_text() == '{"version": 3}'


def test_a_whole_state_is_not_torn(tmp_path: Path, state: Path) -> None:
    state.write_text('{"version": 4}')
    assert torn(tmp_path) is None


def test_a_torn_state_without_one_before_is_left(tmp_path: Path, state: Path) -> None:
    state.write_text("")
    state.with_name("web.json.bak").unlink()
    assert torn(tmp_path) is None


def test_a_torn_state_names_the_lock_that_a_killed_run_has_left(
    tmp_path: Path, state: Path, lock: Path
) -> None:
    state.write_text("")
    lock.write_text('{"pid": 7, "username": "ada", "hostname": "desk", "timestamp": "2026-11-24T01:00:00Z"}')
    found = torn(tmp_path)
    assert found is not None
    expected = StackLock(user="ada", host="desk", pid=7, since="2026-11-24T01:00:00Z", path=str(lock))
    assert found.locks == (expected,)


def test_a_torn_lock_is_a_process_of_no_known_machine(tmp_path: Path, state: Path, lock: Path) -> None:
    state.write_text("")
    lock.write_text("")
    found = torn(tmp_path)
    assert found is not None
    assert [entry.host for entry in found.locks] == ["an unknown machine"]


def test_a_state_that_is_not_in_files_is_not_torn() -> None:
    assert find_torn({"PULUMI_BACKEND_URL": "s3://bucket"}, "web") is None
