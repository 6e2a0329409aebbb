"""What a sandbox's state, processes and journal say about it, put together for a person or a program."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitops_run.adapters.machine.host import ProcessRecord, is_running
from gitops_run.sandbox import first_use
from gitops_run.sandbox.journal import SUPERVISOR, read_events, read_state
from gitops_run.sandbox.processes import resident_bytes
from gitops_run.sandbox.state import DEFAULT_NAME, Sandbox, load

_CRASHES_SHOWN = 5
_EVENTS_READ = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStatus:
    """Report the state of one part.

    state: "ready", "started", "crashed" (about to be started again), or "gone" (ended with nobody to see it).
    """

    name: str
    state: str
    pid: int | None
    restarts: int
    memory_mb: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramStatus:
    """Report the file of a program, and its origin."""

    name: str
    path: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxStatus:
    """Report the state of a sandbox.

    is_up: everything has been ready, and every part is; what is built ahead of its first use doesn't count.
    crashes: the last ones of this run, oldest first, each with time, part, exit_code and the end of its log.
    """

    sandbox: Sandbox
    is_up: bool
    parts: tuple[PartStatus, ...]
    programs: tuple[ProgramStatus, ...]
    crashes: tuple[Mapping[str, Any], ...]


def status_of(name: str = DEFAULT_NAME, base: Path | None = None) -> SandboxStatus:
    """Put together how a sandbox is. Raises NotFound where it was never started."""
    sandbox = load(name, base)
    state = read_state(sandbox.folder)
    parts = tuple(_part(part, entry) for part, entry in state["parts"].items() if "process" in entry)
    return SandboxStatus(
        sandbox=sandbox,
        is_up=bool(state["ready"])
        and all(part.state == "ready" for part in parts if part.name != first_use.NAME),
        parts=parts,
        programs=_programs(sandbox.folder),
        crashes=_crashes_of_this_run(read_events(sandbox.folder, _EVENTS_READ)),
    )


def _part(name: str, entry: Mapping[str, Any]) -> PartStatus:
    process = ProcessRecord(**entry["process"]) if entry["process"] else None
    runs = process is not None and is_running(process)
    memory = resident_bytes(process.pid) if process and runs else None
    return PartStatus(
        name=name,
        state=entry["state"] if runs or not process else "gone",
        pid=process.pid if process and runs else None,
        restarts=entry.get("restarts", 0),
        memory_mb=round(memory / 1e6, 1) if memory else None,
    )


def _programs(folder: Path) -> tuple[ProgramStatus, ...]:
    try:
        known = json.loads((folder / "programs.json").read_text())
    except FileNotFoundError:
        return ()
    return tuple(ProgramStatus(name=name, path=path, origin=origin) for name, (path, origin) in known.items())


def _crashes_of_this_run(events: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    starts = [i for i, e in enumerate(events) if e["part"] == SUPERVISOR and e["event"] == "started"]
    run = events[starts[-1] :] if starts else events
    return tuple(event for event in run if event["event"] == "crashed")[-_CRASHES_SHOWN:]
