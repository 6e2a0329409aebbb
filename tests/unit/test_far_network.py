"""How the simulated network counts the round trips that lie one after another."""

from __future__ import annotations

import pytest

from tests.remote.network import Exchange, in_sequence


@pytest.mark.parametrize(
    ("exchanges", "count"),
    [
        ([], 0),
        ([(0, 1), (1, 2), (2, 3)], 3),
        ([(0, 1), (0, 1.1), (2, 3)], 2),
        ([(0, 9), (0, 1), (1, 2)], 2),
        ([(0, 1), (2, 0)], 1),
        ([(-1, 1), (1, 2), (8, 11)], 1),
    ],
    ids=["none", "one after another", "side by side", "around others", "unanswered", "of another time"],
)
def test_what_overlaps_is_one_round_trip(exchanges: list[tuple[float, float]], count: int) -> None:
    assert in_sequence([Exchange(began, ended) for began, ended in exchanges], 0, 10) == count
