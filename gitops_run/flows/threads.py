"""Long computations away from the event loop, so that the lease is renewed and Ctrl-C is heard meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

SMALL_BYTES: Final = 64 * 1024
"""YAML of this size is read in a tenth of a second."""

_T = TypeVar("_T")


async def off_the_loop(work: Callable[[], _T], size: int) -> _T:
    """Compute in a thread where the input is large. size: in bytes or characters.

    A caller that is cancelled waits until the work is done, or until it next asks give_up_if_cancelled: work
    that was left running would add up with each change on disk.
    """
    if size <= SMALL_BYTES:
        await anyio.lowlevel.checkpoint()
        return work()
    return await anyio.to_thread.run_sync(work)


def give_up_if_cancelled() -> None:
    """End the work where its caller is cancelled; to be called between two parts of it."""
    with suppress(RuntimeError):  # where it is done in no thread
        anyio.from_thread.check_cancelled()
