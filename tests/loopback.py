"""Servers of the tests in an event loop of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any


async def end_servers(servers: Iterable[asyncio.Server], tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Take no further connection, and end those that are served."""
    for server in servers:
        server.close()
    served = list(tasks)
    for task in served:
        task.cancel()
    await asyncio.gather(*served, return_exceptions=True)
    await asyncio.sleep(0)  # a connection is closed in the loop's next turn
