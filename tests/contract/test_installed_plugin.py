"""The plugin as a program installs it for Pulumi's engine: with which Python it starts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from google.protobuf import empty_pb2

from gitops_run.adapters.pulumi.own_plugin import install_own_plugin
from gitops_run.version import VERSION
from tests.contract.conftest import started_plugin

PROGRAM = "pulumi-resource-gitops-run"


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """Pulumi's folder of plugins, with this version's."""
    install_own_plugin({"PULUMI_HOME": str(tmp_path)})
    return tmp_path / "plugins"


@pytest.fixture
def installed(plugins: Path) -> Path:
    """The folder of this version's plugin."""
    return plugins / f"resource-gitops-run-v{VERSION}"


def _answers(program: Path) -> bool:
    with started_plugin(program) as plugin:
        return bool(plugin.GetPluginInfo(empty_pb2.Empty()).version)


def test_the_installed_plugin_starts_with_the_python_that_installed_it(installed: Path) -> None:
    assert _answers(installed / PROGRAM)


def test_the_installed_plugin_starts_with_another_versions_python_where_its_own_is_gone(
    plugins: Path, installed: Path
) -> None:
    other = plugins / "resource-gitops-run-v99.0.0"
    other.mkdir()
    (installed / PROGRAM).rename(other / PROGRAM)
    (other / "python").write_text("/gone/bin/python\n")
    assert _answers(other / PROGRAM)


def test_an_installed_plugin_without_any_python_says_what_to_set(installed: Path) -> None:
    (installed / "python").write_text("/gone/bin/python\n")
    result = subprocess.run(
        [installed / PROGRAM], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert (result.returncode, "GITOPS_RUN_PYTHON" in result.stderr) == (1, True)
