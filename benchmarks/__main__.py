"""Measure what a person waits for, beside a floor and a peer in the same run; run by `make bench`.

save: from a file's write to the verdict line of `gitops-run sync`, by the real command. floor: a PUT of
one object and a patch of the Flux Bucket, until Flux has applied it: what no loop can beat. peer:
`kubectl apply -k` of the same files. Ratios are what counts: milliseconds are this machine's.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from benchmarks.floor import measure_floor
from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.state import Sandbox
from gitops_run.version import VERSION
from tests.people import Person, Running

SANDBOX = "bench"
SESSION = "bench"
FILES = 10
SAVES = 60
PEER_RUNS = 10
HELP_RUNS = 10
IDLE_S = 10.0
RESULTS = Path(__file__).parent / "results" / "latest.json"
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure, print a table, write latest.json; 1 where a bar is missed."""
    lifecycle.start(SANDBOX, tell=print)
    lifecycle.stop(SANDBOX)
    sandbox_start_s = seconds(lambda: lifecycle.start(SANDBOX))
    sandbox = lifecycle.start(SANDBOX)
    try:
        with tempfile.TemporaryDirectory(prefix="gitops-run-bench-") as folder:
            results = measure(sandbox, Path(folder))
    finally:
        lifecycle.stop(SANDBOX)
    results["sandbox_start_s"] = round(sandbox_start_s, 2)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return report(results)


def measure(sandbox: Sandbox, folder: Path) -> dict[str, Any]:
    """Measure one session from its beginning to its end."""
    # Its own state beside the sandbox, so that a run which was killed is carried on by the next one.
    env = {**os.environ, **sandbox.env, "XDG_DATA_HOME": str(sandbox.folder / "bench")}
    del env["PULUMI_BACKEND_URL"], env["PULUMI_CONFIG_PASSPHRASE_FILE"]
    root = make_target(folder / "ten")
    person = Person(env=env, cwd=root)
    up = ("up", SESSION, str(root), "--root", str(root))
    began = time.monotonic()
    person.succeeds(*up)
    with person.leaves_running("sync", SESSION) as sync:
        sync.tells("save_applied")
        first_applied_s = time.monotonic() - began
        idle = idle_cpu_percent(sync)
        saves = [save(root, sync, f"save-{number}") for number in range(SAVES)]
        rss = resident_mb(sync)
    floor = anyio.run(measure_floor, sandbox, SESSION, SAVES)
    results = {
        "version": VERSION,
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "save_ms": {**percentiles(saves), "n": SAVES},
        "floor_ms": percentiles(floor),
        "kubectl_apply_ms": {"p50": percentiles(peer(person, root))["p50"]},
        "up_first_applied_s": round(first_applied_s, 2),
        "up_noop_s": round(seconds(lambda: person.succeeds(*up)), 2),
        "sync_rss_mb": rss,
        "sync_idle_cpu_percent": idle,
    }
    results["down_s"] = round(seconds(lambda: person.succeeds("down", SESSION)), 2)
    help_ms = [seconds(lambda: person.succeeds("--help")) * 1000 for _ in range(HELP_RUNS)]
    return {**results, "cli_help_ms": round(statistics.median(help_ms))}


def make_target(root: Path) -> Path:
    """Write a kustomization of ten files."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    names = [f"settings-{number}" for number in range(FILES - 1)]
    for name in names:
        write_settings(root, name, "0")
    resources = "".join(f"  - {name}.yaml\n" for name in names)
    (root / "kustomization.yaml").write_text(f"resources:\n{resources}", encoding="utf-8")
    return root


def write_settings(root: Path, name: str, value: str) -> None:
    """Write a ConfigMap."""
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: {value!r}\n"
    (root / f"{name}.yaml").write_text(text, encoding="utf-8")


def save(root: Path, sync: Running, value: str) -> float:
    """Write one file and wait for its verdict. Returns milliseconds."""
    began = time.monotonic()
    write_settings(root, "settings-0", value)
    sync.tells("save_applied")
    return (time.monotonic() - began) * 1000


def peer(person: Person, root: Path) -> list[float]:
    """Apply the same files with kubectl, one of them changed each time. Returns milliseconds."""
    namespace = "bench-peer"
    person.kubectl("create", "namespace", namespace)
    times = []
    for number in range(PEER_RUNS + 1):
        write_settings(root, "settings-0", f"peer-{number}")
        times.append(seconds(lambda: person.kubectl("apply", "-n", namespace, "-k", str(root))) * 1000)
    person.kubectl("delete", "namespace", namespace, "--wait=false")
    return times[1:]


def idle_cpu_percent(running: Running) -> float:
    """Measure what an idle sync uses of one core."""
    before = cpu_seconds(running)
    time.sleep(IDLE_S)
    return round((cpu_seconds(running) - before) / IDLE_S * 100, 2)


def cpu_seconds(running: Running) -> float:
    """Read the CPU time of a process and of the children that it has waited for."""
    fields = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / CLOCK_TICKS


def resident_mb(running: Running) -> int:
    """Read the resident memory of a process."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024)


def seconds(work: Callable[[], object]) -> float:
    """Time a piece of work."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def percentiles(times: list[float]) -> dict[str, int]:
    """Take the middle and the slow end of milliseconds."""
    cuts = statistics.quantiles(times, n=20, method="inclusive")
    return {"p50": round(statistics.median(times)), "p95": round(cuts[18])}


def report(results: dict[str, Any]) -> int:
    """Print each figure beside its bar. Returns 1 where one is missed."""
    saves, floor, kubectl = results["save_ms"], results["floor_ms"], results["kubectl_apply_ms"]
    rows = [
        ("save p50 / floor p50", saves["p50"] / floor["p50"], 2.2, f"{saves['p50']} ms / {floor['p50']} ms"),
        ("save p95 / floor p95", saves["p95"] / floor["p95"], 4.0, f"{saves['p95']} ms / {floor['p95']} ms"),
        ("save p50 / kubectl p50", saves["p50"] / kubectl["p50"], 0.6, f"kubectl {kubectl['p50']} ms"),
        ("up to first applied, s", results["up_first_applied_s"], 10, f"no-op up {results['up_noop_s']} s"),
        ("down, s", results["down_s"], 12, ""),
        ("sandbox start, s", results["sandbox_start_s"], 10, ""),
        ("sync memory, MB", results["sync_rss_mb"], 150, ""),
        ("sync idle, % of a core", results["sync_idle_cpu_percent"], 2, ""),
        ("--help, ms", results["cli_help_ms"], 250, ""),
    ]
    print(f"{'':24} {'measured':>9} {'at most':>8}")
    for name, value, bar, note in rows:
        mark = "✓" if value <= bar else "✗"
        print(f"{name:24} {value:9.2f} {bar:8.2f} {mark} {note}")
    return int(any(value > bar for _, value, bar, _ in rows))


if __name__ == "__main__":
    sys.exit(main())
