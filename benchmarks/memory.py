"""The memory of a sync after a long day: a thousand saves, as fast as it takes them."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.process import resident_mb
from benchmarks.session import Bench, session
from benchmarks.targets import make_target

OBJECTS = 10
SAVES = 1_000
LIMIT_S = 300.0


def measure_memory(bench: Bench) -> dict[str, Any]:
    """Save as soon as the last save was pushed, so that most are superseded and some applied."""
    root = make_target(bench.folder / "memory", OBJECTS)
    with session(bench, "memory", root) as made, made.synced() as sync:
        until, count = time.monotonic() + LIMIT_S, 0
        while count < SAVES and time.monotonic() < until:
            made.edit()
            last = sync.tells("save_pushed")["save"]
            count += 1
        sync.tells("save_applied", save=last)
        return {"rss_mb_after_1000": resident_mb(sync.process.pid), "rss_saves": count}
