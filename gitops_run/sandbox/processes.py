"""Processes of a sandbox: how they are ended, and how much memory they hold.

Nothing here ends a process whose start is not the recorded one: adapters/machine/host.py says why.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from gitops_run.adapters.machine.host import ProcessRecord, is_running

_PROC = Path("/proc")
_LOOK_EVERY_S = 0.02
_AFTER_KILL_S = 5.0


def resident_bytes(pid: int) -> int | None:
    """Return how much memory a process holds, None if it is unknown."""
    with suppress(OSError, IndexError, ValueError):
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def end(processes: Iterable[ProcessRecord], patience_s: float) -> list[ProcessRecord]:
    """Ask processes to end, kill those that don't within patience_s, and return those that still run."""
    left = [process for process in processes if _signal(process, signal.SIGTERM)]
    left = _wait_until_ended(left, patience_s)
    left = [process for process in left if _signal(process, signal.SIGKILL)]
    return _wait_until_ended(left, _AFTER_KILL_S)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look until a condition that nothing can announce holds; return whether it did in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True


def _wait_until_ended(processes: list[ProcessRecord], seconds: float) -> list[ProcessRecord]:
    wait_until(lambda: not any(map(is_running, processes)), seconds)
    return [process for process in processes if is_running(process)]


def _signal(process: ProcessRecord, number: signal.Signals) -> bool:
    if not is_running(process):
        return False
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)
    return True
