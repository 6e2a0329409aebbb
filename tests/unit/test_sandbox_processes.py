from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from gitops_run.adapters.machine.host import ProcessRecord, is_running, record
from gitops_run.model.rights.lockdown import ARGUMENTS_ANNOTATION, lacking_bounds, parse_declared
from gitops_run.sandbox.journal import (
    SUPERVISOR,
    Journal,
    log_tail,
    read_events,
    read_state,
    recorded_processes,
)
from gitops_run.sandbox.nodes import flux_namespace
from gitops_run.sandbox.parts import applier_arguments, parts_of
from gitops_run.sandbox.processes import end
from gitops_run.sandbox.state import LOOPBACK, PORT_NAMES, Sandbox, save
from gitops_run.sandbox.status import status_of
from gitops_run.sandbox.store import Account

SECRET = "do-not-show"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        yield process
        process.kill()


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    return Journal(tmp_path)


def test_a_recorded_process_is_ended(sleeper: subprocess.Popen[bytes]) -> None:
    process = record(sleeper.pid)
    assert process is not None
    assert is_running(process)

    assert end([process], patience_s=5) == []

    assert not is_running(process)


def test_a_process_that_only_shares_the_id_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    process = record(sleeper.pid)
    assert process is not None
    stranger = replace(process, start="another time")

    assert end([stranger], patience_s=0) == []

    assert sleeper.poll() is None


def test_a_process_that_has_ended_is_not_recorded(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()

    assert record(sleeper.pid) is None


def test_a_started_part_can_be_found_again_from_its_file(journal: Journal, tmp_path: Path) -> None:
    me, part = ProcessRecord(pid=1, start="a"), ProcessRecord(pid=2, start="b")

    journal.begin(me)
    journal.started("etcd", part)

    assert recorded_processes(read_state(tmp_path)) == {SUPERVISOR: me, "etcd": part}
    assert journal.processes() == {"etcd": part}


def test_a_crashed_part_is_told_with_its_exit_code_and_log(journal: Journal, tmp_path: Path) -> None:
    journal.begin(None)
    journal.started("etcd", ProcessRecord(pid=2, start="b"))

    journal.crashed("etcd", 1, "it broke")

    event = read_events(tmp_path, 1)[0]
    assert (event["part"], event["event"], event["exit_code"], event["log"]) == (
        "etcd",
        "crashed",
        1,
        "it broke",
    )
    assert recorded_processes(read_state(tmp_path)) == {}
    assert read_state(tmp_path)["parts"]["etcd"]["restarts"] == 1


def test_a_sandbox_that_was_stopped_has_no_processes(journal: Journal, tmp_path: Path) -> None:
    journal.begin(ProcessRecord(pid=1, start="a"))

    journal.stopped()

    assert recorded_processes(read_state(tmp_path)) == {}
    assert not read_state(tmp_path)["ready"]


def test_what_is_built_ahead_never_makes_a_sandbox_look_unready(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "run").mkdir(parents=True)
    save(sandbox(folder))
    ended = asdict(ProcessRecord(pid=2**22, start="another time"))
    parts = {"build-ahead": {"state": "started", "process": ended}}
    (folder / "run" / "processes.json").write_text(json.dumps({"ready": True, "parts": parts}))

    assert status_of(folder.name, folder.parent).is_up


def test_the_end_of_a_log_is_that_of_the_last_run(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "etcd.log").write_text("old\nnew 1\nnew 2\n")

    assert log_tail(tmp_path, "etcd", since=4) == "new 1\nnew 2"
    assert log_tail(tmp_path, "etcd", 1) == "new 2"
    assert log_tail(tmp_path, "kwok") == ""


def test_parts_tell_their_health_on_loopback_and_get_no_secret_as_an_argument(tmp_path: Path) -> None:
    parts = parts_of(sandbox(tmp_path), Account(access="ACCESS", secret=SECRET))
    arguments = json.dumps([part.argv for part in parts])

    assert SECRET not in arguments
    assert "ACCESS" not in arguments
    assert all(LOOPBACK in part.health for part in parts)


@pytest.mark.parametrize("controller", ["kustomize-controller", "helm-controller"])
def test_controllers_of_flux_are_locked_down_for_many_tenants(tmp_path: Path, controller: str) -> None:
    parts = {part.name: part for part in parts_of(sandbox(tmp_path), Account(access="a", secret="s"))}

    assert "--no-cross-namespace-refs=true" in parts[controller].argv
    assert "--default-service-account=default" in parts[controller].argv
    assert "--no-remote-bases=true" in parts["kustomize-controller"].argv


def test_what_flux_s_namespace_declares_of_the_controllers_is_what_they_are_started_with(
    tmp_path: Path,
) -> None:
    parts = {part.name: part for part in parts_of(sandbox(tmp_path), Account(access="a", secret="s"))}
    namespace = flux_namespace(applier_arguments(sandbox(tmp_path)))
    declared = parse_declared(namespace["metadata"]["annotations"][ARGUMENTS_ANNOTATION])

    assert {one.name for one in declared} == {"kustomize-controller", "helm-controller"}
    assert all(set(one.arguments) <= set(parts[one.name].argv) for one in declared)
    assert [lacking_bounds(one) for one in declared] == [(), ()]


def sandbox(folder: Path) -> Sandbox:
    programs = ("etcd", "versitygw", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
    flux = ("source-controller", "kustomize-controller", "helm-controller")
    return Sandbox(
        name="trial",
        folder=folder,
        ports={name: 20000 + number for number, name in enumerate(PORT_NAMES)},
        binaries={program: Path("/cache") / program for program in (*programs, *flux)},
        path=(),
        variables={},
    )
