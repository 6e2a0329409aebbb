"""How long saves take: one step by step, many in sum, and what made one slow.

This module knows the steps of a save. It measures nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gitops_run.model.tree.tree import Plan

SLOW_MS: Final = 2000
RECENT_MAX: Final = 200
_WHOLE: Final = "applied"

STEPS: Final = {
    "scanned": "scan",
    "rendered": "render",
    "checked": "check",
    "settled": "debounce",
    "fenced": "fence",
    "uploaded": "upload",
    "fetched": "fetch",
    "applied": "apply",
}
"""The steps of a save by the names that events give to their ends, and what they are called.

Of steps that ended at once the earlier one here is what took the time: a save that is quiet has settled
with the end of its checks.
"""
_ORDER: Final = {step: number for number, step in enumerate(STEPS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a save, in milliseconds since the save was seen."""

    name: str
    began_ms: int
    took_ms: int


def whole_ms(times_ms: Mapping[str, int]) -> int:
    """Describe how long a save took: until it was applied, otherwise until the last step that it reached."""
    return times_ms.get(_WHOLE, max((times_ms[step] for step in STEPS if step in times_ms), default=0))


def steps(times_ms: Mapping[str, int]) -> tuple[Step, ...]:
    """Lay a save's steps one after another, in the order in which they ended.

    times_ms: when each step ended. Rendering may end before a save has settled, since it is done meanwhile.
    """
    ended = sorted((step for step in times_ms if step in STEPS), key=lambda s: (times_ms[s], _ORDER[s]))
    found: list[Step] = []
    began = 0
    for step in ended:
        found.append(Step(name=STEPS[step], began_ms=began, took_ms=times_ms[step] - began))
        began = times_ms[step]
    return tuple(found)


def slowest(times_ms: Mapping[str, int], plan: Plan, sizes: Mapping[str, int]) -> str:
    """Name the step that made a save slow and the file most likely behind it; "" where it wasn't slow.

    sizes: bytes by path. The file is the largest that was put, or the only one of the plan.
    """
    if whole_ms(times_ms) <= SLOW_MS:
        return ""
    step = max(steps(times_ms), key=lambda step: step.took_ms)
    file = _suspect(plan, sizes)
    return f"{step.name} took {step.took_ms:,} ms" + (f"; {file}" if file else "")


def _suspect(plan: Plan, sizes: Mapping[str, int]) -> str:
    if plan.puts:
        path = max(plan.puts, key=lambda path: sizes.get(path, 0))
    elif len(plan.paths) == 1:
        path = plan.paths[0]
    else:
        return ""
    return f"{path} ({size_text(sizes[path])})" if path in sizes else path


def size_text(count: int) -> str:
    """Write a number of bytes as people read it."""
    for unit, one in (("MB", 1_000_000), ("kB", 1_000)):
        if count >= one:
            return f"{count / one:.1f} {unit}"
    return f"{count} B"


def percentile(values: tuple[int, ...], percent: int) -> int:
    """Take the nearest rank: a value that occurred, never one between two; 0 where there is none."""
    if not values:
        return 0
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]
