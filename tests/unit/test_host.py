from __future__ import annotations

import os
import subprocess
import sys

from gitops_run.adapters.host import is_alive


def test_a_process_that_runs_is_alive() -> None:
    assert is_alive(os.getpid())


def test_a_process_that_ended_and_was_not_waited_for_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(process.pid)
    process.wait()


def test_a_process_that_is_gone_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not is_alive(process.pid)
