"""Long computations away from the event loop, so that the lease is renewed and Ctrl-C is heard meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import anyio.lowlevel
import anyio.to_thread

SMALL_BYTES: Final = 64 * 1024
"""YAML of this size is read in a tenth of a second."""

_T = TypeVar("_T")


async def off_the_loop(work: Callable[[], _T], size: int) -> _T:
    """Compute in a thread where the input is large. size: in bytes or characters.

    The work must not change anything: a caller that is cancelled leaves it running.
    """
    if size <= SMALL_BYTES:
        await anyio.lowlevel.checkpoint()
        return work()
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
