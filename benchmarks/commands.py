"""What a person waits for outside a session: commands that show something, and a sandbox that starts."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial
from typing import Any

from benchmarks.figures import p50, seconds
from benchmarks.session import Bench
from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.state import NodeKind

HELP_RUNS = 10
API_SERVER = re.compile(r"kube-apiserver ready after ([\d.]+) s")


def measure_help(bench: Bench) -> dict[str, Any]:
    """Measure the time until `--help` has ended, and that of a Python which only imports click."""
    person = bench.person(bench.folder)
    bare = [sys.executable, "-c", "import click"]
    helps, floors = [], []
    for _ in range(HELP_RUNS):
        helps.append(seconds(lambda: person.succeeds("--help")) * 1000)
        floors.append(seconds(lambda: subprocess.run(bare, env=dict(person.env), check=True)) * 1000)
    return {"cli_help_ms": p50(helps), "cli_help_floor_ms": p50(floors)}


def measure_version(bench: Bench) -> dict[str, Any]:
    """Measure the time until `version` has ended, which asks nobody."""
    person = bench.person(bench.folder)
    return {"version_ms": p50(seconds(lambda: person.succeeds("version")) * 1000 for _ in range(HELP_RUNS))}


def measure_list(bench: Bench) -> dict[str, Any]:
    """Measure the time until `list` has asked the cluster and printed its sessions."""
    person = bench.person(bench.folder)
    return {"list_ms": p50(seconds(lambda: person.succeeds("list")) * 1000 for _ in range(HELP_RUNS))}


def measure_sandbox_start(bench: Bench) -> dict[str, Any]:
    """Measure a start of the sandbox that has run before, and its API server's part of it."""
    lifecycle.stop(bench.sandbox.name)
    told: list[str] = []
    start = partial(lifecycle.start, bench.sandbox.name, tell=told.append, node=NodeKind.SIMULATED)
    took_s = seconds(start)
    server = next(found for line in told if (found := API_SERVER.search(line)))
    return {"sandbox_start_s": round(took_s, 2), "api_server_start_s": float(server[1])}
