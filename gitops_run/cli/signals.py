"""The one place where signals are handled: the first one asks for an end in good order."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

from gitops_run.errors import ungrouped

Result = TypeVar("Result")


async def until_interrupted(work: Callable[..., Awaitable[Result]], *arguments: Any) -> Result:
    """Run work until it ends, or until a signal asks for the end: it then lets go of what it holds, in order.

    Raises KeyboardInterrupt after a signal.
    """
    with ungrouped():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_on_signal, tasks.cancel_scope)
            result = await work(*arguments)
            tasks.cancel_scope.cancel()
            return result
    raise KeyboardInterrupt


async def _cancel_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async for _ in signals:
            scope.cancel()
            return
