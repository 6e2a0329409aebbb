"""Processes told apart for certain: a process id alone may belong to a stranger by the time it is used.

A process is known by its id and the moment of its start, as the kernel tells it. Nothing here ends a
process whose start is not the recorded one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_LOOK_EVERY_S = 0.02
_AFTER_KILL_S = 5.0
_THREADS_FIELD, _START_FIELD = 16, 18
"""Indexes in /proc/PID/stat, counted from the field after the state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """Identify a process.

    start: an opaque text that differs for another process of the same id.
    """

    pid: int
    start: str


def record(pid: int) -> ProcessRecord | None:
    """Identify a process that runs now; None where none does, or only its exit code is left."""
    start = _start_from_proc(pid) if _PROC.is_dir() else _start_from_ps(pid)
    return ProcessRecord(pid=pid, start=start) if start else None


def is_running(process: ProcessRecord) -> bool:
    """Tell whether just this process still runs."""
    return record(process.pid) == process


def resident_bytes(pid: int) -> int | None:
    """Return how much memory a process holds, None where it can't be told."""
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


def _start_from_proc(pid: int) -> str:
    try:
        state, *fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except (OSError, ValueError):
        return ""
    # The first thread may be gone while others still hold the process's ports.
    has_ended = state in "ZX" and int(fields[_THREADS_FIELD]) <= 1
    return "" if has_ended else f"{boot}/{fields[_START_FIELD]}"


def _start_from_ps(pid: int) -> str:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    state, _, start = answer.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else start.strip()
