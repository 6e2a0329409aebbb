"""Which locks of a stack are cleared: only those whose process has ended for certain."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from gitops_run.adapters.pulumi import stacks
from gitops_run.adapters.pulumi.command import PulumiProcess
from gitops_run.adapters.pulumi.locks import clear_dead, dead_locks, remove
from gitops_run.adapters.pulumi.project import find_home
from gitops_run.adapters.pulumi.runs import Runs
from gitops_run.adapters.pulumi.stacks import Stacks
from gitops_run.errors import LockedError
from gitops_run.model.stack.events import StackEvent, StackLock

CANCEL = "pulumi cancel -s web"


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(folder=tmp_path / "runs", backend="file:///state", stack="gitops-run/web")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        yield process
        process.kill()


def killed(runs: Runs) -> tuple[int, Path]:
    """Begin a run that is killed, and return its process id and its record."""
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        record = runs.begin(process.pid)
        process.kill()
    return process.pid, record


def lock_of(folder: Path, pid: int, *, host: str = "", age: timedelta = timedelta()) -> StackLock:
    path = folder / "lock.json"
    path.write_text("{}")
    since = (datetime.now(UTC) - age).isoformat(timespec="seconds")
    return StackLock(user="jane", host=host or platform.node(), pid=pid, since=since, path=str(path))


def clear(lock: StackLock, runs: Runs) -> list[StackEvent]:
    told: list[StackEvent] = []
    clear_dead([lock], runs, told.append, cancel=CANCEL)
    return told


def assert_stays(lock: StackLock, runs: Runs) -> None:
    with pytest.raises(LockedError) as refused:
        clear(lock, runs)
    assert refused.value.exit_code == 3
    assert f"(process {lock.pid})" in refused.value.message
    assert CANCEL in refused.value.hint
    assert Path(lock.path).exists()


def change(record: Path, **fields: object) -> None:
    record.write_text(json.dumps({**json.loads(record.read_text()), **fields}))


def test_gc_lists_the_locks_of_killed_runs_alone_and_none_that_is_torn(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    home = find_home(tmp_path, tmp_path / "data", {"PULUMI_BACKEND_URL": f"file://{tmp_path}"})
    folder = tmp_path / ".pulumi" / "locks" / "organization" / "gitops-run"
    dead, _ = killed(home.runs_of("web"))
    home.runs_of("live").begin(sleeper.pid)

    def write(stack: str, name: str, **said: object) -> Path:
        held = {"pid": dead, "username": "jane", "hostname": platform.node()}
        path = folder / stack / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**held, "timestamp": datetime.now(UTC).isoformat(), **said}))
        return path

    found = write("web", "killed")
    write("web", "elsewhere", hostname="elsewhere")
    write("live", "held", pid=sleeper.pid)
    write("other", "of a run of another stack")
    (folder / "web" / "torn.json").write_text('{"pid":')
    ((stack, lock),) = dead_locks(home)
    assert (stack, lock.path) == ("web", str(found))
    assert (remove(lock), remove(lock), found.exists()) == (True, False, False)


def test_there_are_no_locks_here_where_the_state_is_elsewhere(tmp_path: Path) -> None:
    home = find_home(tmp_path, tmp_path / "data", {"PULUMI_BACKEND_URL": "s3://states"})
    assert dead_locks(home) == ()


def test_the_lock_of_a_run_that_was_killed_is_cleared_and_reported(runs: Runs, tmp_path: Path) -> None:
    pid, _ = killed(runs)
    lock = lock_of(tmp_path, pid)
    Path(f"{lock.path}.attrs").write_text("{}")
    assert f"cleared the lock of process {pid}" in str(clear(lock, runs))
    assert not list(tmp_path.glob("lock.json*"))


def test_the_lock_of_a_killed_run_is_cleared_though_its_process_id_was_given_again(
    runs: Runs, tmp_path: Path
) -> None:
    _, record = killed(runs)
    change(record, pid=os.getpid())
    assert clear(lock_of(tmp_path, os.getpid()), runs)


def test_the_lock_of_a_run_that_goes_on_stays(
    runs: Runs, tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    runs.begin(sleeper.pid)
    assert_stays(lock_of(tmp_path, sleeper.pid), runs)


def test_a_lock_that_no_run_of_this_tool_took_stays_though_its_process_id_is_free(
    runs: Runs, tmp_path: Path
) -> None:
    pid, record = killed(runs)
    record.unlink()
    assert_stays(lock_of(tmp_path, pid), runs)


@pytest.mark.parametrize("other", ["another machine, or before the last boot", "another container"])
def test_a_lock_from_where_process_ids_mean_something_else_stays(
    runs: Runs, tmp_path: Path, other: str
) -> None:
    pid, record = killed(runs)
    boot, _, namespace = json.loads(record.read_text())["place"].partition("/")
    change(record, place=f"{boot}/pid:[1]" if other == "another container" else f"0-1-2/{namespace}")
    assert_stays(lock_of(tmp_path, pid), runs)


def test_a_lock_of_another_host_name_stays(runs: Runs, tmp_path: Path) -> None:
    pid, _ = killed(runs)
    assert_stays(lock_of(tmp_path, pid, host="elsewhere"), runs)


def test_a_lock_that_is_older_than_the_run_with_its_process_id_stays(runs: Runs, tmp_path: Path) -> None:
    pid, _ = killed(runs)
    assert_stays(lock_of(tmp_path, pid, age=timedelta(minutes=1)), runs)


@pytest.mark.parametrize(
    "other",
    [
        {"backend": "s3://state", "stack": "gitops-run/web"},
        {"backend": "file:///state", "stack": "gitops-run/api"},
    ],
)
def test_a_run_on_another_stack_or_backend_clears_nothing(
    runs: Runs, tmp_path: Path, other: dict[str, str]
) -> None:
    pid, _ = killed(runs)
    assert_stays(lock_of(tmp_path, pid), Runs(folder=runs.folder, **other))


@pytest.mark.parametrize("torn", ["", "[]", '{"pid": 1}', '{"backend": "file:///state"'])
def test_a_torn_record_proves_nothing(runs: Runs, tmp_path: Path, torn: str) -> None:
    pid, record = killed(runs)
    record.write_text(torn)
    assert_stays(lock_of(tmp_path, pid), runs)


def test_a_lock_whose_time_cannot_be_read_stays(runs: Runs, tmp_path: Path) -> None:
    pid, _ = killed(runs)
    path = tmp_path / "lock.json"
    path.write_text("{}")
    lock = StackLock(user="jane", host=platform.node(), pid=pid, since="yesterday", path=str(path))
    assert_stays(lock, runs)


def test_no_lock_is_cleared_where_one_of_them_stays(
    runs: Runs, tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    pid, _ = killed(runs)
    dead, living = lock_of(tmp_path, pid), lock_of(tmp_path, sleeper.pid)
    with pytest.raises(LockedError):
        clear_dead([dead, living], runs, lambda _: None, cancel=CANCEL)
    assert Path(dead.path).exists()


def test_a_success_on_the_stack_forgets_ended_runs_and_keeps_others(
    runs: Runs, sleeper: subprocess.Popen[bytes]
) -> None:
    _, ended = killed(runs)
    living = runs.begin(sleeper.pid)
    runs.forget_ended()
    assert (ended.exists(), living.exists()) == (False, True)


@pytest.mark.parametrize(("script", "kept"), [("exit 3", 0), ("kill -KILL $$", 1)])
def test_a_run_is_recorded_until_it_ends_in_order(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, kept: int
) -> None:
    program = tmp_path / "pulumi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(Exception, match="code"):
        PulumiProcess(runs).run(["up"], str(tmp_path), {})
    assert len(list(runs.folder.glob("*.json"))) == kept


def test_a_disk_that_refuses_ends_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    runs = Runs(folder=tmp_path / "file" / "runs", backend="file:///state", stack="gitops-run/web")
    assert not runs.begin(os.getpid()).exists()


def test_a_lock_of_a_killed_run_that_is_no_file_stays_and_that_it_was_killed_is_said(runs: Runs) -> None:
    pid, _ = killed(runs)
    since = datetime.now(UTC).isoformat(timespec="seconds")
    lock = StackLock(user="jane", host=platform.node(), pid=pid, since=since, path="")
    with pytest.raises(LockedError) as refused:
        clear(lock, runs)
    assert refused.value.hint == f"that run was killed, remove its lock: {CANCEL}"


LOCKED_PULUMI = """#!/bin/sh
echo look >> "$LOOKS"
looks=$(wc -l < "$LOOKS")
[ "$looks" -gt "$TIMES" ] && echo '{}' && exit 0
[ "$SINCE" = each ] && since=2026-11-26T10:00:0${looks}Z || since=2026-11-26T10:00:00Z
echo "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end" >&2
echo "  s3://states/lock.json: created by jane@laptop (pid 7) at $since" >&2
exit 255
"""


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pulumi that finds a lock TIMES times, always the same or EACH time another; returns its looks."""
    program = tmp_path / "pulumi"
    program.write_text(LOCKED_PULUMI)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LOOKS", str(tmp_path / "looks"))
    return tmp_path / "looks"


def read_outputs(folder: Path) -> list[float]:
    """Ask for a stack's outputs, and return the pauses that were made."""
    paused: list[float] = []
    environment = {"PULUMI_BACKEND_URL": "s3://states", "PULUMI_CONFIG_PASSPHRASE": "p"}
    found = Stacks(find_home(folder, folder / "data", environment), pause=paused.append)
    anyio.run(found.outputs, "web", lambda _: None)
    return paused


def test_a_lock_that_its_run_gave_up_is_no_obstacle(
    locked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMES", "2")
    monkeypatch.setenv("SINCE", "each")
    assert len(read_outputs(tmp_path)) == 2
    assert len(locked.read_text().split()) == 3


@pytest.mark.parametrize(("since", "looks"), [("same", 2), ("each", stacks.LOCK_LOOKS)])
def test_a_lock_that_stays_is_reported_with_who_holds_it(
    locked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, since: str, looks: int
) -> None:
    monkeypatch.setenv("TIMES", "9")
    monkeypatch.setenv("SINCE", since)
    with pytest.raises(LockedError, match=r"locked by jane on laptop \(process 7\)"):
        read_outputs(tmp_path)
    assert len(locked.read_text().split()) == looks
