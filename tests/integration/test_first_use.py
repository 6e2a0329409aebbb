"""A sandbox whose cache lacks what only charts need; Go is a script that holds back what is built already."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from gitops_run.adapters.machine.host import is_running
from gitops_run.errors import SandboxError
from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.binaries import ensure_binaries
from gitops_run.sandbox.build import cache_folder, ensure_built, folder_of, missing
from gitops_run.sandbox.first_use import NAME as BUILD_AHEAD
from gitops_run.sandbox.first_use import ensure_chart_programs
from gitops_run.sandbox.journal import read_state, recorded_processes
from gitops_run.sandbox.processes import wait_until
from gitops_run.sandbox.programs import CHART_GROUPS
from gitops_run.sandbox.state import NodeKind, Sandbox
from gitops_run.sandbox.status import status_of

pytestmark = pytest.mark.xdist_group("sandbox")

NAME = "charts"
SECONDS = 30
GO = """#!/bin/sh
case "$1" in
env) echo go1.26.8; exit ;;
esac
for argument; do [ "$before" = -o ] && made=$argument; before=$argument; done
echo example.com/package >&2
while [ ! -e {released} ]; do sleep 0.1; done
cp {built}/"$(basename "$made")" "$made"
"""


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set up a cache without charts' programs, and return the file whose presence lets Go finish them."""
    ensure_binaries(lambda _: None, NodeKind.SIMULATED)
    ensure_built(CHART_GROUPS, lambda _: None)
    built, own = cache_folder(), tmp_path / "cache" / "gitops-run" / "toolchain"
    own.mkdir(parents=True)
    for folder in built.iterdir():
        if folder not in map(folder_of, CHART_GROUPS):
            (own / folder.name).symlink_to(folder)
    programs, go, file = tmp_path / "programs", tmp_path / "bin" / "go", tmp_path / "released"
    programs.mkdir()
    go.parent.mkdir()
    for group in CHART_GROUPS:
        for program in group.programs:
            (programs / program.name).symlink_to(folder_of(group) / program.name)
    go.write_text(GO.format(released=shlex.quote(str(file)), built=shlex.quote(str(programs))))
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(go.parent), prepend=os.pathsep)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return file


@pytest.fixture
def started(released: Path, tmp_path: Path) -> Iterator[Sandbox]:
    yield lifecycle.start(NAME, tmp_path, node=NodeKind.SIMULATED)
    lifecycle.stop(NAME, tmp_path)


def test_a_sandbox_is_ready_without_what_only_charts_need_and_gets_it_later(
    started: Sandbox, released: Path
) -> None:
    before = states(started)
    released.touch()

    assert wait_until(lambda: states(started).get("helm-controller") == "ready", SECONDS)
    assert "helm-controller" not in before
    assert wait_until(lambda: missing(CHART_GROUPS) == [], SECONDS)
    assert wait_until(lambda: BUILD_AHEAD not in states(started), SECONDS)


def test_what_is_built_ahead_is_shown_and_does_not_make_a_sandbox_look_unready(started: Sandbox) -> None:
    assert wait_until(lambda: BUILD_AHEAD in states(started), SECONDS)
    assert status_of(NAME, started.folder.parent).is_up


def test_stopping_a_sandbox_ends_what_is_built_ahead(started: Sandbox) -> None:
    assert wait_until(lambda: BUILD_AHEAD in states(started), SECONDS)
    builder = recorded_processes(read_state(started.folder))[BUILD_AHEAD]

    lifecycle.stop(NAME, started.folder.parent)

    assert not is_running(builder)
    assert len(missing(CHART_GROUPS)) == len(CHART_GROUPS)


def states(sandbox: Sandbox) -> dict[str, str]:
    return {part.name: part.state for part in status_of(sandbox.name, sandbox.folder.parent).parts}


def test_a_chart_that_needs_helm_before_it_is_built_waits_for_it(started: Sandbox, released: Path) -> None:
    assert wait_until(lambda: BUILD_AHEAD in states(started), SECONDS)
    released.touch()

    anyio.run(ensure_chart_programs, {**os.environ, **started.env})

    assert missing(CHART_GROUPS) == []


def test_a_chart_whose_helm_cannot_be_built_is_told_so(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin" / "go").write_text('#!/bin/sh\n[ "$1" = env ] && echo go1.26.8 && exit\nexit 1\n')
    sandbox = lifecycle.start(NAME, tmp_path, node=NodeKind.SIMULATED)

    with pytest.raises(
        SandboxError, match="helm-controller and helm, which a chart needs, could not be built"
    ):
        anyio.run(ensure_chart_programs, {**os.environ, **sandbox.env})
    lifecycle.stop(NAME, tmp_path)
