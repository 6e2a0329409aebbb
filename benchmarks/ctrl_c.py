"""How long Ctrl-C takes to end a sync, pressed once and pressed twice."""

from __future__ import annotations

import signal
import time
from typing import Any

from benchmarks.figures import p50, seconds
from benchmarks.session import Bench, Session, session
from benchmarks.targets import make_target

OBJECTS = 10
TIMES = 5
GAP_S = 0.01
"""The second press comes while the first one's end goes on."""


def measure_ctrl_c(bench: Bench) -> dict[str, Any]:
    """Measure from the first press to the end of the process."""
    root = make_target(bench.folder / "ctrl-c", OBJECTS)
    with session(bench, "ctrl-c", root) as made:
        return {"ctrl_c_ms": {"once": _middle(made, 1), "twice": _middle(made, 2)}}


def _middle(made: Session, presses: int) -> int:
    return p50(_end_ms(made, presses) for _ in range(TIMES))


def _end_ms(made: Session, presses: int) -> float:
    with made.synced() as sync:

        def press() -> None:
            for number in range(presses):
                time.sleep(GAP_S if number else 0)
                sync.process.send_signal(signal.SIGINT)
            sync.ends()

        return seconds(press) * 1000
