"""The one place where signals are handled: the first one asks for an end in good order, the second one ends.

Ctrl-C, SIGTERM and SIGHUP (the terminal was closed) mean the same. The interpreter's own handlers take them,
since these also run where the event loop is held up; after the second signal a timer sees to the end.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final, TypeVar

import anyio

from gitops_run.cli.output import note
from gitops_run.cli.streams import leave, output_failing
from gitops_run.errors import INTERRUPTED_EXIT_CODE, ungrouped

Result = TypeVar("Result")

LEAVE_S: Final = 1.5
"""How long the end may take after the second signal."""
STOPPING: Final = "stopping"
_NAMES: Final = {
    signal.SIGINT: "Ctrl-C",
    signal.SIGTERM: "SIGTERM",
    signal.SIGHUP: "SIGHUP, the terminal closed",
}


class HurriedInterrupt(KeyboardInterrupt):
    """Report a second signal: nothing more is to be begun."""


@dataclass(slots=True, kw_only=True)
class _Interruption:
    """Count the signals of one piece of work. says: what its end does."""

    loop: asyncio.AbstractEventLoop
    scope: anyio.CancelScope
    says: str
    count: int
    unfinished: list[str] = field(default_factory=list)
    failure: OSError | None = None
    timer: threading.Timer | None = None

    def take(self, number: int, _: FrameType | None) -> None:
        """Take a signal, between any two steps of the interpreter."""
        self.count += 1
        if self.count == 2:
            self.timer = threading.Timer(LEAVE_S, self.leave)
            self.timer.daemon = True
            self.timer.start()
        elif self.count > 2:
            self.leave()
        self.loop.call_soon_threadsafe(self._end, signal.Signals(number))

    def _end(self, received: signal.Signals) -> None:
        if self.count == 1:
            note(f"{_NAMES[received]}: {self.says}; Ctrl-C again ends at once")
        self.scope.cancel()

    def fail(self, error: OSError) -> None:
        """End where nobody takes what is said any more; called by the thread that writes."""
        self.failure = error
        self.loop.call_soon_threadsafe(self.scope.cancel)

    def leave(self) -> None:
        """End the process, and say what stays unfinished."""
        for text in self.unfinished:
            note(text)
        leave(INTERRUPTED_EXIT_CODE)


_current: ContextVar[_Interruption] = ContextVar("interruption")


@contextmanager
def unfinished(text: str) -> Iterator[None]:
    """Have a text said where the process ends while inside."""
    interruption = _current.get(None)
    if interruption is None:
        yield
        return
    interruption.unfinished.append(text)
    try:
        yield
    finally:
        interruption.unfinished.remove(text)


async def until_interrupted(
    work: Callable[..., Awaitable[Result]],
    *arguments: Any,
    says: str = STOPPING,
    is_interrupted: bool = False,
) -> Result:
    """Run work until it ends, or until a signal asks for the end: it then lets go of what it holds, in order.

    says: what that does. is_interrupted: there was a signal before, so that the next one ends the process.
    Raises KeyboardInterrupt after a signal, HurriedInterrupt after a second one, and OSError where nobody
    takes what is printed.
    """
    with anyio.CancelScope() as scope, ExitStack() as stack:
        interruption = _Interruption(
            loop=asyncio.get_running_loop(), scope=scope, says=says, count=int(is_interrupted)
        )
        _current.set(interruption)
        stack.enter_context(_handled(interruption))
        stack.enter_context(output_failing(interruption.fail))
        with ungrouped():
            return await work(*arguments)
    if interruption.failure is not None:
        raise interruption.failure
    raise HurriedInterrupt if interruption.count > 1 else KeyboardInterrupt


@contextmanager
def _handled(interruption: _Interruption) -> Iterator[None]:
    """Take the signals while inside; nohup has SIGHUP ignored, and so it stays."""
    taken = [number for number in _NAMES if not _is_ignored_hangup(number)]
    before = {number: signal.signal(number, interruption.take) for number in taken}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if interruption.timer is not None:
            interruption.timer.cancel()


def _is_ignored_hangup(number: signal.Signals) -> bool:
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN
