"""An event loop whose clock jumps to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


class _JumpingSelector(selectors.SelectSelector):
    """Report readiness at once, and move the clock by what would have been waited."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everything waits, and no timer will ever end it")
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Run hours in milliseconds."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def spend(self, seconds: float) -> None:
        self._jumping.now += seconds


def spend(seconds: float) -> None:
    """Let the work that calls this take some time of the processor."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.spend(seconds)


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine function to its end under virtual time."""
    return anyio.run(main, backend_options={"loop_factory": VirtualTimeLoop})


def scenario(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Make a test of a coroutine: it runs under the virtual clock."""

    def started() -> None:
        run(test)

    started.__name__ = test.__name__
    return started
