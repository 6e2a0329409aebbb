"""What a person waits for outside a session: commands that show something, and a sandbox that starts."""

from __future__ import annotations

from typing import Any

from benchmarks.figures import p50, seconds
from benchmarks.session import Bench
from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.state import NodeKind

HELP_RUNS = 10


def measure_help(bench: Bench) -> dict[str, Any]:
    """Measure the time until `--help` has ended."""
    person = bench.person(bench.folder)
    return {"cli_help_ms": p50(seconds(lambda: person.succeeds("--help")) * 1000 for _ in range(HELP_RUNS))}


def measure_version(bench: Bench) -> dict[str, Any]:
    """Measure the time until `version` has ended, which asks nobody."""
    person = bench.person(bench.folder)
    return {"version_ms": p50(seconds(lambda: person.succeeds("version")) * 1000 for _ in range(HELP_RUNS))}


def measure_list(bench: Bench) -> dict[str, Any]:
    """Measure the time until `list` has asked the cluster and printed its sessions."""
    person = bench.person(bench.folder)
    return {"list_ms": p50(seconds(lambda: person.succeeds("list")) * 1000 for _ in range(HELP_RUNS))}


def measure_sandbox_start(bench: Bench) -> dict[str, Any]:
    """Measure a start of the sandbox that has run before."""
    lifecycle.stop(bench.sandbox.name)
    return {
        "sandbox_start_s": round(
            seconds(lambda: lifecycle.start(bench.sandbox.name, node=NodeKind.SIMULATED)), 2
        )
    }
