"""A save beside its floor, its peer and a model of what was before, for targets of growing size."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from benchmarks.figures import p50, percentiles, seconds, steps_p50
from benchmarks.floor import floor
from benchmarks.model import model
from benchmarks.peer import kubectl_apply, kubectl_kustomize
from benchmarks.process import idle_cpu_percent, resident_mb
from benchmarks.session import Bench, Session, session
from benchmarks.targets import make_target


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Describe a target's size and number of measurements. saves: and floors, in each round.

    Saves and floors take turns, so that a machine's noisy minute hits both.
    """

    objects: int
    rounds: int
    saves: int
    peers: int
    models: int


TEN = Size(objects=10, rounds=2, saves=20, peers=10, models=3)
HUNDRED = Size(objects=100, rounds=2, saves=10, peers=3, models=2)
THOUSAND = Size(objects=1000, rounds=2, saves=6, peers=1, models=1)
THREE_THOUSAND = Size(objects=3000, rounds=2, saves=3, peers=0, models=0)
"""kubectl would take three minutes to apply it, and the model half a minute for each save."""


def measure_ten(bench: Bench) -> dict[str, Any]:
    """Measure what a person waits for in a whole session of ten objects, from `up` to `down`."""
    root = make_target(bench.folder / "ten", TEN.objects)
    began = time.monotonic()
    with session(bench, "ten", root) as made:
        with made.synced() as sync:
            first_applied_s = time.monotonic() - began
            idle = idle_cpu_percent(sync)
            made.save(sync, TEN.saves)
            resident = resident_mb(sync.process.pid)
        floors = floor(made, TEN.saves) + _in_turns(made, TEN)
        results: dict[str, Any] = {
            "by_target": {"10": _beside(made, floors, TEN)},
            "save_ms": {**percentiles(made.saves), "n": len(made.saves)},
            "floor_ms": {**percentiles(floors), "n": len(floors)},
            "steps_p50_ms": steps_p50(made.applied),
            "up_first_applied_s": round(first_applied_s, 2),
            "up_noop_s": round(seconds(lambda: made.person.succeeds(*made.up)), 2),
            "sync_rss_mb": resident,
            "sync_idle_cpu_percent": idle,
            "down_s": round(seconds(made.end), 2),
        }
    results["kubectl_apply_ms"] = {"p50": results["by_target"]["10"]["kubectl_p50"]}
    return results


def measure_hundred(bench: Bench) -> dict[str, Any]:
    """Measure a target of a hundred objects."""
    return _measure(bench, HUNDRED)


def measure_thousand(bench: Bench) -> dict[str, Any]:
    """Measure a target of a thousand objects."""
    return _measure(bench, THOUSAND)


def measure_three_thousand(bench: Bench) -> dict[str, Any]:
    """Measure a target of three thousand objects, beside Flux's own time and one kustomize of the target.

    The three take turns: a machine that is busy for a while is so for all of them.
    """
    size = THREE_THOUSAND
    root = make_target(bench.folder / str(size.objects), size.objects)
    floors: list[float] = []
    kustomizes: list[float] = []
    with session(bench, str(size.objects), root) as made:
        for _ in range(size.rounds):
            with made.synced() as sync:
                made.save(sync, size.saves)
            floors += floor(made, size.saves)
            kustomizes += kubectl_kustomize(made, size.saves)
        figures = {
            "save_p50": p50(made.saves),
            "floor_p50": p50(floors),
            "kustomize_p50": p50(kustomizes),
            **{f"{step}_p50": share for step, share in steps_p50(made.applied).items()},
        }
    return {"by_target": {str(size.objects): figures}}


def _measure(bench: Bench, size: Size) -> dict[str, Any]:
    root = make_target(bench.folder / str(size.objects), size.objects)
    with session(bench, str(size.objects), root) as made:
        floors = _in_turns(made, size)
        return {"by_target": {str(size.objects): _beside(made, floors, size)}}


def _in_turns(made: Session, size: Size) -> list[float]:
    """Save and measure the floor by turns. Returns the floor's milliseconds; the session keeps its own."""
    floors = []
    for _ in range(size.rounds):
        with made.synced() as sync:
            made.save(sync, size.saves)
        floors += floor(made, size.saves)
    return floors


def _beside(made: Session, floors: list[float], size: Size) -> dict[str, int]:
    return {
        "save_p50": p50(made.saves),
        "floor_p50": p50(floors),
        "kubectl_p50": p50(kubectl_apply(made, size.peers)),
        "model_p50": p50(model(made, size.models)),
    }
