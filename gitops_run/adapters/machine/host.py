"""Processes of this machine, as far as locks, leases and the sandbox need them.

A process id alone proves nothing: it is given again to another process, another container counts its own ids,
and a shared home directory brings ids of another machine. A process is known by its id and the moment of its
start, within one boot of one machine and one namespace of process ids.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_THREADS_FIELD, _START_FIELD = 16, 18
"""Indexes in /proc/PID/stat, counted from the field after the state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """Identify a process.

    start: an opaque text that differs for another process of the same id.
    """

    pid: int
    start: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """Identify a process so that another one can say for certain whether it has ended.

    place: the boot of the machine and the namespace that its id counts in; "" if the system doesn't report
    it.
    """

    pid: int
    start: str
    place: str

    @property
    def is_running(self) -> bool:
        """Report whether it runs here; False for a process of another place."""
        if self.place != _place():
            return False
        now = record(self.pid)
        return is_alive(self.pid) if now is None else now.start == self.start

    @property
    def has_ended(self) -> bool:
        """Report whether it has ended for certain; False if that can't be determined from here."""
        return bool(self.place) and self.place == _place() and not self.is_running


def record(pid: int) -> ProcessRecord | None:
    """Identify a process that runs now; None where none does, or only its exit code is left."""
    start = _start_from_proc(pid) if _PROC.is_dir() else _start_from_ps(pid)
    return ProcessRecord(pid=pid, start=start) if start else None


def is_running(process: ProcessRecord) -> bool:
    """Report whether just this process still runs."""
    return record(process.pid) == process


def witness(pid: int) -> Witness:
    """Identify a process that was just started, or this one."""
    known = record(pid)
    return Witness(pid=pid, start=known.start if known else "", place=_place())


def parse_witness(document: Mapping[str, object]) -> Witness:
    """Read what dataclasses.asdict made of a witness. Raises KeyError, TypeError or ValueError."""
    pid = document["pid"]
    if not isinstance(pid, int):
        raise TypeError(f"a process id is a number, not {type(pid).__name__}")
    return Witness(pid=pid, start=str(document["start"]), place=str(document["place"]))


def is_alive(pid: int) -> bool:
    """Report whether a process runs. One that has ended and that nobody has waited for yet doesn't."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # a Lease may hold any number
        return False
    except PermissionError:
        return True
    try:
        state = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except OSError:
        return True  # a system without /proc doesn't report it
    return state.split()[0] not in {"Z", "X"}


def _place() -> str:
    boot, namespace = boot_id(), process_namespace()
    return f"{boot}/{namespace}" if boot and namespace else ""


def process_namespace() -> str:
    """Name the namespace that this process's id counts in; "" if the system doesn't report it."""
    try:
        return str((_PROC / "self" / "ns" / "pid").readlink())
    except OSError:
        return ""


def boot_id() -> str:
    """Name this machine's boot; "" if the system doesn't report it."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start_from_proc(pid: int) -> str:
    try:
        state, *fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    # The first thread may be gone while others still hold the process's ports.
    has_ended = state in "ZX" and int(fields[_THREADS_FIELD]) <= 1
    boot = boot_id()
    return "" if has_ended or not boot else f"{boot}/{fields[_START_FIELD]}"


def _start_from_ps(pid: int) -> str:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    state, _, start = answer.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else start.strip()
