"""Times and what is taken from them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def seconds(work: Callable[[], object]) -> float:
    """Time a piece of work."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def p50(times: Iterable[float]) -> int:
    """Take the middle of milliseconds."""
    return round(statistics.median(times))


def percentiles(times: list[float]) -> dict[str, int]:
    """Take the middle and the slow end of milliseconds."""
    return {"p50": p50(times), "p95": round(statistics.quantiles(times, n=20, method="inclusive")[18])}


def steps_p50(events: list[dict[str, Any]]) -> dict[str, int]:
    """Take the middle of each step's share in saves. events: of the type save_applied."""
    shares: dict[str, list[int]] = {}
    for event in events:
        for step, share in step_shares(event["times_ms"]).items():
            shares.setdefault(step, []).append(share)
    return {step: p50(times) for step, times in shares.items()}


def step_shares(times_ms: Mapping[str, int]) -> dict[str, int]:
    """Turn the moments when steps were done into what each added. Steps that run side by side add little."""
    shares, before = {}, 0
    for step, at in sorted(times_ms.items(), key=lambda pair: pair[1]):
        shares[step] = at - before
        before = at
    return shares
