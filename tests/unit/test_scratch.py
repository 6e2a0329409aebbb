"""Temporary folders go with their process, or with the next one; never with one that still runs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gitops_run.adapters.machine.scratch import own_temporary_files, scratch_folder
from gitops_run.adapters.pulumi.command import PulumiProcess
from gitops_run.adapters.pulumi.runs import Runs
from gitops_run.errors import TransientError
from gitops_run.model.text.masking import Masker

HOLDER = """
import os, sys
from gitops_run.adapters.machine.scratch import scratch_folder
with scratch_folder(os.environ) as scratch:
    (scratch.folder / "key").write_text("k")
    print(scratch.folder, flush=True)
    if sys.argv[1] == "child":
        import subprocess
        child = subprocess.Popen(["cat"], pass_fds=(scratch.lock,), stdout=subprocess.DEVNULL)
        print(child.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}


def runs_in(folder: Path) -> Runs:
    return Runs(folder=folder / "runs", backend="file:///state", stack="gitops-run/web")


def hold(environment: dict[str, str], how: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, how],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(10)
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()


def test_a_folder_goes_with_its_block_and_is_its_owner_s_alone(environment: dict[str, str]) -> None:
    with scratch_folder(environment) as scratch:
        assert scratch.folder.stat().st_mode & 0o077 == 0
        assert scratch.folder.parent.stat().st_mode & 0o077 == 0
    assert [file.name for file in scratch.folder.parent.iterdir()] == [".lock"]


def test_what_a_killed_process_left_goes_with_the_next_one(environment: dict[str, str]) -> None:
    killed = hold(environment)
    left = Path(line(killed))
    kill(killed)
    assert (left / "key").exists()
    with scratch_folder(environment):
        assert not left.exists()


def test_what_a_running_process_holds_stays(environment: dict[str, str]) -> None:
    running = hold(environment)
    held = Path(line(running))
    try:
        with scratch_folder(environment):
            assert (held / "key").exists()
    finally:
        kill(running)


def test_a_child_that_outlives_its_killed_parent_keeps_the_folder(environment: dict[str, str]) -> None:
    killed = hold(environment, "child")
    held, child = Path(line(killed)), int(line(killed))
    killed.kill()
    killed.wait(10)
    with scratch_folder(environment):
        assert (held / "key").exists()
    kill(killed)  # closes the pipe that the child reads from
    assert child


def test_what_a_kill_amid_making_or_removing_a_folder_left_is_removed(environment: dict[str, str]) -> None:
    with scratch_folder(environment) as scratch:
        parent = scratch.folder.parent
    (parent / "run-begun").mkdir()
    (parent / "run-ended.lock").touch()
    with scratch_folder(environment):
        pass
    assert [file.name for file in parent.iterdir()] == [".lock"]


def test_this_process_s_temporary_files_are_in_a_folder_of_its_own(
    environment: dict[str, str], tmp_path: Path
) -> None:
    before = tempfile.gettempdir()
    with own_temporary_files(environment):
        descriptor, name = tempfile.mkstemp()
        os.close(descriptor)
    assert Path(name).is_relative_to(tmp_path / "cache")
    assert not Path(name).exists()
    assert tempfile.gettempdir() == before


def test_a_cache_that_can_not_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    before = tempfile.gettempdir()
    with own_temporary_files({"XDG_CACHE_HOME": str(tmp_path / "file")}):
        assert tempfile.gettempdir() == before


def test_a_cache_that_can_not_be_written_is_named_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TransientError, match="can't be written: Not a directory"):
        scratch_folder({"XDG_CACHE_HOME": str(tmp_path / "file")}).__enter__()


FAKE_PULUMI = """#!/bin/sh
echo key > "$TMPDIR/kubeconfig123"
echo state > "$OUT/state"
env > "$OUT/environment"
echo "error: c4nary-value" >&2
exit ${CODE:-0}
"""


@pytest.fixture
def pulumi(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in Pulumi's place that leaves a copy of a kubeconfig behind, as a plugin of its does."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pulumi").write_text(FAKE_PULUMI)
    (tmp_path / "bin" / "pulumi").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", environment["XDG_CACHE_HOME"])
    monkeypatch.setenv("OUT", str(tmp_path))
    return tmp_path


def test_what_pulumi_s_plugins_leave_behind_goes_with_them(pulumi: Path) -> None:
    PulumiProcess(runs_in(pulumi)).run(["up"], str(pulumi), {})
    assert list((pulumi / "cache").rglob("kubeconfig*")) == []


def test_what_pulumi_writes_is_for_its_owner_alone(pulumi: Path) -> None:
    PulumiProcess(runs_in(pulumi)).run(["up"], str(pulumi), {})
    assert (pulumi / "state").stat().st_mode & 0o777 == 0o600


def test_pulumi_gets_the_environment_without_the_tool_s_own_secrets(
    pulumi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITOPS_RUN_SECRET_KEY", "c4nary")
    monkeypatch.setenv("GITOPS_RUN_WRITER_SECRET_KEY", "c4nary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "for the state's bucket")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    PulumiProcess(runs_in(pulumi)).run(["up"], str(pulumi), {"PULUMI_BACKEND_URL": "s3://states"})
    got = (pulumi / "environment").read_text()
    assert "c4nary" not in got
    assert "AWS_SECRET_ACCESS_KEY=for the state's bucket\n" in got
    assert "HTTPS_PROXY=http://proxy\n" in got
    assert "PULUMI_BACKEND_URL=s3://states\n" in got


def test_an_error_of_pulumi_holds_no_value_that_is_known(
    pulumi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODE", "1")
    masker = Masker()
    masker.learn(["c4nary-value"])
    with pytest.raises(Exception, match=r"error: \*\*\*") as caught:
        PulumiProcess(runs_in(pulumi), masker).run(["up"], str(pulumi), {})
    assert "c4nary" not in str(caught.value)
