from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from gitops_run.adapters.machine.host import is_alive, witness


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


def test_a_process_that_runs_has_not_ended() -> None:
    known = witness(os.getpid())
    assert (known.is_running, known.has_ended) == (True, False)


def test_a_process_whose_id_was_given_again_has_ended() -> None:
    known = replace(witness(os.getpid()), start="another moment")
    assert (known.is_running, known.has_ended) == (False, True)


@pytest.mark.parametrize("place", ["", "another boot/pid:[1]"])
def test_of_a_process_elsewhere_nobody_can_say_that_it_has_ended(place: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    known = replace(witness(process.pid), place=place)
    assert (known.is_running, known.has_ended) == (False, False)
