"""Measure what a person waits for, beside a floor and peers in the same run; run by `make bench`.

Each part is a measurement of its own, with its own session on one sandbox. Ratios are what counts:
milliseconds are this machine's. `--only NAME,...` runs a part and prints it; without it latest.json is
written, and the exit code is 1 where a bar is missed. `--only first_run` builds every program from an empty
cache, and `--only fifty` has fifty sessions, which takes a quarter of an hour each: their figures are kept in
latest.json until they are run again.
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

from benchmarks.board import measure_board
from benchmarks.broken import measure_broken
from benchmarks.by_repo import measure_by_repo
from benchmarks.by_target import measure_hundred, measure_ten, measure_thousand, measure_three_thousand
from benchmarks.checkout import measure_checkout
from benchmarks.commands import measure_help, measure_list, measure_sandbox_start, measure_version
from benchmarks.ctrl_c import measure_ctrl_c
from benchmarks.fifty import FIFTY, measure_fifty
from benchmarks.first_run import measure_first_run
from benchmarks.listing import measure_list_200
from benchmarks.memory import measure_memory
from benchmarks.real import measure_real
from benchmarks.record import measure_record
from benchmarks.remote import measure_remote
from benchmarks.report import report
from benchmarks.session import Bench
from benchmarks.web import measure_web
from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.state import NodeKind
from gitops_run.version import VERSION

SANDBOX = os.environ.get("GITOPS_RUN_BENCH_SANDBOX", "bench")
RESULTS = Path(__file__).parent / "results" / "latest.json"

PARTS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "sandbox": measure_sandbox_start,
    "help": measure_help,
    "version": measure_version,
    "list": measure_list,
    "list-200": measure_list_200,
    "ten": measure_ten,
    "hundred": measure_hundred,
    "thousand": measure_thousand,
    "three-thousand": measure_three_thousand,
    "repo": measure_by_repo,
    "checkout": measure_checkout,
    "broken": measure_broken,
    "ctrl-c": measure_ctrl_c,
    "memory": measure_memory,
    "board": measure_board,
    "record": measure_record,
    "real": measure_real,
    "remote": measure_remote,
    "web": measure_web,
}

FIRST_RUN = "first_run"
ON_ITS_OWN: dict[str, Callable[[Bench], dict[str, Any]]] = {"fifty": measure_fifty}


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table, write latest.json; 1 where a bar is missed."""
    only = parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a sandbox outlives one who doesn't stop it
    results = {
        "version": VERSION,
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        **(measure_first_run() if FIRST_RUN in only else {}),
        **measure([name for name in only if name != FIRST_RUN] if only else tuple(PARTS)),
    }
    if only:
        print(json.dumps(results, indent=2))
    keep(results, is_whole=not only)
    return report(results)


LATER = (FIRST_RUN, *ON_ITS_OWN, "corpus", "faults", "canaries_found")
"""Figures of runs of their own, which take half an hour each: a whole run keeps the last ones."""


def keep(results: dict[str, Any], *, is_whole: bool) -> None:
    """Write latest.json: all of it after a whole run, otherwise the figures of runs of their own."""
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    own = {name: results[name] for name in LATER if name in results and not is_trial(results[name])}
    if is_whole:
        kept = {name: known[name] for name in LATER if name in known} | results
    elif own:
        kept = known | own
    else:
        return
    RESULTS.write_text(f"{json.dumps(kept, indent=2)}\n", encoding="utf-8")


def is_trial(figures: dict[str, Any]) -> bool:
    """Report whether figures are of fewer sessions than they are named after."""
    return bool(figures.get("sessions", FIFTY) != FIFTY)


def parse(arguments: Sequence[str]) -> tuple[str, ...]:
    """Read which parts to run; none means all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=measure.__doc__)
    parts = {*PARTS, *ON_ITS_OWN, FIRST_RUN}
    known = ", ".join((*PARTS, *ON_ITS_OWN, FIRST_RUN))
    parser.add_argument("--only", default="", metavar="NAME,...", help=f"of {known}")
    only = tuple(name for name in parser.parse_args(arguments).only.split(",") if name)
    if unknown := set(only) - parts:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {known}")
    return only


def measure(names: Sequence[str]) -> dict[str, Any]:
    """Measure parts, one after another, on one sandbox."""
    if not names:
        return {}
    sandbox = lifecycle.start(SANDBOX, tell=print, node=NodeKind.SIMULATED)
    results: dict[str, Any] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="gitops-run-bench-") as folder:
            for name in names:
                began = time.monotonic()
                found = {**PARTS, **ON_ITS_OWN}[name](Bench(sandbox, Path(folder)))
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
