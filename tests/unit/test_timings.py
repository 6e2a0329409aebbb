"""How long saves took, as told to people and left on the Lease."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_run.model.state.timings import RECENT_MAX, STEPS, Step, Timings, parse_timings, slowest, steps
from gitops_run.model.tree import Plan

SLOW = {"scanned": 20, "rendered": 2260, "settled": 2260, "uploaded": 2300, "fetched": 2400, "applied": 2500}
REVISION = "sha256:" + "a" * 64


def timings(*recent: int) -> Timings:
    found = Timings()
    for number, took in enumerate(recent, 1):
        found = found.after(number=number, revision=REVISION, times_ms={"applied": took}, paths=1)
    return found


def test_percentiles_are_values_that_occurred() -> None:
    found = timings(*range(1, 101))
    assert (found.p50_ms, found.p95_ms) == (50, 95)


def test_without_a_save_the_percentiles_are_nothing() -> None:
    assert (Timings().p50_ms, Timings().p95_ms) == (0, 0)


def test_only_the_recent_saves_count() -> None:
    assert timings(*range(RECENT_MAX + 5)).recent_ms == tuple(range(5, RECENT_MAX + 5))


def test_a_save_is_slow_above_two_seconds() -> None:
    last = timings(2000).last, timings(2001).last
    assert [save is not None and save.is_slow for save in last] == [False, True]


@given(st.lists(st.integers(0, 9_999_999), min_size=1, max_size=RECENT_MAX), st.integers(0, 20_000))
def test_timings_come_back_from_their_text(recent: list[int], paths: int) -> None:
    times = dict.fromkeys(STEPS, 9_999_999)
    found = Timings(recent_ms=tuple(recent)).after(number=7, revision=REVISION, times_ms=times, paths=paths)
    text = found.to_text()
    assert len(text) < 4096
    assert parse_timings(text) == found


@settings(max_examples=40)
@given(
    st.text(max_size=20)
    | st.dictionaries(
        st.sampled_from(["recent", "last"]), st.lists(st.none() | st.integers() | st.text(max_size=3))
    ).map(json.dumps)
)
def test_any_text_is_read_without_a_failure(text: str) -> None:
    parse_timings(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"recent": 3}',
        '{"recent": ["x", -1, true]}',
        '{"last": [1]}',
        '{"last": [1, 2, 3, 4]}',
    ],
)
def test_what_holds_no_timings_is_none(text: str) -> None:
    assert parse_timings(text) is None


def test_a_step_of_a_newer_version_is_left_out() -> None:
    found = parse_timings(json.dumps({"last": [1, REVISION, {"applied": 5, "teleported": 3}, 1]}))
    assert found is not None
    assert found.last is not None
    assert found.last.times_ms == {"applied": 5}


def test_steps_follow_each_other_in_the_order_in_which_they_ended() -> None:
    assert steps({"settled": 90, "scanned": 20, "rendered": 70, "applied": 200}) == (
        Step(name="scan", began_ms=0, took_ms=20),
        Step(name="render", began_ms=20, took_ms=50),
        Step(name="settling", began_ms=70, took_ms=20),
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
