"""Wake whoever waits: a bell belongs to one stream, and whatever it shows rings it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import anyio


class Bells:
    """Ring everybody who listens, at each change."""

    def __init__(self) -> None:
        self._rings: set[Callable[[], None]] = set()

    def ring(self) -> None:
        """Ring."""
        for ring in tuple(self._rings):
            ring()

    @contextmanager
    def heard_by(self, bell: Bell) -> Iterator[None]:
        """Ring this bell too, while inside."""
        self._rings.add(bell.ring)
        try:
            yield
        finally:
            self._rings.discard(bell.ring)


class Bell:
    """Wait for any of several things. What rings between two waits ends the next one at once."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    def ring(self) -> None:
        """End the wait."""
        self._rung.set()

    async def wait(self, at_most_s: float) -> bool:
        """Wait until it rings, and say whether it did."""
        with anyio.move_on_after(at_most_s):
            await self._rung.wait()
        has_rung = self._rung.is_set()
        self._rung = anyio.Event()
        return has_rung


@contextmanager
def listening(*sources: Bells) -> Iterator[Bell]:
    """Make a bell that all of these ring, while inside."""
    bell = Bell()
    with ExitStack() as stack:
        for source in sources:
            stack.enter_context(source.heard_by(bell))
        yield bell
