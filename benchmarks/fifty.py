"""Fifty sessions at once: created by the script of examples/, saved in the same moment, and ended.

GITOPS_RUN_BENCH_SESSIONS sets another number, for a trial; its figures are not kept.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.figures import percentiles, seconds
from benchmarks.process import resident_mb
from benchmarks.session import FIRST_PATIENCE_S, SAVE_PATIENCE_S, Bench
from benchmarks.targets import EDITED, make_target, write_settings
from gitops_run.adapters.machine.facts import processors
from gitops_run.adapters.store.admin import open_store
from gitops_run.adapters.store.keys import open_keys
from gitops_run.api.team import most_at_once
from gitops_run.model.names import SessionName
from gitops_run.model.store.keys import MadeKeys
from gitops_run.model.store.objects import StoreAccess
from gitops_run.sandbox.journal import read_state, recorded_processes
from tests.people import Person, Running

FIFTY = 50
SESSIONS = int(os.environ.get("GITOPS_RUN_BENCH_SESSIONS", FIFTY))
OBJECTS = 10
CREATED_AT_ONCE = 4
ENDED_AT_ONCE = int(os.environ.get("GITOPS_RUN_BENCH_ENDED_AT_ONCE", FIFTY))
ROUNDS = 3
SCRIPT = Path(__file__).parents[1] / "examples" / "team.py"
SCRIPT_PATIENCE_S = 1_800
STARTED_AT_ONCE = 4
CONTROLLERS = ("source-controller", "kustomize-controller", "kube-apiserver", "etcd")


@dataclass(frozen=True, slots=True)
class Team:
    """Hold the sessions. file: lists them, as a platform engineer does."""

    bench: Bench
    names: Sequence[str]
    file: Path

    @property
    def person(self) -> Person:
        """Make the platform engineer, who owns all of them here."""
        return self.bench.person(self.bench.folder)

    def root(self, name: str) -> Path:
        """Name the directory of a session."""
        return self.bench.folder / "fifty" / name

    def script(self, action: str, at_once: int) -> float:
        """Run the script and return its seconds. Raises RuntimeError on a session that fails."""
        command = [sys.executable, str(SCRIPT), action, str(self.file), "--at-once", str(at_once)]
        began = time.monotonic()
        result = subprocess.run(
            command,
            env=dict(self.person.env),
            cwd=self.bench.folder,
            capture_output=True,
            text=True,
            timeout=SCRIPT_PATIENCE_S,
            check=False,
        )
        if result.returncode:
            raise RuntimeError(f"{action} failed: {_failures(result.stdout)}{result.stderr[-2000:]}")
        return time.monotonic() - began

    @contextmanager
    def synced(self) -> Iterator[list[Running]]:
        """Run the sync of each session, a few starting at once, and hand them over once all have applied."""
        with ExitStack() as stack:
            syncs: list[Running] = []
            for name in self.names:
                entered = self.person.leaves_running("sync", name, "--root", str(self.root(name)))
                syncs.append(stack.enter_context(entered))
                if len(syncs) >= STARTED_AT_ONCE:
                    syncs[-STARTED_AT_ONCE].tells("save_applied", patience_s=FIRST_PATIENCE_S)
            for sync in syncs[1 - STARTED_AT_ONCE :]:
                sync.tells("save_applied", patience_s=FIRST_PATIENCE_S)
            yield syncs


def measure_fifty(bench: Bench) -> dict[str, Any]:
    """Measure how long sessions take to be created, saved in the same moment, and ended."""
    team = make_team(bench)
    try:
        up_s = team.script("up", CREATED_AT_ONCE)
        before = memory(bench)
        with team.synced() as syncs:
            saves = [took for number in range(ROUNDS) for took in save_at_once(team, syncs, number + 1)]
            after = memory(bench)
    finally:
        down_s = team.script("down", ENDED_AT_ONCE)
    slow = percentiles(saves)
    figures = {
        "sessions": len(team.names),
        "up_s": round(up_s, 1),
        "save_p50_ms": slow["p50"],
        "save_p95_ms": slow["p95"],
        "down_s": round(down_s, 1),
        "ended_at_once": most_at_once(min(ENDED_AT_ONCE, len(team.names)), processors()),
        "leftovers": len(leftovers(team)),
        "memory_mb": {name: {"created": before[name], "saved": after[name]} for name in after},
    }
    return {"fifty": figures}


def make_team(bench: Bench) -> Team:
    """Write a target for each session, and the file that lists them."""
    names = [f"fifty-{number}" for number in range(SESSIONS)]
    team = Team(bench, names, bench.folder / "team.yaml")
    for name in names:
        make_target(team.root(name), OBJECTS)
    entries = [{"name": name, "root": str(team.root(name))} for name in names]
    defaults = {"context": bench.sandbox.context, "target": "."}
    team.file.write_text(yaml.safe_dump({"defaults": defaults, "sessions": entries}), encoding="utf-8")
    return team


def save_at_once(team: Team, syncs: Sequence[Running], number: int) -> list[float]:
    """Edit a file of each session in the same moment, and return the milliseconds until each was applied."""

    def save(name: str, sync: Running) -> float:
        write_settings(team.root(name), EDITED, f"save-{number}")
        return seconds(lambda: sync.tells("save_applied", patience_s=SAVE_PATIENCE_S)) * 1000

    with ThreadPoolExecutor(len(syncs)) as pool:
        return list(pool.map(save, team.names, syncs))


def _failures(text: str) -> str:
    """Find the sessions that failed, each with its message and hint."""
    lines = text.splitlines()
    failed = [number for number, line in enumerate(lines) if ": failed in " in line]
    return "\n".join(line for number in failed for line in lines[number : number + 3])


def memory(bench: Bench) -> dict[str, int]:
    """Read the resident memory of the controllers, in MB."""
    processes = recorded_processes(read_state(bench.sandbox.folder))
    return {name: resident_mb(processes[name].pid) for name in CONTROLLERS}


def leftovers(team: Team) -> list[str]:
    """List what is left of the sessions: namespaces, buckets, keys and Pulumi's stacks."""
    person = team.person
    uid = next(
        item["metadata"]["uid"]
        for item in person.get("namespaces")
        if item["metadata"]["name"] == "kube-system"
    )
    settings = yaml.safe_load(team.bench.sandbox.settings.read_text(encoding="utf-8"))
    access = StoreAccess(
        endpoint=settings["endpoint"],
        region=settings["region"],
        access_key=settings["accessKey"],
        secret_key=settings["secretKey"],
        ca_cert=team.bench.sandbox.ca.read_text(encoding="utf-8"),
    )
    buckets = [SessionName.parse(name).bucket(uid) for name in team.names]
    with open_store(access) as store, open_keys(access) as keys:
        left = [bucket for bucket in buckets if store.exists(bucket)]
        made = {key for bucket in buckets for key in MadeKeys.of(bucket).both}
        left += sorted((keys.names() or frozenset()) & made)
    left += sorted({f"run-{name}" for name in team.names} & person.names("namespaces"))
    state = Path(person.env["XDG_DATA_HOME"]) / "gitops-run" / "state"
    return left + [
        path.name for path in state.rglob("*.json") if path.stem in team.names and "stacks" in path.parts
    ]
