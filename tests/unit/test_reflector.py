"""A collection, listed and watched, against an API server in memory that cuts, forgets and starts again."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import anyio
import pytest

from gitops_run.adapters.cluster import reflector
from gitops_run.adapters.cluster.connection import ExpiredError, refusal
from gitops_run.adapters.cluster.reflector import Gone, Listed, News, Seen, is_newer, reflect, reflect_one
from gitops_run.errors import BackendError, GitOpsRunError, NotFound, TransientError
from tests.virtual_time import scenario

Json = dict[str, Any]
Step = tuple[str, Json] | GitOpsRunError | float
Script = Iterable[Step]
PODS = "/api/v1/namespaces/ns/pods"
EXPIRED = ("ERROR", {"code": 410, "reason": "Expired"})
CUT = TransientError("the connection was cut")


def pod(name: str, version: int | str, uid: str = "1") -> Json:
    return {"metadata": {"namespace": "ns", "name": name, "uid": uid, "resourceVersion": str(version)}}


def bookmark(version: int) -> tuple[str, Json]:
    return "BOOKMARK", {"metadata": {"resourceVersion": str(version)}}


class ApiServer:
    """Answer one list, and play one script of a watch, after the other; the last watch is silent.

    asked: "list", or from which version a watch was asked for, and when.
    """

    def __init__(self, lists: Iterable[tuple[int, list[Json]] | GitOpsRunError], *watches: Script) -> None:
        self._lists = iter(lists)
        self._watches = iter(watches)
        self.asked: list[str] = []
        self.asked_at: list[float] = []
        self.open = 0

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        self.asked_at.append(anyio.current_time())

    async def get(self, path: str, query: Mapping[str, str]) -> Json:
        assert (path, query.get("labelSelector")) == (PODS, "app=web")
        self._ask("list")
        answer = next(self._lists)
        if isinstance(answer, GitOpsRunError):
            raise answer
        version, items = answer
        return {"metadata": {"resourceVersion": str(version)}, "items": items}

    async def watch(
        self, path: str, query: Mapping[str, str], opened: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[tuple[str, Json], None]:
        assert (path, query["labelSelector"]) == (PODS, "app=web")
        self._ask(query["resourceVersion"])
        opened()
        self.open += 1
        try:
            for step in next(self._watches, (float("inf"),)):
                if isinstance(step, GitOpsRunError):
                    raise step
                if isinstance(step, float):
                    await anyio.sleep(step)
                else:
                    yield step
        finally:
            self.open -= 1


async def reflected(api: ApiServer, count: int) -> list[News]:
    """Take so many news, and wait until nothing more happens."""
    found: list[News] = []
    news = reflect(api, PODS, {"labelSelector": "app=web"})  # type: ignore[arg-type]
    with anyio.move_on_after(100):
        async with aclosing(news):
            async for one in news:
                found.append(one)  # noqa: PERF401 - it ends by being cancelled
    assert len(found) == count, found
    return found


@scenario
async def test_what_is_there_comes_first_and_then_each_change() -> None:
    changes: Script = [
        ("ADDED", pod("b", 6)),
        ("MODIFIED", pod("a", 7)),
        ("DELETED", pod("b", 8)),
        float("inf"),
    ]
    api = ApiServer([(5, [pod("a", 3)])], changes)
    assert await reflected(api, 4) == [
        Listed((pod("a", 3),)),
        Seen(pod("b", 6)),
        Seen(pod("a", 7)),
        Gone("ns", "b"),
    ]
    assert api.asked == ["list", "5"]


@pytest.mark.parametrize("end", [[], [CUT]], ids=["timeout", "cut"])
def test_a_watch_that_ends_goes_on_where_it_was_without_a_list(end: Script) -> None:
    @scenario
    async def main() -> None:
        after: Script = [("MODIFIED", pod("a", 9)), float("inf")]
        api = ApiServer([(5, [])], [("ADDED", pod("a", 7)), *end], after)
        assert await reflected(api, 3) == [Listed(()), Seen(pod("a", 7)), Seen(pod("a", 9))]
        assert api.asked == ["list", "5", "7"]

    main()


@scenario
async def test_a_bookmark_is_no_news_and_where_the_next_watch_begins() -> None:
    api = ApiServer([(5, [])], [bookmark(40)])
    assert await reflected(api, 1) == [Listed(())]
    assert api.asked == ["list", "5", "40"]


@pytest.mark.parametrize("expired", [EXPIRED, ExpiredError("410")], ids=["event", "status"])
def test_a_version_that_is_no_longer_known_leads_to_a_list(expired: tuple[str, Json] | ExpiredError) -> None:
    @scenario
    async def main() -> None:
        before, after = (
            [pod("kept", 1), pod("left", 2), pod("changed", 3)],
            [pod("kept", 1), pod("changed", 9)],
        )
        api = ApiServer([(5, before), (10, [*after, pod("new", 8)])], [expired])
        assert await reflected(api, 4) == [
            Listed(tuple(before)),
            Gone("ns", "left"),
            Seen(pod("changed", 9)),
            Seen(pod("new", 8)),
        ]
        assert api.asked == ["list", "5", "list", "10"]

    main()


@scenario
async def test_an_object_that_was_replaced_during_an_outage_is_gone_and_then_another() -> None:
    api = ApiServer([(5, [pod("a", 3, uid="1")]), (10, [pod("a", 8, uid="2")])], [EXPIRED])
    assert await reflected(api, 3) == [Listed((pod("a", 3, "1"),)), Gone("ns", "a"), Seen(pod("a", 8, "2"))]


@scenario
async def test_what_was_given_out_is_never_followed_by_the_same_or_an_older_state() -> None:
    api = ApiServer(
        [(5, [pod("a", 3), pod("b", 4)]), (20, [pod("a", 8), pod("b", 2)])],
        [("MODIFIED", pod("a", 8)), ("MODIFIED", pod("a", 8)), EXPIRED],
    )
    assert await reflected(api, 2) == [Listed((pod("a", 3), pod("b", 4))), Seen(pod("a", 8))]


@pytest.mark.parametrize("older", [bookmark(3), ("MODIFIED", pod("a", 3))], ids=["bookmark", "object"])
def test_a_history_that_was_replaced_by_an_older_one_is_listed_as_a_whole(older: tuple[str, Json]) -> None:
    @scenario
    async def main() -> None:
        api = ApiServer([(50, [pod("a", 40), pod("b", 41)]), (4, [pod("a", 3)])], [older])
        assert await reflected(api, 2) == [Listed((pod("a", 40), pod("b", 41))), Listed((pod("a", 3),))]
        assert api.asked == ["list", "50", "list", "4"]

    main()


@scenario
async def test_something_that_was_never_given_out_is_not_reported_as_gone() -> None:
    api = ApiServer([(5, [])], [("DELETED", pod("a", 7)), float("inf")])
    assert await reflected(api, 1) == [Listed(())]


@pytest.mark.parametrize("code", [429, 500, 504])
def test_an_error_that_passes_is_no_reason_for_a_list(code: int) -> None:
    @scenario
    async def main() -> None:
        api = ApiServer([(5, [])], [("ERROR", {"code": code, "message": "busy"})])
        assert await reflected(api, 1) == [Listed(())]
        assert api.asked == ["list", "5", "5"]

    main()


@scenario
async def test_failures_in_a_row_are_tried_again_more_and_more_slowly_up_to_a_limit() -> None:
    api = ApiServer([*[CUT] * 12, (5, [])])
    assert await reflected(api, 1) == [Listed(())]
    waits = [after - before for before, after in pairwise(api.asked_at[:13])]
    limits = [min(reflector.FIRST_S * 2**number, reflector.MAX_S) for number in range(12)]
    assert all(limit / 2 <= wait <= limit for wait, limit in zip(waits, limits, strict=True))
    assert len(set(waits)) == len(waits)


@scenario
async def test_a_watch_that_told_something_begins_the_waits_from_the_shortest_again() -> None:
    api = ApiServer([*[CUT] * 8, (5, [])], [("ADDED", pod("a", 7)), CUT], [CUT])
    await reflected(api, 2)
    cut, first = api.asked_at[10] - api.asked_at[9], api.asked_at[11] - api.asked_at[10]
    assert (cut, first <= reflector.FIRST_S) == (0, True)


@scenario
async def test_watches_that_end_at_once_and_silently_are_not_asked_for_in_a_hot_loop() -> None:
    """projectcalico/typha#227: a version that no watch begins from any more, and no error says so."""
    api = ApiServer([(5, []), (9, [pod("a", 8)])], *[[]] * reflector.STUCK)
    assert await reflected(api, 2) == [Listed(()), Seen(pod("a", 8))]
    assert api.asked == ["list", *["5"] * reflector.STUCK, "list", "9"]
    assert api.asked_at[-1] > reflector.FIRST_S


