"""What a running process uses, as /proc tells it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.people import Running

IDLE_S = 10.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def idle_cpu_percent(running: Running) -> float:
    """Measure what an idle process uses of one core."""
    before = _cpu_seconds(running)
    time.sleep(IDLE_S)
    return round((_cpu_seconds(running) - before) / IDLE_S * 100, 2)


def resident_mb(pid: int) -> int:
    """Read the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024)


def _cpu_seconds(running: Running) -> float:
    """Read the CPU time of a process and of the children that it has waited for."""
    stat = Path(f"/proc/{running.process.pid}/stat").read_text(encoding="utf-8")
    return sum(map(int, stat.rpartition(")")[2].split()[11:15])) / CLOCK_TICKS


def program_of(pid: int) -> str:
    """Name the program that a process runs."""
    command = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
    return Path(command[0]).name
