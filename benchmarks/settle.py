"""How long to wait for quiet: real bursts of writes, seen by the watcher that the sync uses. No cluster.

`python -m benchmarks.settle` prints the table of docs/decisions/0007-settle.md: how far apart the news of
a burst come, and how many saves it would be for each quiet time. What a quiet time adds to a single save
is what it is longer than scanning and rendering, which run meanwhile; that is measured too.
`--busy` keeps every core at work beside it, as a build or a test run does.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from benchmarks.bursts import BURSTS, prepare, restore
from benchmarks.figures import p50
from benchmarks.targets import make_target
from gitops_run.adapters.files import WorkTree
from gitops_run.adapters.kubectl import Kustomize

SETTLES_MS = (20, 40, 60, 80, 120, 200)
CAP_MS = 1_000
RUNS = 5
QUIET_S = 0.6
"""Longer than any gap within a burst that one would want to bridge."""
WATCH_START_S = 0.3
CHECKS = 20
OBJECTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Hold when the news of one burst came, in milliseconds since it began, and when it was through."""

    news_ms: tuple[float, ...]
    took_ms: float

    @property
    def longest_gap_ms(self) -> float:
        """Find the longest wait between two news."""
        gaps = [after - before for before, after in zip(self.news_ms, self.news_ms[1:], strict=False)]
        return max(gaps, default=0.0)


def saves(news_ms: Sequence[float], settle_ms: float, cap_ms: float) -> int:
    """Count the saves that news become.

    A save ends with the first quiet of settle_ms, or with the news that come cap_ms after its first.
    """
    count, first, last = 0, None, 0.0
    for at in news_ms:
        if first is None or at - last > settle_ms:
            count, first = count + 1, at
        elif at - first >= cap_ms:
            first = None
        last = at
    return count


def main() -> None:
    """Measure every burst and print the table."""
    with tempfile.TemporaryDirectory(prefix="gitops-run-settle-") as folder:
        prepare(Path(folder, "root"), Path(folder, "beside"))
        if "--busy" in sys.argv[1:]:
            with busy():
                measure(Path(folder))
        else:
            measure(Path(folder))


@contextmanager
def busy() -> Iterator[None]:
    """Keep every core at work."""
    spinning = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def measure(folder: Path) -> None:
    """Let every burst happen RUNS times, and print its line."""
    check_ms = anyio.run(measure_check)
    print(f"scan and rendering of {OBJECTS} objects, which run while settling: p50 {check_ms} ms\n")
    quiets = (*SETTLES_MS, check_ms)
    heads = "".join(f" {settle} ms |" for settle in SETTLES_MS) + f" check alone, {check_ms} ms |"
    print(f"| burst | took | news | longest gap: p50, max |{heads}")
    print("|---|---|---|---|" + "---|" * len(quiets))
    for name, burst in BURSTS.items():
        print(row(name, [anyio.run(watch, burst, folder) for _ in range(RUNS)], quiets), flush=True)
    added = "".join(f" {max(0, settle - check_ms)} ms |" for settle in SETTLES_MS)
    print(f"| *added to a single save* | | | |{added} 0 ms |")


def row(name: str, seen: Sequence[Seen], quiets_ms: Sequence[float]) -> str:
    """Write a burst's line: for each quiet time the fewest and the most saves that it became."""
    gaps = [one.longest_gap_ms for one in seen]
    cells = [
        name,
        f"{p50(one.took_ms for one in seen)} ms",
        f"{p50(len(one.news_ms) for one in seen)}",
        f"{statistics.median(gaps):.0f}, {max(gaps):.0f} ms",
    ]
    for settle in quiets_ms:
        counts = [saves(one.news_ms, settle, CAP_MS) for one in seen]
        cells.append(f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}")
    return f"| {' | '.join(cells)} |"


async def watch(burst: Callable[[Path, Path], None], folder: Path) -> Seen:
    """Let a burst happen to the restored work tree, and note when the watcher tells of it."""
    root, beside, news = folder / "root", folder / "beside", list[float]()
    restore(root)
    with tempfile.TemporaryDirectory(dir=folder) as stage:
        tree = WorkTree(root, Path(stage))
        await tree.snapshot()  # what is ignored is known from now on
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_note_news, tree, news)
            await anyio.sleep(WATCH_START_S)
            news.clear()
            began = time.monotonic()
            await anyio.to_thread.run_sync(partial(burst, root, beside))
            ended = time.monotonic()
            await anyio.sleep(QUIET_S)
            tasks.cancel_scope.cancel()
    return Seen(news_ms=tuple((at - began) * 1000 for at in news), took_ms=(ended - began) * 1000)


async def _note_news(tree: WorkTree, news: list[float]) -> None:
    async for _ in tree.batches():
        news.append(time.monotonic())  # noqa: PERF401 - the list is read while this still runs


async def measure_check() -> int:
    """Measure scanning and rendering after an edit. Returns milliseconds."""
    times = []
    with tempfile.TemporaryDirectory(prefix="gitops-run-settle-") as folder:
        root = make_target(Path(folder, "root"), OBJECTS)
        tree, renderer = WorkTree(root, Path(folder, "stage")), Kustomize("run-bench", Path(folder, "render"))
        for _ in range(CHECKS):
            began = time.monotonic()
            await renderer.render(await tree.snapshot(), ".")
            times.append((time.monotonic() - began) * 1000)
    return p50(times)


if __name__ == "__main__":
    main()
