"""Children that render: limits, what ends with them, and what they inherit. Each child is a real one."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest

from gitops_run.adapters.render.children import (
    Finished,
    LimitedRuns,
    Limits,
    rendering_environment,
    run_limited,
    without_go_trace,
)
from gitops_run.errors import TransientError

ENV = {"PATH": os.environ["PATH"]}


def run(script: str, limits: Limits | None = None) -> Finished:
    async def main() -> Finished:
        with anyio.fail_after(20):
            return await run_limited(["sh", "-c", script], env=ENV, limits=limits or Limits())

    return anyio.run(main)


def told(finished: Finished) -> str:
    assert finished.excess is not None
    return finished.excess.message


def test_output_message_and_code_come_back() -> None:
    finished = run("echo out; echo err >&2; exit 3")
    assert (finished.code, finished.output, finished.message) == (3, b"out\n", "err\n")


def test_a_child_without_an_end_is_ended_in_time() -> None:
    assert told(run("sleep 600", Limits(time_s=0.1))) == "takes longer than 0.1 s"


def test_a_child_that_ignores_every_signal_is_ended() -> None:
    assert told(run("trap '' TERM INT HUP; while :; do :; done", Limits(time_s=0.2)))


def test_output_without_an_end_is_cut_off() -> None:
    assert told(run("yes", Limits(output_mb=1))) == "writes more than 1 MiB"


def test_messages_without_an_end_take_no_memory() -> None:
    assert told(run("yes >&2", Limits(time_s=0.3))) == "takes longer than 0.3 s"


def test_memory_is_limited() -> None:
    # The limit is set right after the start, which a busy machine may delay.
    limited = "import resource as r\nwhile r.getrlimit(r.RLIMIT_DATA)[0] == r.RLIM_INFINITY: pass"
    script = f"exec {sys.executable} -c '{limited}\nbytearray(300 * 2**20)'"
    assert "MemoryError" in run(script, Limits(memory_mb=100)).message


@pytest.mark.parametrize(
    "message",
    [
        "fatal error: runtime: cannot allocate memory",
        "fatal error: out of memory allocating heap arena metadata",
        "runtime: out of memory: cannot allocate 67108864-byte block",
        "SIGSEGV: segmentation violation",
        "fatal error: unexpected signal during runtime execution",
    ],
)
def test_a_go_program_without_memory_has_exceeded_the_limit(message: str) -> None:
    assert (
        told(run(f"echo '{message}' >&2; exit 2", Limits(memory_mb=7))) == "needs more than 7 MiB of memory"
    )


def test_a_panic_of_a_go_program_is_not_a_lack_of_memory() -> None:
    panic = "panic: runtime error: invalid memory address\n[signal SIGSEGV: segmentation violation code=0x1]"
    assert "invalid memory address" in run(f"echo '{panic}' >&2; exit 2", Limits(memory_mb=7)).message


def test_a_child_that_the_system_killed_is_no_bare_failure() -> None:
    assert "killed by the system" in told(run("kill -9 $$"))


def test_what_a_child_started_ends_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    run(f"sleep 600 & echo $! > {pid_file}; wait", Limits(time_s=0.3))
    assert not is_running(int(pid_file.read_text()))


def test_what_a_child_left_behind_ends_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    assert run(f"sleep 600 >/dev/null 2>&1 & echo $! > {pid_file}").code == 0
    assert not is_running(int(pid_file.read_text()))


def is_running(pid: int) -> bool:
    """Look until a process that was killed is gone: the signal may still be on its way."""
    for _ in range(100_000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        if state == "Z":
            return False
        os.sched_yield()
    return True


def test_a_cancelled_run_leaves_nothing_behind(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            command = ["sh", "-c", f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; sleep 600"]
            tasks.start_soon(partial(run_limited, command, env=ENV, limits=Limits()))
            while not pid_file.exists():
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

    anyio.run(main)
    assert not is_running(int(pid_file.read_text()))


def test_a_program_that_is_not_there_is_tried_again_later() -> None:
    with pytest.raises(TransientError, match="can't be started: No such file"):
        anyio.run(lambda: run_limited(["/nonexistent"], env=ENV, limits=Limits()))


def counted_runs(tmp_path: Path, script: str, *subjects: str) -> int:
    runs = LimitedRuns(Limits(output_mb=1))
    log = tmp_path / "log"

    async def main() -> None:
        for subject in subjects:
            await runs.run(["sh", "-c", f"echo run >> {log}; {script}"], env=ENV, subject=subject)

    anyio.run(main)
    return len(log.read_text().splitlines())


def test_what_exceeded_a_limit_is_not_tried_again_until_it_changes(tmp_path: Path) -> None:
    assert counted_runs(tmp_path, "yes", "a", "a", "a", "b", "a") == 3


def test_what_failed_within_the_limits_is_tried_again(tmp_path: Path) -> None:
    assert counted_runs(tmp_path, "exit 1", "a", "a") == 2


def test_the_stacks_of_a_crash_are_left_out() -> None:
    crash = "runtime: goroutine stack exceeds 1000000000-byte limit\nfatal error: stack overflow\n"
    assert without_go_trace(f"{crash}\nruntime stack:\nruntime.throw(0x1)\n\ngoroutine 1:\n") == crash.strip()
    assert without_go_trace("panic: oops\n\ngoroutine 1 [running]:\nmain.main()\n") == "panic: oops"


def test_a_rendering_child_inherits_no_keys() -> None:
    own = {"PATH": ENV["PATH"], "AWS_SECRET_ACCESS_KEY": "hush", "GITOPS_RUN_SECRET_KEY": "hush"}
    own |= {"HTTPS_PROXY": "http://proxy:3128", "HOME": "/home/me", "SSH_AUTH_SOCK": "/agent"}
    env = rendering_environment(own, home="/empty")

    async def main() -> Finished:
        return await run_limited(["env"], env=env, limits=Limits())

    seen = dict(line.split("=", 1) for line in anyio.run(main).output.decode().splitlines())
    assert sorted(seen) == [
        "GIT_TERMINAL_PROMPT",
        "GOGC",
        "GOMEMLIMIT",
        "HOME",
        "HTTPS_PROXY",
        "PATH",
        "TMPDIR",
    ]
    assert seen["HOME"] == "/empty"