@scenario
async def test_a_server_whose_versions_go_up_and_down_is_not_listed_in_a_hot_loop() -> None:
    turn = [("ADDED", pod("a", 7)), ("MODIFIED", pod("b", 3))]
    api = ApiServer([(5, []), *[(9, [pod("a", 7)])] * 5], *[turn] * 5)
    await reflected(api, 2)
    listed_at = [at for what, at in zip(api.asked, api.asked_at, strict=True) if what == "list"]
    assert all(after - before >= reflector.FIRST_S / 2 for before, after in pairwise(listed_at))


@scenario
async def test_a_quiet_watch_goes_on_at_once_when_its_time_is_over() -> None:
    api = ApiServer([(5, [])], [50.0], [30.0])
    await reflected(api, 1)
    assert api.asked_at == [0, 0, 50, 80]


@pytest.mark.parametrize("refused", [BackendError("forbidden"), NotFound("no such kind")], ids=["403", "404"])
@pytest.mark.parametrize("when", ["list", "watch"])
def test_what_a_user_may_not_see_or_the_server_does_not_have_is_the_caller_s_to_judge(
    refused: GitOpsRunError, when: str
) -> None:
    @scenario
    async def main() -> None:
        api = ApiServer([refused]) if when == "list" else ApiServer([(5, [])], [refused])
        with pytest.raises(type(refused), match=refused.message):
            await reflected(api, 0)

    main()


