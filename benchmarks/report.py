"""What the figures must not exceed, and the table that names what does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Results = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Hold one figure beside its bar."""

    name: str
    value: float
    bar: float
    note: str = ""

    @property
    def is_missed(self) -> bool:
        """Report whether the figure exceeds its bar."""
        return self.value > self.bar


def report(results: Results) -> int:
    """Print each figure beside its bar. Returns 1 where one is missed, and names it last."""
    for line in tables(results):
        print(line)
    found = list(rows(results))
    print(f"\n{'':34} {'measured':>9} {'at most':>8}")
    for row in found:
        mark = "✗" if row.is_missed else "✓"
        print(f"{row.name:34} {row.value:9.2f} {row.bar:8.2f} {mark} {row.note}".rstrip())
    missed = [row.name for row in found if row.is_missed]
    if missed:
        print(f"missed: {'; '.join(missed)}")
    return int(bool(missed))


def tables(results: Results) -> Iterator[str]:
    """Write what is compared by size, and where a save's milliseconds go."""
    for of, word in (("by_target", "objects"), ("by_repo", "files around ten objects")):
        for size, figures in results.get(of, {}).items():
            shown = ", ".join(f"{name.removesuffix('_p50')} {value} ms" for name, value in figures.items())
            yield f"{size} {word}: {shown}"
    if "steps_p50_ms" in results:
        steps = ", ".join(f"{step} {share}" for step, share in results["steps_p50_ms"].items())
        yield f"a save's steps, ms: {steps}"


def rows(results: Results) -> Iterator[Row]:
    """Set each figure that was measured beside its bar; what was not measured has no row."""
    for part, of_part in (
        ("save_ms", _of_saves),
        ("by_target", _of_targets),
        ("by_repo", _of_repositories),
        ("real", _of_a_real_node),
        ("remote", _of_a_remote_cluster),
        ("first_run", _of_a_first_run),
        ("corpus", _of_the_corpus),
        ("board", _of_the_board),
        ("record", _of_the_record),
        ("fifty", _of_fifty_sessions),
        ("web", _of_the_page),
    ):
        if part in results:
            yield from of_part(results)
    for name, key, bar in PLAIN:
        if key in results:
            yield Row(name=name, value=results[key], bar=bar)
    for name, key, floor, most in RATIOS:
        if key in results and floor in results:
            yield _ratio(name, results[key], results[floor], most)
    if results.get("rss_saves", SAVES) < SAVES:
        # Fewer saves in the same time are no failure of memory, but the figure is not the one it is named.
        yield Row(name="saves missing of a thousand", value=SAVES - results["rss_saves"], bar=0)


SAVES = 1_000

PLAIN = (
    ("checkout of 500 files, saves", "checkout500_saves", 1),
    ("sync memory, MB", "sync_rss_mb", 130),
    ("sync memory after 1,000 saves, MB", "rss_mb_after_1000", 150),
    ("sync idle, % of a core", "sync_idle_cpu_percent", 1),
    ("version, ms", "version_ms", 150),
    ("list, ms", "list_ms", 600),
    ("list of 200 sessions, ms", "list_200_ms", 1_000),
)

RATIOS = (
    ("checkout of 500 files / Flux alone", "checkout500_ms", "checkout500_floor_ms", 1.5),
    ("broken save told / floor", "broken_to_error_ms", "broken_floor_ms", 2.0),
    ("sandbox start / its API server's", "sandbox_start_s", "api_server_start_s", 3.0),
    ("--help / Python with click", "cli_help_ms", "cli_help_floor_ms", 2.5),
)
"""Times as ratios to a floor of the same run, since milliseconds depend on the machine."""


def _of_saves(results: Results) -> Iterator[Row]:
    saves, floor, kubectl = results["save_ms"], results["floor_ms"], results["kubectl_apply_ms"]
    yield _ratio("save p50 / floor p50", saves["p50"], floor["p50"], 1.45)
    yield _ratio("save p95 / floor p95", saves["p95"], floor["p95"], 3.5)
    yield _ratio("save p50 / kubectl p50", saves["p50"], kubectl["p50"], 0.5)
    for name, key, bar in (
        ("up to first applied / kubectl p50", "up_first_applied_s", 8.0),
        ("down / kubectl p50", "down_s", 18.0),
    ):
        yield _ratio(name, round(results[key] * 1000), kubectl["p50"], bar)


