"""Where Pulumi's engine finds this project's plugin, and what is written there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import gitops_run
from gitops_run.adapters.pulumi.own_plugin import install_own_plugin
from gitops_run.version import VERSION

PROGRAM = f".pulumi/plugins/resource-gitops-run-v{VERSION}/pulumi-resource-gitops-run"


def _installed(home: Path) -> Path:
    install_own_plugin({"HOME": str(home)})
    return home / PROGRAM


def test_the_plugin_is_installed_as_a_program_that_starts_with_this_python(tmp_path: Path) -> None:
    program = _installed(tmp_path)
    assert program.stat().st_mode & 0o777 == 0o755
    assert program.with_name("python").read_text().strip() == sys.executable


def test_pulumi_home_says_where_the_plugin_is_installed(tmp_path: Path) -> None:
    install_own_plugin({"HOME": "/nowhere", "PULUMI_HOME": str(tmp_path / ".pulumi")})
    assert (tmp_path / PROGRAM).is_file()


def test_a_plugin_that_is_installed_already_is_not_written_again(tmp_path: Path) -> None:
    folder = _installed(tmp_path).parent
    before = {path: path.stat().st_ino for path in folder.iterdir()}
    _installed(tmp_path)
    assert {path: path.stat().st_ino for path in folder.iterdir()} == before


def test_another_environment_of_the_same_version_replaces_the_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _installed(tmp_path)
    monkeypatch.setattr(sys, "executable", "/other/bin/python")
    assert _installed(tmp_path).with_name("python").read_text() == "/other/bin/python\n"


def test_a_program_that_names_session_has_the_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / ".pulumi"))
    assert gitops_run.Session.__name__ == "Session"
    assert (tmp_path / PROGRAM).is_file()


def test_a_home_that_cannot_be_written_does_not_stop_a_program_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "file"))
    assert gitops_run.Session.__name__ == "Session"