@scenario
async def test_a_reader_that_has_seen_enough_leaves_no_watch_open() -> None:
    api = ApiServer([(5, [])], [("ADDED", pod("a", 7)), float("inf")])
    news = reflect(api, PODS, {"labelSelector": "app=web"})  # type: ignore[arg-type]
    async with aclosing(news):
        await anext(news)
        await anext(news)
        assert api.open == 1
    assert api.open == 0


class OneName(ApiServer):
    """As above, for one object by its name."""

    async def get(self, path: str, query: Mapping[str, str]) -> Json:
        assert query["fieldSelector"] == "metadata.name=a"
        return await super().get(path, {"labelSelector": "app=web"})

    async def watch(
        self, path: str, query: Mapping[str, str], opened: object = None
    ) -> AsyncGenerator[tuple[str, Json], None]:
        assert query["fieldSelector"] == "metadata.name=a"
        async with aclosing(super().watch(path, {**query, "labelSelector": "app=web"})) as events:
            async for event in events:
                yield event


class Beats:
    """Keep what a watch reports of itself. Fulfils Pulse."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def opened(self) -> None:
        self.told.append("opened")

    def cut(self) -> None:
        self.told.append("cut")


@scenario
async def test_a_cut_and_the_return_after_it_are_reported() -> None:
    api = ApiServer([CUT, (5, []), (6, [])], [CUT], [EXPIRED])
    beats = Beats()
    with anyio.move_on_after(60):
        async with aclosing(reflect(api, PODS, {"labelSelector": "app=web"}, pulse=beats)) as news:  # type: ignore[arg-type]
            async for _ in news:
                pass
    assert beats.told == ["cut", "opened", "cut", "opened", "cut", "opened"]


@scenario
async def test_one_object_is_followed_through_its_absence() -> None:
    api = OneName(
        [(5, []), (20, [pod("a", 18, uid="3")])],
        [("ADDED", pod("a", 7)), ("DELETED", pod("a", 8)), ("ADDED", pod("a", 9, uid="2")), EXPIRED],
    )
    found: list[Json | None] = []
    states = reflect_one(api, PODS, "a")  # type: ignore[arg-type]
    with anyio.move_on_after(100):
        async with aclosing(states):
            async for live in states:
                found.append(live)  # noqa: PERF401 - it ends by being cancelled
    assert found == [None, pod("a", 7), None, pod("a", 9, "2"), None, pod("a", 18, "3")]


@pytest.mark.parametrize(
    ("version", "before", "expected"),
    [
        ("10", "9", True),
        ("9", "10", False),
        ("9", "9", False),
        ("b", "a", True),
        ("a", "a", False),
        ("", "9", True),
        ("9" * 5_000, "9", True),
    ],
)
def test_versions_are_compared_as_numbers_where_they_are_some(
    version: str, before: str, *, expected: bool
) -> None:
    assert is_newer(version, before) is expected


def test_only_an_answer_of_410_says_that_a_version_expired() -> None:
    assert isinstance(refusal("dev", 410, "too old"), ExpiredError)
    assert not isinstance(refusal("dev", 429, "slow down"), ExpiredError)


@scenario
async def test_a_long_watch_of_objects_that_come_change_and_go_keeps_nothing_of_them() -> None:
    def life(begin: int, end: int) -> Iterable[tuple[str, Json]]:
        for number in range(begin, end, 3):
            yield "ADDED", pod(f"p{number}", number)
            yield "MODIFIED", pod(f"p{number}", number + 1)
            yield "DELETED", pod(f"p{number}", number + 2)

    api = ApiServer([(1, [])], life(2, 300), life(302, 2_000))
    news = reflect(api, PODS, {"labelSelector": "app=web"})  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        async with aclosing(news):
            while await anext(news) != Gone("ns", "p299"):
                pass
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            while await anext(news) != Gone("ns", "p1997"):
                pass
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] - before < 10_000
    finally:
        tracemalloc.stop()
