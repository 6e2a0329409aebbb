"""How long to wait for quiet: real bursts of writes, seen by the watcher that the sync uses. No cluster.

`python -m benchmarks.settle` prints the table of docs/decisions/0007-settle.md: how far apart the news of
a burst come, and how many saves it would be for each quiet time. What a quiet time adds to a single save
is what it is longer than scanning and rendering, which run meanwhile; that is measured too. The last two
columns compare what the sync waits for, which is less after one edited file, with the whole quiet time, each
with what runs meanwhile. `--runs N` lets each burst happen that often.
`--busy` keeps every core at work beside it, as a build or a test run does.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from benchmarks.bursts import BURSTS, prepare, restore
from benchmarks.figures import p50
from benchmarks.targets import make_target
from gitops_run.adapters.files import WorkTree
from gitops_run.adapters.render.kubectl import Kustomize
from gitops_run.flows.changes import EDIT_SHARE, REST_SHARE
from gitops_run.flows.sync import SyncSettings
from gitops_run.model.tree.tree import Tree, edited_file

SETTLES_MS = (20, 40, 60, 80, 120, 200)
CAP_MS = 1_000
RUNS = 5
QUIET_S = 0.6
"""Longer than any gap within a burst that one would want to bridge."""
WATCH_START_S = 0.3
CHECKS = 20
OBJECTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Hold when the watcher reported changes, in milliseconds since a burst began, and the tree of then."""

    at_ms: float
    tree: Tree = field(default_factory=Tree)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Hold how long it must be quiet.

    edit_ms: where one edited file is all that changed for a while. check_ms: what runs meanwhile takes, and
    starts again with each change.
    """

    settle_ms: float
    edit_ms: float
    check_ms: float = 0.0
    cap_ms: float = CAP_MS

    @classmethod
    def fixed(cls, settle_ms: float, check_ms: float = 0.0) -> Wait:
        """Wait as long for one file as for many."""
        return cls(settle_ms=settle_ms, edit_ms=settle_ms, check_ms=check_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Hold the news of one burst, when it was through, and the tree before it."""

    news: tuple[News, ...]
    took_ms: float
    before: Tree = field(default_factory=Tree)

    @property
    def longest_gap_ms(self) -> float:
        """Find the longest wait between two news."""
        pairs = zip(self.news, self.news[1:], strict=False)
        return max((after.at_ms - before.at_ms for before, after in pairs), default=0.0)

    def saves(self, wait: Wait) -> int:
        """Count the saves that the news become.

        A save ends with the first quiet, or with the news that come cap_ms after its first.
        """
        published, count, first, quiet_ms = self.before, 0, None, 0.0
        last = News(at_ms=-math.inf)
        for one in self.news:
            rested_ms = one.at_ms - last.at_ms
            if first is not None and rested_ms > quiet_ms:
                published, first = last.tree, None
            may_be_edit = rested_ms >= wait.settle_ms * REST_SHARE
            is_edit = may_be_edit and bool(edited_file(published.digests, one.tree))
            quiet_ms = max(wait.check_ms, wait.edit_ms if is_edit else wait.settle_ms)
            if first is None:
                count, first = count + 1, one.at_ms
            elif one.at_ms - first >= wait.cap_ms:
                published, first = one.tree, None
            last = one
        return count


_SETTLE_MS = SyncSettings(target=".").settle_s * 1000
PRESENT = Wait(settle_ms=_SETTLE_MS, edit_ms=_SETTLE_MS * EDIT_SHARE)
"""What the sync waits for by default."""


def main() -> None:
    """Measure every burst and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.settle", description=main.__doc__)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--runs", type=int, default=RUNS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gitops-run-settle-") as folder:
        prepare(Path(folder, "root"), Path(folder, "beside"))
        with busy() if arguments.busy else nullcontext():
            measure(Path(folder), arguments.runs)


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


def measure(folder: Path, runs: int) -> None:
    """Let every burst happen so many times, and print its line."""
    check_ms = anyio.run(measure_check)
    print(f"scan and rendering of {OBJECTS} objects, which run while settling: p50 {check_ms} ms\n")
    waits = [Wait.fixed(ms) for ms in (*SETTLES_MS, check_ms)]
    waits += [Wait.fixed(PRESENT.settle_ms, check_ms), replace(PRESENT, check_ms=check_ms)]
    heads = "".join(f" {settle} ms |" for settle in SETTLES_MS) + f" check alone, {check_ms} ms |"
    heads += f" {PRESENT.settle_ms:.0f} ms | {PRESENT.edit_ms:.0f} ms after one edit |"
    print(f"| burst | took | news | longest gap: p50, max |{heads}")
    print("|---|---|---|---|" + "---|" * len(waits))
    whole, present = waits[-2:]
    counts = [0, 0]
    for name, burst in BURSTS.items():
        seen = [anyio.run(watch, burst, folder) for _ in range(runs)]
        print(row(name, seen, waits), flush=True)
        counts = [
            count + sum(one.saves(wait) for one in seen)
            for count, wait in zip(counts, (whole, present), strict=True)
        ]
    added = "".join(f" {max(0, round(wait.edit_ms - check_ms))} ms |" for wait in waits)
    print(f"| *added to a single save* | | | |{added}")
    print(
        f"\nall bursts became {counts[0]} saves with the whole quiet time, {counts[1]} with less for one edit"
    )


def row(name: str, seen: Sequence[Seen], waits: Sequence[Wait]) -> str:
    """Write a burst's line: for each wait the fewest and the most saves that it became."""
    gaps = [one.longest_gap_ms for one in seen]
    cells = [
        name,
        f"{p50(one.took_ms for one in seen)} ms",
        f"{p50(len(one.news) for one in seen)}",
        f"{statistics.median(gaps):.0f}, {max(gaps):.0f} ms",
    ]
    for wait in waits:
        counts = [one.saves(wait) for one in seen]
        cells.append(f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}")
    return f"| {' | '.join(cells)} |"


async def watch(burst: Callable[[Path, Path], None], folder: Path) -> Seen:
    """Let a burst happen to the restored work tree, and note when the watcher tells of it."""
    root, beside, news = folder / "root", folder / "beside", list[News]()
    restore(root)
    with tempfile.TemporaryDirectory(dir=folder) as stage:
        tree = WorkTree(root, Path(stage))
        before = (await tree.snapshot()).tree  # what is ignored is known from now on
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_note_news, tree, news, tasks)
            await anyio.sleep(WATCH_START_S)
            news.clear()
            began = time.monotonic()
            await anyio.to_thread.run_sync(partial(burst, root, beside))
            ended = time.monotonic()
            await anyio.sleep(QUIET_S)
            tasks.cancel_scope.cancel()
    since = [replace(one, at_ms=(one.at_ms / 1000 - began) * 1000) for one in news]
    return Seen(news=tuple(since), took_ms=(ended - began) * 1000, before=before)


async def _note_news(tree: WorkTree, news: list[News], tasks: TaskGroup) -> None:
    """Note each news, and take a snapshot at the same time, as the sync does."""
    lock = anyio.Lock()

    async def look(index: int, touched: frozenset[str]) -> None:
        async with lock:
            snapshot = await tree.snapshot(touched)
        if index < len(news):
            news[index] = replace(news[index], tree=snapshot.tree)

    async for touched in tree.batches():
        news.append(News(at_ms=time.monotonic() * 1000))
        tasks.start_soon(look, len(news) - 1, touched)


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
