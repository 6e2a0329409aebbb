"""What the supervisor reports: the present state of each part, and every event in order.

Two files in the sandbox's folder: run/processes.json, replaced at each change, and events.jsonl, to
which one line a fact is added. Until everything is ready the same lines go to standard output, where
the starter reads them.
"""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitops_run.adapters.machine.host import ProcessRecord
from gitops_run.sandbox.state import write_private

_TAIL_LINES = 15
SUPERVISOR = "supervisor"


class Journal:
    """Write the state of the parts for whoever asks, now or after a crash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state: dict[str, Any] = {"ready": False, "parts": {}}

    def begin(self, supervisor: ProcessRecord | None) -> None:
        """Open a new run of the sandbox, forgetting the parts of the run before."""
        self._state = {"ready": False, "parts": {}}
        self._change(SUPERVISOR, {"pid": supervisor.pid if supervisor else os.getpid()}, state="started")
        self._note(SUPERVISOR, supervisor)

    def started(self, part: str, process: ProcessRecord | None) -> None:
        """Record a process as soon as it exists, so that it can be found after a crash of ours."""
        self._note(part, process)
        self._change(part, {"pid": process.pid if process else None}, state="started")

    def ready(self, part: str, seconds: float) -> None:
        """Report that a part, or a step, is ready, that long after it was started."""
        self._change(part, {"seconds": round(seconds, 2)}, state="ready")

    def crashed(self, part: str, code: int, tail: str) -> None:
        """Report that a part ended unasked.

        code: its exit code, negative for a signal.
        """
        entry = self._state["parts"].setdefault(part, {})
        entry.update(restarts=entry.get("restarts", 0) + 1, process=None)
        self._change(part, {"exit_code": code, "log": tail}, state="crashed")

    def ended(self, part: str) -> None:
        """Report that a process has done its work, and forget it."""
        self._change(part, {}, state="ended")
        self._state["parts"].pop(part)
        self._write_state()

    def all_ready(self) -> None:
        """Report to the starter that everything is ready, and report nothing after that."""
        self._state["ready"] = True
        self._change(SUPERVISOR, {}, state="ready")
        with suppress(OSError):
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, sys.stdout.fileno())
            os.close(silence)

    def stopped(self) -> None:
        """Record that the run ended as asked."""
        self._state["parts"] = {}
        self._state["ready"] = False
        self._change(SUPERVISOR, {}, state="stopped")

    def processes(self) -> dict[str, ProcessRecord]:
        """Return the processes of the parts that were started and haven't ended."""
        return recorded_processes(self._state, with_supervisor=False)

    def _note(self, part: str, process: ProcessRecord | None) -> None:
        entry = self._state["parts"].setdefault(part, {})
        entry["process"] = asdict(process) if process else None

    def _change(self, part: str, facts: dict[str, Any], *, state: str) -> None:
        if part != SUPERVISOR or state != "stopped":
            entry = self._state["parts"].setdefault(part, {})
            entry.update(state=state, **{k: v for k, v in facts.items() if k != "pid"})
        self._write_state()
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "part": part, "event": state, **facts})
        with (self._folder / "events.jsonl").open("a") as events:
            events.write(line + "\n")
        with suppress(BrokenPipeError):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def _write_state(self) -> None:
        write_private(self._folder / "run" / "processes.json", json.dumps(self._state))


def read_state(folder: Path) -> dict[str, Any]:
    """Read what the last run of a sandbox left or keeps; an empty state where there was none."""
    try:
        state: dict[str, Any] = json.loads((folder / "run" / "processes.json").read_text())
    except FileNotFoundError:
        return {"ready": False, "parts": {}}
    return state


def recorded_processes(state: dict[str, Any], *, with_supervisor: bool = True) -> dict[str, ProcessRecord]:
    """Pick the processes out of a state that was read."""
    return {
        part: ProcessRecord(**entry["process"])
        for part, entry in state["parts"].items()
        if entry.get("process") and (with_supervisor or part != SUPERVISOR)
    }


def read_events(folder: Path, last: int) -> list[dict[str, Any]]:
    """Read the last events of a sandbox, oldest first."""
    try:
        with (folder / "events.jsonl").open() as events:
            return [json.loads(line) for line in deque(events, maxlen=last)]
    except FileNotFoundError:
        return []


def log_tail(folder: Path, part: str, lines: int = _TAIL_LINES, *, since: int = 0) -> str:
    """Return the last lines of a part's log, "" where it has none.

    since: the byte from which on they count.
    """
    try:
        with (folder / "logs" / f"{part}.log").open("rb") as log:
            log.seek(since)
            return b"".join(deque(log, maxlen=lines)).decode(errors="replace").rstrip()
    except FileNotFoundError:
        return ""
