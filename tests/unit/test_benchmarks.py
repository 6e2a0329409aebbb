"""What the benchmarks compute from what they measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.figures import step_shares, steps_p50
from benchmarks.report import report, rows, tables
from benchmarks.settle import News, Seen, Wait
from gitops_run.model.tree.tree import FileEntry, Tree


def seen(*at_ms: float) -> Seen:
    return Seen(news=tuple(News(at_ms=at) for at in at_ms), took_ms=0)


def tree(**digests: str) -> Tree:
    return Tree.of(FileEntry(path=path, size=1, digest=digest) for path, digest in digests.items())


def test_news_closer_than_the_quiet_time_are_one_save() -> None:
    assert seen(0, 42, 84, 126).saves(Wait.fixed(60)) == 1


def test_a_gap_longer_than_the_quiet_time_makes_another_save() -> None:
    assert seen(0, 42, 142, 184).saves(Wait.fixed(60)) == 2


def test_news_without_end_are_cut_at_the_cap() -> None:
    assert seen(*range(0, 2_100, 50)).saves(Wait.fixed(60)) == 2


def test_no_news_are_no_save() -> None:
    assert seen().saves(Wait.fixed(60)) == 0


@pytest.mark.parametrize(
    ("at_ms", "count"), [((0, 60, 120), 2), ((0, 30, 90), 1), ((0, 30, 120), 2), ((0, 300, 360), 3)]
)
def test_less_quiet_is_needed_only_where_one_edited_file_is_all_that_changed_for_a_while(
    at_ms: tuple[float, ...], count: int
) -> None:
    edits = [tree(a="2", b="1", c="1"), tree(a="2", b="2", c="1"), tree(a="2", b="2", c="2")]
    news = tuple(News(at_ms=at, tree=now) for at, now in zip(at_ms, edits, strict=True))
    burst = Seen(news=news, took_ms=0, before=tree(a="1", b="1", c="1"))
    assert burst.saves(Wait(settle_ms=80, edit_ms=40)) == count


def test_a_step_is_given_what_it_added_in_the_order_of_time() -> None:
    times = {"settled": 80, "scanned": 4, "rendered": 50, "applied": 300}
    assert step_shares(times) == {"scanned": 4, "rendered": 46, "settled": 30, "applied": 220}


def test_a_step_s_figure_is_the_middle_of_its_shares() -> None:
    events = [{"times_ms": {"settled": 80, "applied": at}} for at in (180, 200, 900)]
    assert steps_p50(events) == {"settled": 80, "applied": 120}


def test_a_figure_above_its_bar_is_named_and_fails_the_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert report({"sync_rss_mb": 131, "rss_mb_after_1000": 90}) == 1
    assert "missed: sync memory, MB\n" in capsys.readouterr().out


def test_figures_at_their_bars_pass() -> None:
    assert report({"sync_rss_mb": 130, "checkout500_saves": 1}) == 0


@pytest.mark.parametrize(("floor_ms", "code"), [(3_000, 0), (2_900, 1)])
def test_a_time_is_held_against_the_floor_of_its_own_run(floor_ms: int, code: int) -> None:
    assert report({"checkout500_ms": 4_500, "checkout500_floor_ms": floor_ms}) == code


def test_a_far_save_is_held_against_its_floor_and_its_round_trips() -> None:
    far = {"save_p50_ms": 900, "floor_p50_ms": 600, "round_trips": 4}
    assert [row.is_missed for row in rows({"remote": far})] == [False, True]


def test_a_repository_is_held_against_the_smallest_one() -> None:
    sizes = {"10": {"save_p50": 300}, "10000": {"save_p50": 390}}
    (row,) = rows({"by_repo": sizes})
    assert row.is_missed
    assert row.value == 1.3


def test_three_thousand_objects_are_held_against_flux_and_one_kustomize_together() -> None:
    sizes = {"3000": {"save_p50": 2_600, "floor_p50": 1_500, "kustomize_p50": 500}}
    (row,) = rows({"by_target": sizes})
    assert row.is_missed
    assert row.value == 1.3


def test_fewer_saves_than_a_thousand_are_not_passed_off_as_a_thousand() -> None:
    assert any(row.is_missed for row in rows({"rss_mb_after_1000": 100, "rss_saves": 800}))


def test_sizes_are_told_with_their_floor_and_peers() -> None:
    sizes = {"100": {"save_p50": 400, "floor_p50": 250}}
    assert list(tables({"by_target": sizes})) == ["100 objects: save 400 ms, floor 250 ms"]


def test_a_renewal_that_is_news_is_missed() -> None:
    board = {"readers_100_cpu_percent": 3, "news_per_renewal": 0.01, "rss_500_mb": 51, "rss_growth_mb": 0}
    assert [row.name for row in rows({"board": board}) if row.is_missed] == ["board: news for each renewal"]


def test_the_first_run_is_held_against_minutes_of_cpu_time() -> None:
    of_demo, of_tests = rows({"first_run": {"cpu_s": 1_081, "wall_s": 600, "test_cpu_s": 60}})
    assert of_demo.is_missed
    assert not of_tests.is_missed


@pytest.mark.parametrize(("sessions", "kept"), [(50, 50), (6, 1)])
def test_a_trial_with_fewer_sessions_leaves_the_figures_of_fifty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sessions: int, kept: int
) -> None:
    results = tmp_path / "latest.json"
    results.write_text(json.dumps({"fifty": {"sessions": 1}, "list_ms": 300}))
    monkeypatch.setattr(command, "RESULTS", results)
    command.keep({"fifty": {"sessions": sessions}}, is_whole=False)
    assert json.loads(results.read_text()) == {"fifty": {"sessions": kept}, "list_ms": 300}
