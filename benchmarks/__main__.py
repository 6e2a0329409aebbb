"""Measure what a person waits for, beside a floor and peers in the same run; run by `make bench`.

Each part is a measurement of its own, with its own session on one sandbox. Ratios are what counts:
milliseconds are this machine's. `--only NAME,...` runs a part and prints it; without it latest.json is
written, and the exit code is 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.broken import measure_broken
from benchmarks.by_repo import measure_by_repo
from benchmarks.by_target import measure_hundred, measure_ten, measure_thousand, measure_three_thousand
from benchmarks.checkout import measure_checkout
from benchmarks.commands import measure_help, measure_sandbox_start
from benchmarks.memory import measure_memory
from benchmarks.real import measure_real
from benchmarks.report import report
from benchmarks.session import Bench
from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.state import NodeKind
from gitops_run.version import VERSION

SANDBOX = os.environ.get("GITOPS_RUN_BENCH_SANDBOX", "bench")
RESULTS = Path(__file__).parent / "results" / "latest.json"

PARTS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "sandbox": measure_sandbox_start,
    "help": measure_help,
    "ten": measure_ten,
    "hundred": measure_hundred,
    "thousand": measure_thousand,
    "three-thousand": measure_three_thousand,
    "repo": measure_by_repo,
    "checkout": measure_checkout,
    "broken": measure_broken,
    "memory": measure_memory,
    "real": measure_real,
}


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table, write latest.json; 1 where a bar is missed."""
    only = parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a sandbox outlives one who doesn't stop it
    results = {
        "version": VERSION,
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        **measure(only or tuple(PARTS)),
    }
    if not only:
        results |= kept()
    text = json.dumps(results, indent=2)
    if only:
        print(text)
    else:
        RESULTS.write_text(f"{text}\n", encoding="utf-8")
    return report(results)


def kept() -> dict[str, Any]:
    """Keep the figures of the last run of `python -m tests.corpus --latest`, which takes half an hour."""
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    return {key: found[key] for key in ("corpus",) if key in found}


def parse(arguments: Sequence[str]) -> tuple[str, ...]:
    """Read which parts to run; none means all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=measure.__doc__)
    parser.add_argument("--only", default="", metavar="NAME,...", help=f"of {', '.join(PARTS)}")
    only = tuple(name for name in parser.parse_args(arguments).only.split(",") if name)
    if unknown := set(only) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return only


def measure(names: Sequence[str]) -> dict[str, Any]:
    """Measure parts, one after another, on one sandbox."""
    sandbox = lifecycle.start(SANDBOX, tell=print, node=NodeKind.SIMULATED)
    results: dict[str, Any] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="gitops-run-bench-") as folder:
            for name in names:
                began = time.monotonic()
                found = PARTS[name](Bench(sandbox, Path(folder)))
                merge(results, found)
                # Told at once: a run that is cut short loses nothing that it has measured.
                print(f"{name} took {time.monotonic() - began:.0f} s: {json.dumps(found)}", flush=True)
    finally:
        lifecycle.stop(SANDBOX)
    return results


def merge(results: dict[str, Any], more: dict[str, Any]) -> None:
    """Add a part's figures; sizes of the same table go side by side."""
    for key, value in more.items():
        results[key] = {**results.get(key, {}), **value} if isinstance(value, dict) else value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
