"""How long saves took."""

from __future__ import annotations

from gitops_run.model.state.timings import Step, percentile, slowest, steps
from gitops_run.model.tree.tree import Plan

SLOW = {"scanned": 20, "rendered": 2260, "settled": 2260, "uploaded": 2300, "fetched": 2400, "applied": 2500}


def test_percentiles_are_values_that_occurred() -> None:
    recent = tuple(range(1, 101))
    assert (percentile(recent, 50), percentile(recent, 95)) == (50, 95)


def test_without_a_save_the_percentiles_are_nothing() -> None:
    assert percentile((), 50) == 0


def test_steps_follow_each_other_in_the_order_in_which_they_ended() -> None:
    assert steps({"settled": 90, "scanned": 20, "rendered": 70, "applied": 200}) == (
        Step(name="scan", began_ms=0, took_ms=20),
        Step(name="render", began_ms=20, took_ms=50),
        Step(name="debounce", began_ms=70, took_ms=20),
        Step(name="apply", began_ms=90, took_ms=110),
    )


def test_a_slow_save_names_its_longest_step_and_its_largest_file() -> None:
    plan = Plan(puts=("deploy/big.yaml", "deploy/small.yaml"))
    sizes = {"deploy/big.yaml": 2_100_000, "deploy/small.yaml": 10}
    assert slowest(SLOW, plan, sizes) == "render took 2,240 ms; deploy/big.yaml (2.1 MB)"


def test_a_slow_save_that_only_deletes_names_the_only_path() -> None:
    assert slowest(SLOW, Plan(deletes=("gone.yaml",)), {}) == "render took 2,240 ms; gone.yaml"


def test_a_slow_save_that_deletes_much_blames_no_file() -> None:
    assert slowest(SLOW, Plan(deletes=("a", "b")), {}) == "render took 2,240 ms"


def test_a_save_within_two_seconds_has_nothing_slow() -> None:
    assert slowest({"applied": 2000}, Plan(puts=("a",)), {"a": 1}) == ""
