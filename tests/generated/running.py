"""Many trees from one seed.

Hypothesis makes five of six examples by varying the one before, once ten of them were fine: it looks for one
fault. Here as many different trees as possible are wanted, so each ten are a run with a seed of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from tests.generated.drafts import GeneratedTree

RUN = 10


def trees_of(strategy: SearchStrategy[GeneratedTree], first_seed: int, cases: int) -> Iterator[GeneratedTree]:
    """Make trees that are all different. The same seed gives the same trees."""
    seen: set[int] = set()
    number = first_seed * 1_000_000
    while len(seen) < cases:
        number += 1
        for tree in _run(strategy, number):
            key = hash((tuple(tree.files.items()), tuple(tree.links.items())))
            if key not in seen and len(seen) < cases:
                seen.add(key)
                yield tree


def _run(strategy: SearchStrategy[GeneratedTree], number: int) -> list[GeneratedTree]:
    found: list[GeneratedTree] = []

    @seed(number)
    @_QUIET
    @given(strategy)
    def take(tree: GeneratedTree) -> None:
        found.append(tree)

    take()
    return found


_QUIET = settings(
    max_examples=RUN,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
