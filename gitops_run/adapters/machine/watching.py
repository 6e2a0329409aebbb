"""Changes that watchfiles reports, by a thread that ends as soon as its reader does.

watchfiles (1.2) waits in a thread that looks at its stop event alone: a reader that is cancelled would wait
for that thread's own timeout, which is seconds.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import TypeVar

import anyio

T = TypeVar("T")


async def until_cancelled(changes: AsyncGenerator[T, None], stop: anyio.Event) -> AsyncIterator[T]:
    """Pass changes on, and set stop, the event that they are watched with, when the reader is cancelled."""
    is_waiting = True

    async def stop_when_cancelled() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            if is_waiting:
                stop.set()

    while True:
        found: list[T] = []
        is_waiting = True
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(stop_when_cancelled)
            with suppress(StopAsyncIteration):
                found.append(await anext(changes))
            is_waiting = False
            waiting.cancel_scope.cancel()
        if not found:
            return
        yield found[0]
