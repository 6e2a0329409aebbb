"""When what only charts need is built by a command that needs it."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from gitops_run.sandbox import first_use
from gitops_run.sandbox.environment import inherited
from gitops_run.sandbox.first_use import ensure_chart_programs
from gitops_run.sandbox.state import LOOPBACK, Sandbox, save


@pytest.fixture(autouse=True)
def _no_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_use, "_COMMAND", ("/bin/false",))


def test_on_another_cluster_nothing_is_built(tmp_path: Path) -> None:
    anyio.run(ensure_chart_programs, {"GITOPS_RUN_SETTINGS": str(tmp_path / "settings.yaml")})
    anyio.run(ensure_chart_programs, {})


def test_a_sandbox_that_has_helm_builds_nothing(tmp_path: Path) -> None:
    for name in ("helm", "helm-controller"):
        (tmp_path / name).touch()

    anyio.run(ensure_chart_programs, {"GITOPS_RUN_SETTINGS": str(sandbox_with(tmp_path).settings)})


def test_a_place_of_gos_modules_is_inherited_and_a_password_in_it_is_not() -> None:
    public = {"GOPROXY": "https://proxy.example.com", "GOCACHE": "/cache"}

    assert inherited(public) == public
    assert inherited({"GOPROXY": "https://me:secret@proxy.example.com"}) == {}


def sandbox_with(folder: Path) -> Sandbox:
    programs = {name: folder / name for name in ("helm", "helm-controller")}
    sandbox = Sandbox(
        name="one",
        folder=folder / "one",
        ports={},
        binaries=programs,
        path=(),
        variables={},
        address=LOOPBACK,
    )
    sandbox.folder.mkdir()
    save(sandbox)
    return sandbox
