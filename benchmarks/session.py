"""One session on the sandbox, made for a measurement and removed after it, and its sync."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.targets import EDITED, write_settings
from gitops_run.sandbox.state import Sandbox
from tests.people import Person, Running

FIRST_PATIENCE_S = 180.0
"""A first save of ten thousand files may take longer than anything that is measured."""
SAVE_PATIENCE_S = 120.0
"""A save of three thousand objects takes half a minute, and twice that on a busy machine."""
DOWN_PATIENCE_S = 180.0


@dataclass(frozen=True, slots=True)
class Bench:
    """Hold where everything is measured. folder: for targets, gone afterwards.

    env: leads people to the sandbox on another way than its own.
    """

    sandbox: Sandbox
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def kubeconfig(self) -> str:
        """Name the kubeconfig that people use."""
        return self.env.get("KUBECONFIG", str(self.sandbox.kubeconfig))

    def person(self, cwd: Path) -> Person:
        """Make somebody with a state of their own beside the sandbox, so that a killed run is carried on."""
        env = {**os.environ, **self.sandbox.env, "XDG_DATA_HOME": str(self.sandbox.folder / "bench")}
        env |= self.env
        del env["PULUMI_BACKEND_URL"], env["PULUMI_CONFIG_PASSPHRASE_FILE"]
        return Person(env=env, cwd=cwd)


@dataclass(slots=True)
class Session:
    """Hold a session that is up. saves: milliseconds from write to verdict; applied: their events."""

    bench: Bench
    name: str
    root: Path
    target: Path
    person: Person
    saves: list[float] = field(default_factory=list)
    applied: list[dict[str, Any]] = field(default_factory=list)
    is_ended: bool = False
    _count: int = 0

    @property
    def up(self) -> tuple[str, ...]:
        """Return the command that makes this session."""
        return ("up", self.name, str(self.target), "--root", str(self.root))

    @contextmanager
    def synced(self) -> Iterator[Running]:
        """Run its sync, and hand it over once the first save was applied."""
        with self.person.leaves_running("sync", self.name, "--root", str(self.root), "--allow-prune") as sync:
            sync.tells("save_applied", patience_s=FIRST_PATIENCE_S)
            yield sync

    def edit(self) -> None:
        """Give one object a value that it never had."""
        self._count += 1
        write_settings(self.target, EDITED, f"save-{self._count}")

    def save(self, sync: Running, times: int) -> None:
        """Edit one file and wait for the verdict, again and again."""
        for _ in range(times):
            began = time.monotonic()
            self.edit()
            self.applied.append(sync.tells("save_applied", patience_s=SAVE_PATIENCE_S))
            self.saves.append((time.monotonic() - began) * 1000)

    def end(self) -> None:
        """Remove the session."""
        ended = self.person.types("down", self.name, timeout_s=DOWN_PATIENCE_S)
        if ended.code:
            raise RuntimeError(f"session {self.name} could not be removed: {ended.err}")
        self.is_ended = True


@contextmanager
def session(bench: Bench, name: str, root: Path, target: Path | None = None) -> Iterator[Session]:
    """Make a session, and remove it in the end. target: the root itself where none is named."""
    name = f"bench-{name}"
    made = Session(bench, name, root, target or root, bench.person(root))
    try:
        made.person.succeeds(*made.up)
        yield made
    finally:
        if not made.is_ended:
            made.end()
