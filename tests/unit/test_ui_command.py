"""`gitops-run ui` before it serves anything."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gitops_run.cli.ui import ui
from gitops_run.errors import GuardError, UsageError


@pytest.mark.parametrize("package", ["uvicorn", "starlette", "htpy", "prometheus_client"])
def test_without_its_packages_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for name in [one for one in sys.modules if one.startswith("gitops_run.web")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [one for one in sys.modules if one.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    failed = CliRunner().invoke(ui, [], standalone_mode=False).exception
    assert isinstance(failed, UsageError)
    assert package in failed.message
    assert failed.hint == "install them: pip install 'gitops-run[web]'"


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_a_usage_error(port: str) -> None:
    failed = CliRunner().invoke(ui, ["--port", port], standalone_mode=False).exception
    assert isinstance(failed, click.UsageError)


def test_a_context_that_nobody_allowed_is_refused(tmp_path: Path) -> None:
    named = {
        "clusters": [{"name": "staging", "cluster": {"server": "https://staging.example.com"}}],
        "users": [{"name": "ann", "user": {"token": "x"}}],
        "contexts": [{"name": "staging", "context": {"cluster": "staging", "user": "ann"}}],
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **named}))
    said = ["--kubeconfig", str(kubeconfig), "--context", "staging"]
    assert isinstance(CliRunner().invoke(ui, said, standalone_mode=False).exception, GuardError)
