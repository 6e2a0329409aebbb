"""Which backend keeps the stacks."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gitops_run.adapters.machine.private_files import create_private, replace_private
from gitops_run.adapters.pulumi.project import ProjectHome, find_home
from gitops_run.errors import BackendError


@pytest.fixture
def start(tmp_path: Path) -> Path:
    (tmp_path / "repository").mkdir()
    return tmp_path / "repository"


def home(start: Path, **environment: str) -> ProjectHome:
    return find_home(start, start.parent / "data", {"HOME": str(start.parent), **environment})


def log_in(folder: Path, url: str) -> None:
    (folder / ".pulumi").mkdir()
    (folder / ".pulumi" / "credentials.json").write_text(json.dumps({"current": url}))


def test_without_a_choice_stacks_are_kept_in_the_users_data(start: Path) -> None:
    found = home(start)
    assert found.backend == (start.parent / "data" / "state").as_uri()
    assert found.environment["PULUMI_BACKEND_URL"] == found.backend


def test_the_backend_of_pulumi_login_is_used(start: Path) -> None:
    log_in(start.parent, "file://~")
    found = home(start)
    assert found.backend == "file://~"
    assert "PULUMI_BACKEND_URL" not in found.environment


def test_the_projects_backend_goes_before_the_login(start: Path) -> None:
    log_in(start.parent, "file://~")
    (start / "Pulumi.yaml").write_text("name: gitops-run\nruntime: python\nbackend:\n  url: s3://stacks\n")
    assert home(start).backend == "s3://stacks"


def test_the_environments_backend_goes_first(start: Path) -> None:
    log_in(start.parent, "file://~")
    assert home(start, PULUMI_BACKEND_URL="file:///srv/state").backend == "file:///srv/state"


def test_a_private_file_that_the_disk_refuses_is_named_and_not_left_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(BackendError, match="stack can't be written: No space left on device"):
        create_private(tmp_path / "stack", "text")
    assert not (tmp_path / "stack").exists()


def test_a_private_file_that_another_process_has_made_stays_as_it_is(tmp_path: Path) -> None:
    create_private(tmp_path / "stack", "first")
    with pytest.raises(FileExistsError):
        create_private(tmp_path / "stack", "second")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["first"]


def test_a_private_file_is_replaced_for_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "stack").write_text("first")
    replace_private(tmp_path / "stack", "second")
    (file,) = tmp_path.iterdir()
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("second", 0o600)