def _of_targets(results: Results) -> Iterator[Row]:
    sizes = results["by_target"]
    if size := sizes.get("1000"):
        yield _ratio("1,000 objects: save / floor", size["save_p50"], size["floor_p50"], 1.3)
    if size := sizes.get("3000"):
        least = size["floor_p50"] + size["kustomize_p50"]
        yield _ratio("3,000: save / floor and kustomize", size["save_p50"], least, 1.2)


def _of_repositories(results: Results) -> Iterator[Row]:
    sizes = results["by_repo"]
    yield _ratio(
        "repository of 10,000 / of 10 files", sizes["10000"]["save_p50"], sizes["10"]["save_p50"], 1.2
    )


def _of_a_real_node(results: Results) -> Iterator[Row]:
    real = results["real"]
    yield _ratio("real pods: save p50 / floor p50", real["save_p50_ms"], real["floor_p50_ms"], 2.2)
    for name, key, bar in (
        ("real pods: node ready / floor", "node_ready_s", 70),
        ("real pods: up to first applied / floor", "up_first_applied_s", 70),
        ("real pods: bucket filled again / floor", "forward_heal_s", 9),
    ):
        yield _ratio(name, round(real[key] * 1000), real["floor_p50_ms"], bar)
    yield Row(name="real pods: S3 server at rest, MB", value=real["store_rest_mb"], bar=64)


def _of_a_remote_cluster(results: Results) -> Iterator[Row]:
    remote = results["remote"]
    yield _ratio("remote: save p50 / floor p50", remote["save_p50_ms"], remote["floor_p50_ms"], 1.6)
    yield Row(name="remote: round trips of a save", value=remote["round_trips"], bar=3)


def _of_a_first_run(results: Results) -> Iterator[Row]:
    for name, key in (("first run, CPU minutes", "cpu_s"), ("first tests, CPU minutes more", "test_cpu_s")):
        yield Row(name=name, value=results["first_run"][key] / 60, bar=18)


def _of_the_corpus(results: Results) -> Iterator[Row]:
    for name, key, bar in (
        ("corpus: false refusals", "false_refusals", 0),
        ("corpus: false passes", "false_passes", 0),
        ("corpus: differences after applied", "diffs_after_applied", 0),
        ("corpus: objects not checked, %", "not_checked_percent", 2),
    ):
        yield Row(name=name, value=results["corpus"][key], bar=bar)


def _of_the_board(results: Results) -> Iterator[Row]:
    for name, key, bar in (
        ("board: news for each renewal", "news_per_renewal", 0),
        ("board: 100 readers, % of a core", "readers_100_cpu_percent", 15),
        ("board: memory for 500 sessions, MB", "rss_500_mb", 80),
        ("board: memory gained by renewals, MB", "rss_growth_mb", 3),
    ):
        yield Row(name=name, value=results["board"][key], bar=bar)


def _of_the_page(results: Results) -> Iterator[Row]:
    found = results["web"]
    for name, key, bar in (
        ("page: a verdict is seen, p95 ms", "save_seen_p95_ms", 300),
        ("page: first paint of 500 sessions, ms", "paint_500_ms", 500),
        ("page: HTML of 500 sessions, KB", "html_500_kb", 20),
        ("page: memory with 100 viewers, MB", "rss_mb", 120),
        ("page: rights of 500 namespaces, ms", "rights_500_ms", 1000),
        ("page: faults that axe finds", "axe_violations", 0),
        ("page: tasks of more than 50 ms", "long_tasks", 0),
    ):
        yield Row(name=name, value=found[key], bar=bar)
    more = found["watches_100"] - found["watches_1"]
    yield Row(name="page: watches more for 100 viewers", value=more, bar=0)


def _of_the_record(results: Results) -> Iterator[Row]:
    for name, key, bar in (
        ("record: writes for each save", "writes_per_save", 2.5),
        ("record: state, bytes", "state_bytes", 4096),
        ("record: whole, bytes", "record_bytes", 65536),
        ("record: values of Secrets", "masked_canaries_found", 0),
    ):
        yield Row(name=name, value=results["record"][key], bar=bar)


def _of_fifty_sessions(results: Results) -> Iterator[Row]:
    for name, key, bar in (
        ("fifty sessions: up, s", "up_s", 480),
        ("fifty saves at once: p95, ms", "save_p95_ms", 10_000),
        ("fifty sessions: leftovers", "leftovers", 0),
    ):
        yield Row(name=name, value=results["fifty"][key], bar=bar)


def _ratio(name: str, value: float, other: float, bar: float) -> Row:
    unit = "s" if isinstance(value, float) else "ms"
    return Row(name=name, value=value / other, bar=bar, note=f"{value} {unit} / {other} {unit}")
