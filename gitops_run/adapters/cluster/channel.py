"""Bytes that go both ways between a local connection and a pod's port, through a websocket.

Source: cri-streaming 0.36, pkg/streaming/portforward/websocket.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
import anyio

PROTOCOL: Final = "v4.channel.k8s.io"
HALF_CLOSED_S: Final = 2.0
"""This protocol can't say that one direction has ended: the other one is ended after this."""
CLOSING_S: Final = 1.0
CHUNK_BYTES: Final = 64 * 1024

_DATA, _ERROR = 0, 1


async def pass_on(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    channel: aiohttp.ClientWebSocketResponse,
    open_scopes: set[anyio.CancelScope],
) -> None:
    """Pass bytes both ways. Each way reads on only when the other end has taken what was read.

    open_scopes: where the scope is while this lasts: cancelled, the connection ends. Closes the channel.
    """

    async def upwards() -> None:
        try:
            while data := await reader.read(CHUNK_BYTES):
                await channel.send_bytes(bytes([_DATA]) + data)
            await anyio.sleep(HALF_CLOSED_S)
        except (OSError, aiohttp.ClientError):
            pass  # an end is gone, and with it the connection
        both.cancel_scope.cancel()

    async def downwards() -> None:
        try:
            async for data in _received(channel):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # the local end is gone
        both.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as both:
            open_scopes.add(both.cancel_scope)
            both.start_soon(upwards)
            both.start_soon(downwards)
    finally:
        open_scopes.discard(both.cancel_scope)
        with anyio.move_on_after(CLOSING_S, shield=True):
            await channel.close()


async def _received(channel: aiohttp.ClientWebSocketResponse) -> AsyncIterator[bytes]:
    """Yield what the pod sends, until it or the way to it ends.

    Both streams begin with the port's number, two bytes. On the second one there is an error or nothing.
    """
    skip = 2
    async for message in channel:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        number, data = message.data[0], message.data[1:]
        if number == _DATA:
            if data[skip:]:
                yield data[skip:]
            skip = max(skip - len(data), 0)
        elif number == _ERROR and len(data) > 2:
            return
