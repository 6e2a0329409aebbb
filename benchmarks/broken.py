"""How soon a broken save is told, and how soon its mending is live."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.figures import p50
from benchmarks.floor import floor
from benchmarks.session import Bench, session
from benchmarks.targets import EDITED, make_target

OBJECTS = 10
TIMES = 5
BROKEN = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings-0\ndata:\n  value: never closed\n"


def measure_broken(bench: Bench) -> dict[str, Any]:
    """Break a file and mend it with a new value, again and again: the old one would be no save."""
    root = make_target(bench.folder / "broken", OBJECTS)
    to_error = []
    with session(bench, "broken", root) as made:
        with made.synced() as sync:
            for _ in range(TIMES):
                began = time.monotonic()
                (root / f"{EDITED}.yaml").write_text(BROKEN, encoding="utf-8")
                sync.tells("save_broken")
                to_error.append((time.monotonic() - began) * 1000)
                made.save(sync, 1)
        return {
            "broken_to_error_ms": p50(to_error),
            "mend_to_applied_ms": p50(made.saves),
            "broken_floor_ms": p50(floor(made, TIMES)),
        }
