"""Writers: real `gitops-run sync` processes, what they report, and how they end."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gitops_run.sandbox.processes import wait_until

REPOSITORY = Path(__file__).parents[2]
END_S = 60.0
LOCKED = 3
"""The exit code of a writer to whom the session does not belong."""
INTERRUPTED = 130


class Writer:
    """One process. What it writes to stderr is kept in a file."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path) -> None:
        path = f"{REPOSITORY}:{env.get('PYTHONPATH', '')}"
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                env={**env, "PYTHONPATH": path},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self.log = log
        self._events: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines, suppress(ValueError):  # a kill may cut the last line
            for line in lines:
                self._events.append(json.loads(line))

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def code(self) -> int | None:
        return self._process.poll()

    def has_reported(self, kind: str) -> bool:
        return any(event["type"] == kind for event in self._events)

    def reports(self, kind: str, seconds: float) -> bool:
        """Wait for an event, or for the writer's end; say whether the event came."""
        wait_until(lambda: self.has_reported(kind) or not self.is_alive, seconds)
        return self.has_reported(kind)

    def signal(self, number: signal.Signals) -> None:
        if self.is_alive:
            self._process.send_signal(number)

    def ends(self, seconds: float = END_S) -> int | None:
        """Wait for its end; None where it goes on."""
        wait_until(lambda: not self.is_alive, seconds)
        return self.code

    def kill(self) -> None:
        if self.is_alive:
            self._process.kill()
        self._process.wait(END_S)
        self._thread.join(END_S)

    def last_words(self) -> str:
        """Show how it ended, for whoever looks for the reason."""
        kinds = [event["type"] for event in self._events[-5:]]
        return f"exit code {self.code}, last events {kinds}, stderr: {self.log.read_text()[-2000:].strip()}"


class Writers:
    """Start writers, and end those that are left."""

    def __init__(self, folder: Path, mutation: str) -> None:
        self._folder = folder
        self._mutation = mutation
        self._numbers = itertools.count(1)
        self._all: list[Writer] = []

    def pids(self) -> list[int]:
        """Return the processes that run, the newest first."""
        return [writer.pid for writer in reversed(self._all) if writer.is_alive]

    def start(self, make_env: Callable[[], Mapping[str, str]], root: Path, *options: str) -> Writer:
        """Start a sync of a root."""
        module = ("tests.chaos.mutant", self._mutation) if self._mutation else ("gitops_run",)
        command = [sys.executable, "-m", *module, "sync", "chaos", "--root", str(root), "--allow-prune"]
        log = self._folder / f"writer-{next(self._numbers)}.log"
        writer = Writer([*command, *options, "-o", "json"], make_env(), root, log)
        self._all.append(writer)
        return writer

    def end_all(self) -> None:
        for writer in self._all:
            writer.signal(signal.SIGCONT)
            writer.kill()
