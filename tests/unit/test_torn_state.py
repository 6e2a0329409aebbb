"""What a kill amid Pulumi's writing leaves in its file backend."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops_run.adapters.pulumi.state import restore_torn


@pytest.fixture
def state(tmp_path: Path) -> Path:
    file = tmp_path / ".pulumi/stacks/gitops-run/web.json"
    file.parent.mkdir(parents=True)
    file.with_name("web.json.bak").write_text('{"version": 3}')
    return file


def restored(tmp_path: Path) -> bool:
    return restore_torn({"PULUMI_BACKEND_URL": tmp_path.as_uri()}, "web")


@pytest.mark.parametrize("torn", ["", '{"version": 3, "che'])
def test_a_torn_state_gives_way_to_the_one_before(tmp_path: Path, state: Path, torn: str) -> None:
    state.write_text(torn)
    assert restored(tmp_path)
    assert state.read_text() == '{"version": 3}'


def test_a_whole_state_stays(tmp_path: Path, state: Path) -> None:
    state.write_text('{"version": 4}')
    assert not restored(tmp_path)
    assert state.read_text() == '{"version": 4}'


def test_a_locked_state_stays(tmp_path: Path, state: Path) -> None:
    state.write_text("")
    lock = tmp_path / ".pulumi/locks/organization/gitops-run/web/1.json"
    lock.parent.mkdir(parents=True)
    lock.write_text("{}")
    assert not restored(tmp_path)


def test_a_state_that_is_not_in_files_stays() -> None:
    assert not restore_torn({"PULUMI_BACKEND_URL": "s3://bucket"}, "web")
