"""Whether the sandbox uses Pulumi's own kubernetes plugin, with programs in pulumi's place."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path

import pytest

from gitops_run.sandbox.environment import STAND_IN
from gitops_run.sandbox.pulumi_plugin import ensure_kubernetes_plugin, has_kubernetes_plugin
from gitops_run.sandbox.state import Sandbox

VERSION = importlib.metadata.version("pulumi-kubernetes")


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    return Sandbox(name="s", folder=tmp_path, ports={}, binaries={}, path=(), variables={})


@pytest.fixture
def offline(tmp_path: Path) -> Path:
    """A pulumi that downloads nothing, and counts the tries."""
    return _program(tmp_path / "pulumi", f"echo >> {tmp_path / 'tries'}; echo no network >&2; exit 1")


def _program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def _plugin(home: Path, version: str = VERSION) -> Path:
    folder = home / "plugins" / f"resource-kubernetes-v{version}"
    folder.mkdir(parents=True)
    (folder / "pulumi-resource-kubernetes").touch()
    return folder


def test_a_plugin_that_comes_after_a_failed_try_is_used(sandbox: Sandbox, offline: Path) -> None:
    assert not ensure_kubernetes_plugin(sandbox, offline)
    _plugin(sandbox.folder / "home")
    assert ensure_kubernetes_plugin(sandbox, offline)


def test_a_failed_try_is_made_again_only_after_an_hour(sandbox: Sandbox, offline: Path) -> None:
    memory = sandbox.folder / "kubernetes-plugin.json"
    for age_s in (0, 3500, 3700):
        ensure_kubernetes_plugin(sandbox, offline)
        written = memory.stat().st_mtime
        os.utime(memory, times=(written, written - age_s))
    ensure_kubernetes_plugin(sandbox, offline)
    assert (sandbox.folder / "tries").read_text() == "\n\n"


def test_a_plugin_that_pulumi_installs_is_used_and_no_further_try_is_made(
    sandbox: Sandbox, offline: Path
) -> None:
    folder = sandbox.folder / "home" / "plugins" / f"resource-kubernetes-v{VERSION}"
    script = f"mkdir -p {folder}; touch {folder / 'pulumi-resource-kubernetes'}"
    assert ensure_kubernetes_plugin(sandbox, _program(sandbox.folder / "online", script))
    assert ensure_kubernetes_plugin(sandbox, offline)
    assert not (sandbox.folder / "tries").exists()


def test_a_plugin_that_was_removed_after_it_was_installed_is_not_used(
    sandbox: Sandbox, offline: Path
) -> None:
    folder = _plugin(sandbox.folder / "home")
    assert ensure_kubernetes_plugin(sandbox, offline)
    (folder / "pulumi-resource-kubernetes").unlink()
    assert not ensure_kubernetes_plugin(sandbox, offline)


def test_only_a_whole_plugin_of_the_version_that_programs_ask_for_counts(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    _plugin(tmp_path / ".pulumi", "1.0.0")
    assert not has_kubernetes_plugin(environment)
    folder = _plugin(tmp_path / ".pulumi")
    assert has_kubernetes_plugin(environment)
    folder.with_name(f"{folder.name}.partial").touch()
    assert not has_kubernetes_plugin(environment)


def test_the_stand_in_is_where_a_sandbox_looks_for_it() -> None:
    assert (STAND_IN / "pulumi-resource-kubernetes").is_file()
