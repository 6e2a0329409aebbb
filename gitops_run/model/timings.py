"""How long saves take: the last one step by step, the recent ones in sum, and what made one slow.

Knows the steps of a save and the compact form in which the loop leaves its timings on the session's
Lease, for everybody who may see the session. Measures nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from gitops_run.model.tree import Plan

SLOW_MS: Final = 2000
RECENT_MAX: Final = 200
_LONGEST_MS: Final = 9_999_999
"""Longer ones are told as this, so that 200 of them stay far below what an annotation may hold."""
_WHOLE: Final = "applied"

STEPS: Final = {
    "scanned": "scan",
    "rendered": "render",
    "checked": "check",
    "settled": "settling",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSave:
    """Hold the timings of one save that was applied. paths: how many files it touched."""

    number: int
    revision: str
    times_ms: Mapping[str, int]
    paths: int
    is_slow: bool

    @property
    def took_ms(self) -> int:
        """Say how long it took until it was applied."""
        return whole_ms(self.times_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Hold how long the recent saves took, oldest first, and the last one step by step."""

    recent_ms: tuple[int, ...] = ()
    last: LastSave | None = field(default=None)

    @property
    def p50_ms(self) -> int:
        """Say what half of the saves stayed within; 0 where there was none."""
        return _percentile(self.recent_ms, 50)

    @property
    def p95_ms(self) -> int:
        """Say what 95 of 100 saves stayed within; 0 where there was none."""
        return _percentile(self.recent_ms, 95)

    def after(self, *, number: int, revision: str, times_ms: Mapping[str, int], paths: int) -> Timings:
        """Add a save that was applied."""
        took = whole_ms(times_ms)
        last = LastSave(
            number=number, revision=revision, times_ms=dict(times_ms), paths=paths, is_slow=took > SLOW_MS
        )
        return replace(self, recent_ms=(*self.recent_ms, took)[-RECENT_MAX:], last=last)

    def to_text(self) -> str:
        """Write them as JSON, below 4 KB."""
        document: dict[str, object] = {"recent": [min(took, _LONGEST_MS) for took in self.recent_ms]}
        if self.last is not None:
            times = {step: took for step, took in self.last.times_ms.items() if step in STEPS}
            document["last"] = [self.last.number, self.last.revision[:80], times, self.last.paths]
        return json.dumps(document, separators=(",", ":"))


def parse_timings(text: str) -> Timings | None:
    """Read what `to_text` wrote; what isn't that is left out, and None where nothing is left."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    recent = document.get("recent")
    numbers = [took for took in recent if _is_time(took)] if isinstance(recent, list) else []
    last = _parse_last(document.get("last"))
    return Timings(recent_ms=tuple(numbers[-RECENT_MAX:]), last=last) if numbers or last else None


def _parse_last(row: object) -> LastSave | None:
    match row:
        case [int(number), str(revision), dict(times), int(paths)]:
            known = {step: took for step, took in times.items() if step in STEPS and _is_time(took)}
            is_slow = whole_ms(known) > SLOW_MS
            return LastSave(number=number, revision=revision, times_ms=known, paths=paths, is_slow=is_slow)
    return None


def _is_time(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def whole_ms(times_ms: Mapping[str, int]) -> int:
    """Say how long a save took: until it was applied, else until the last step that it reached."""
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


def _percentile(values: tuple[int, ...], percent: int) -> int:
    """Take the nearest rank: a value that occurred, never one between two."""
    if not values:
        return 0
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]
