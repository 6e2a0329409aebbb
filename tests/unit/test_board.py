"""The board: whoever reads it, and however slowly, ends on the newest state."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_run.flows.board import Board, Snapshot
from tests.virtual_time import run, scenario

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Sum:
    """A state that some facts change, and zero does not."""

    total: int = 0


def add(state: Sum | None, fact: int) -> Sum:
    return Sum((state or Sum()).total + fact)


def board_of(**totals: int) -> Board[str, int, Sum]:
    board = Board[str, int, Sum](add)
    for key, total in totals.items():
        board.post(key, total)
    return board


async def has_next(reader: AsyncGenerator[Value, None]) -> bool:
    """Say whether there is news at once. A reader without any is closed by this."""
    with anyio.move_on_after(1):
        await anext(reader)
        return True
    return False


@scenario
async def test_a_reader_gets_what_is_there_at_once_and_then_each_news() -> None:
    board = board_of(a=1)
    async with aclosing(board.watch()) as reader:
        assert dict((await anext(reader)).states) == {"a": Sum(1)}
        board.post("b", 2)
        assert dict((await anext(reader)).states) == {"a": Sum(1), "b": Sum(2)}
        board.remove("a")
        assert dict((await anext(reader)).states) == {"b": Sum(2)}


@scenario
async def test_an_empty_board_is_a_state_too() -> None:
    async with aclosing(board_of().watch()) as reader:
        assert dict((await anext(reader)).states) == {}


@scenario
async def test_facts_that_change_nothing_are_no_news() -> None:
    board = board_of(a=1)
    async with aclosing(board.watch()) as reader:
        before = await anext(reader)
        board.post("a", 0)
        board.remove("b")
        assert board.snapshot is before
        assert not await has_next(reader)


@scenario
async def test_the_first_state_of_a_key_is_news_even_where_it_is_an_empty_one() -> None:
    board = board_of()
    async with aclosing(board.watch()) as reader:
        await anext(reader)
        board.post("a", 0)
        assert dict((await anext(reader)).states) == {"a": Sum(0)}


@scenario
async def test_a_slow_reader_gets_the_newest_snapshot_and_can_tell_how_much_it_missed() -> None:
    board = board_of()
    async with aclosing(board.watch()) as slow:
        first = await anext(slow)
        for _ in range(5):
            board.post("a", 1)
        newest = await anext(slow)
        assert (newest.states["a"], newest.number - first.number) == (Sum(5), 5)
        assert not await has_next(slow)


@scenario
async def test_a_reader_that_keeps_up_misses_no_number() -> None:
    board = board_of()
    async with aclosing(board.watch()) as reader:
        numbers = [(await anext(reader)).number]
        for _ in range(3):
            board.post("a", 1)
            numbers.append((await anext(reader)).number)
    assert numbers == [0, 1, 2, 3]


@scenario
async def test_one_key_is_followed_from_its_absence_to_its_removal() -> None:
    board = board_of(b=1)
    async with aclosing(board.watch_one("a")) as reader:
        assert await anext(reader) is None
        board.post("a", 1)
        assert await anext(reader) == Sum(1)
        board.post("b", 1)
        board.post("a", 0)
        board.post("a", 1)
        assert await anext(reader) == Sum(2)
        board.remove("a")
        assert await anext(reader) is None


@scenario
async def test_news_of_another_key_does_not_wake_a_reader_of_one() -> None:
    board = board_of(a=1)
    async with aclosing(board.watch_one("a")) as reader:
        await anext(reader)
        board.post("b", 1)
        assert not await has_next(reader)


@scenario
async def test_a_snapshot_stays_as_it_was_and_can_not_be_changed() -> None:
    board = board_of(a=1)
    before = board.snapshot
    board.post("a", 1)
    assert before.states["a"] == Sum(1)
    with pytest.raises(TypeError):
        before.states["a"] = Sum(9)  # type: ignore[index]


@scenario
async def test_a_reduce_that_fails_leaves_the_board_as_it_was() -> None:
    board = board_of(a=1)
    before = board.snapshot
    with pytest.raises(TypeError):
        board.post("a", "x")  # type: ignore[arg-type]
    assert board.snapshot is before


@scenario
async def test_readers_that_left_are_forgotten() -> None:
    board = board_of()
    for number in range(50):
        async with aclosing(board.watch_one(f"session-{number}")) as reader:
            await anext(reader)
            assert not await has_next(reader)
    assert not board._news


@scenario
async def test_one_of_two_readers_of_a_key_that_leaves_does_not_silence_the_other() -> None:
    board = board_of()
    found: list[Sum | None] = []

    async def stay() -> None:
        async with aclosing(board.watch_one("a")) as reader:
            async for state in reader:
                found.append(state)  # noqa: PERF401 - it ends by being cancelled

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stay)
        async with aclosing(board.watch_one("a")) as leaving:
            await anext(leaving)
            assert not await has_next(leaving)
        board.post("a", 1)
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    assert found == [None, Sum(1)]


Step = tuple[str, int, float]
STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([-1, 0, 1, 7]), st.sampled_from([0.0, 0.1, 1.0])),
    max_size=15,
)
"""Which key, a fact (7 stands for its removal), and how long until the next one."""


@settings(max_examples=30, deadline=None)
@given(steps=STEPS, slownesses=st.lists(st.sampled_from([0.0, 0.05, 0.5, 3.0]), min_size=1, max_size=4))
def test_any_order_of_facts_and_slow_readers_ends_with_every_reader_on_the_last_state(
    steps: list[Step], slownesses: list[float]
) -> None:
    async def main() -> None:
        board, expected = board_of(), dict[str, Sum]()
        of_all: list[list[Snapshot[str, Sum]]] = [[] for _ in slownesses]
        of_one: list[list[Sum | None]] = [[] for _ in slownesses]

        async def read(number: int) -> None:
            async for snapshot in board.watch():
                of_all[number].append(snapshot)
                await anyio.sleep(slownesses[number])

        async def read_one(number: int) -> None:
            async for state in board.watch_one("a"):
                of_one[number].append(state)
                await anyio.sleep(slownesses[number])

        async with anyio.create_task_group() as tasks:
            for number in range(len(slownesses)):
                tasks.start_soon(read, number)
                tasks.start_soon(read_one, number)
            for step in steps:
                act(board, expected, step)
                await anyio.sleep(step[2])
            await anyio.sleep(10)
            tasks.cancel_scope.cancel()
        for snapshots in of_all:
            numbers = [snapshot.number for snapshot in snapshots]
            assert numbers == sorted(set(numbers))
            assert (numbers[-1], dict(snapshots[-1].states)) == (board.snapshot.number, expected)
        assert all(states[-1] == expected.get("a") for states in of_one)

    run(main)


def act(board: Board[str, int, Sum], expected: dict[str, Sum], step: Step) -> None:
    key, fact, _ = step
    if fact == 7:
        board.remove(key)
        expected.pop(key, None)
    else:
        board.post(key, fact)
        expected[key] = add(expected.get(key), fact)


@scenario
async def test_a_reader_that_never_comes_back_costs_no_memory() -> None:
    board = board_of(**{f"s{number}": 0 for number in range(20)})
    async with aclosing(board.watch()) as stalled, aclosing(board.watch_one("s1")) as stalled_too:
        await anext(stalled)
        await anext(stalled_too)
        tracemalloc.start()
        try:
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            for number in range(2_000):
                board.post(f"s{number % 20}", 1)
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] - before < 10_000
        finally:
            tracemalloc.stop()
