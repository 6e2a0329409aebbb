"""The runs of Pulumi that this tool started for this user, so that a lock's process can be identified later.

A lock names a process id and a host name, and both may mean another process by now. One small file for each
run says which process it was; it is removed when the run ends in order, and kept when a signal ended it.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from gitops_run.adapters.machine.host import Witness, parse_witness, witness
from gitops_run.model.stack.events import StackLock

_CLOCK_S: Final = 2.0
"""A lock's time has whole seconds, and Pulumi's clock is read by another process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Know the runs on one stack. folder: with the runs on all stacks."""

    folder: Path
    backend: str
    stack: str

    def begin(self, pid: int) -> Path:
        """Record a run that was just started, and return its file.

        Where the disk refuses there is none, and nobody clears that run's lock unasked.
        """
        known = {"backend": self.backend, "stack": self.stack, "began": time.time(), **asdict(witness(pid))}
        path = self.folder / f"{pid}-{secrets.token_hex(4)}.json"
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_text(json.dumps(known), encoding="utf-8")
        return path

    def has_ended(self, lock: StackLock) -> bool:
        """Report whether a lock was taken by one of these runs, and that run has ended for certain."""
        taken = _seconds(lock.since)
        return any(
            process.pid == lock.pid and process.has_ended and began - _CLOCK_S <= taken
            for _, process, began in self._recorded()
        )

    def forget_ended(self) -> None:
        """Forget the runs that have ended, once Pulumi has shown that none of them left a lock."""
        for path, process, _ in self._recorded():
            if process.has_ended:
                path.unlink(missing_ok=True)

    def _recorded(self) -> Iterator[tuple[Path, Witness, float]]:
        """Read the runs on this stack, without files that a kill has torn."""
        for path in self.folder.glob("*.json"):
            try:
                known = json.loads(path.read_text(encoding="utf-8"))
                if (known["backend"], known["stack"]) == (self.backend, self.stack):
                    yield path, parse_witness(known), float(known["began"])
            except (OSError, ValueError, KeyError, TypeError):
                continue


def _seconds(since: str) -> float:
    """Read a lock's time; one that can't be read is earlier than every run."""
    try:
        return datetime.fromisoformat(since).timestamp()
    except ValueError:
        return 0.0
