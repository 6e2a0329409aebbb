"""The first commands that a newcomer types: their help, and what they import before they answer."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import click
import pytest

from gitops_run.cli.app import cli
from gitops_run.cli.options import no_preflight_flag

HEAVY = (
    "aiohttp",
    "anyio",
    "boto3",
    "botocore",
    "cryptography",
    "kubernetes",
    "obstore",
    "pulumi",
    "rich",
    "yaml",
)
"""Each takes from 20 to 500 ms to import."""
_NEVER_NEEDED_BY_LIST = (
    "boto3",
    "botocore",
    "cryptography",
    "kubernetes.client",
    "kubernetes.config",
    "kubernetes.aio.dynamic",
    "kubernetes.dynamic",
    "obstore",
    "pulumi",
    "requests",
    "rich",
    "urllib3",
    "watchfiles",
)


def imported_by(statement: str) -> set[str]:
    """Run a statement in an interpreter of its own and list the modules that it has loaded afterwards."""
    told = "import json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    code = f"import contextlib\nwith contextlib.suppress(SystemExit):\n    {statement}\n{told}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(result.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["version"], [], ["--help"]], ids=["version", "no command", "--help"])
def test_what_asks_nobody_imports_no_library_that_is_slow(arguments: list[str]) -> None:
    modules = imported_by(f"import sys; sys.argv[1:] = {arguments}; import gitops_run.cli.app as a; a.main()")
    assert modules.isdisjoint(HEAVY)


@pytest.mark.parametrize("module", ["gitops_run", "gitops_run.cli.app"])
def test_the_package_and_its_command_line_import_no_sdk(module: str) -> None:
    assert imported_by(f"import {module}").isdisjoint({*HEAVY, "google", "grpc", "minio", "watchfiles"})


def test_list_imports_only_the_way_to_a_cluster() -> None:
    assert imported_by("import gitops_run.cli.show").isdisjoint(_NEVER_NEEDED_BY_LIST)


def test_the_page_s_server_holds_no_sdk_that_only_an_end_needs() -> None:
    modules = imported_by("import gitops_run.web.serve")
    assert modules.isdisjoint({"boto3", "botocore", "google", "grpc", "obstore", "pulumi", "requests"})


@pytest.mark.parametrize(
    ("arguments", "first"), [(["run"], "starting a session"), (["run", "--help"], ""), (["up"], "")]
)
def test_run_says_that_it_starts_before_it_imports_what_is_slow(
    arguments: list[str], first: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []

    def import_module(name: str) -> None:
        said.append(capsys.readouterr().err)
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(ImportError):
        cli.main(arguments, standalone_mode=False)
    assert first in said[0]
    assert bool(first) == bool(said[0])


@pytest.mark.parametrize("arguments", [[], ["sandbox"], ["platform"]])
def test_without_a_command_help_is_shown_and_nothing_is_wrong(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments, prog_name="gitops-run", standalone_mode=False) is None
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["up"], "--values-files FILE"),
        (["up"], "--substitute NAME=VALUE"),
        (["list"], "--kubeconfig FILE"),
        (["list"], "--context CONTEXT"),
        (["run"], "--store in-cluster|s3|aws"),
    ],
)
def test_help_names_what_a_flag_takes(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main([*arguments, "--help"], prog_name="gitops-run", standalone_mode=False)
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "has_dry_run"), [([], True), (["--no-preflight"], False)])
def test_no_preflight_skips_the_dry_run(arguments: list[str], *, has_dry_run: bool) -> None:
    command = click.Command("save", params=[], callback=lambda **flags: flags)
    given = no_preflight_flag(command).main(arguments, standalone_mode=False)
    assert given == {"has_dry_run": has_dry_run}
