"""A slow network on loopback: tunnels to a port, and an HTTP proxy that opens tunnels by CONNECT.

Every byte arrives half a round trip after it was sent, and a new connection costs one round trip, as TCP's
handshake does. The network sees no plain text, so it tells requests from answers by the direction of bytes:
an exchange begins with bytes from the client after the server was the last to speak, and ends with the
server's next bytes. What a watch brings without being asked is no exchange.
"""

from __future__ import annotations

import asyncio
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self, TypeVar

from gitops_run.sandbox.state import LOOPBACK
from tests.loopback import end_servers

START_S = 10.0
CHUNK = 65536

_Result = TypeVar("_Result")


@dataclass(slots=True)
class Exchange:
    """One request and its answer on one connection, in monotonic seconds. ended: 0 until it was answered."""

    began: float
    ended: float = 0.0


class Network:
    """All tunnels and proxies of one network, in a thread of their own. round_trip_s: may be changed."""

    def __init__(self, round_trip_s: float = 0.0) -> None:
        self.round_trip_s = round_trip_s
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self.refusal = ""
        """The status line with which the proxy answers, as in "403 Forbidden"; "" where it opens tunnels."""
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._run(end_servers(self._servers, self._tasks))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_S)
        self._loop.close()

    def tunnel(self, port: int) -> int:
        """Open a port that leads to another one."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._carry(reader, writer, port)

        return self._run(self._listen(serve))

    def proxy(self, hosts: Mapping[str, int], credentials: str = "") -> int:
        """Open a port that takes CONNECT. hosts: "HOST:PORT" to ports. credentials: "USER:PASSWORD"."""
        wanted = f"Basic {b64encode(credentials.encode()).decode()}" if credentials else ""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            await asyncio.sleep(self.round_trip_s)
            authority = head.split(" ")[1]
            status = self.refusal or ("" if authority in hosts else "502 Bad Gateway")
            if wanted and wanted not in head:
                status = "407 Proxy Authentication Required"
            if status:
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
                return
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await self._carry(reader, writer, hosts[authority])

        return self._run(self._listen(serve))

    def cut(self) -> None:
        """Break every connection that is open; new ones work."""

        async def abort() -> None:
            for writer in list(self._open):
                writer.transport.abort()

        self._run(abort())

    def _run(self, work: Coroutine[None, None, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_S)

    async def _listen(
        self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]
    ) -> int:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            self._open.add(writer)
            self.connections += 1
            try:
                await serve(reader, writer)
            except (OSError, EOFError, asyncio.CancelledError):
                pass  # one of both ends is gone
            finally:
                self._tasks.discard(task)
                self._open.discard(writer)
                writer.close()

        server = await asyncio.start_server(connected, LOOPBACK, 0)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        """Carry bytes both ways until one end closes."""
        above, below = await asyncio.open_connection(LOOPBACK, port)
        await asyncio.sleep(self.round_trip_s)  # the handshake
        turns = _Turns(self.exchanges)
        pumps = {
            asyncio.ensure_future(self._delayed(reader, below, turns.asked, lambda: None)),
            asyncio.ensure_future(self._delayed(above, writer, lambda: None, turns.answered)),
        }
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            below.transport.abort()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _delayed(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        at_start: Callable[[], None],
        at_end: Callable[[], None],
    ) -> None:
        """Carry bytes one way, each chunk half a round trip after it came, however many are on the way."""
        way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def arrive() -> None:
            while True:
                due, chunk = await way.get()
                await asyncio.sleep(due - self._loop.time())
                if not chunk:
                    return
                at_end()
                sink.write(chunk)
                await sink.drain()

        arrival = asyncio.ensure_future(arrive())
        try:
            with suppress(OSError):
                chunk = b"-"
                while chunk:
                    chunk = await source.read(CHUNK)
                    at_start()
                    way.put_nowait((self._loop.time() + self.round_trip_s / 2, chunk))
            await arrival
        finally:
            arrival.cancel()
            await asyncio.gather(arrival, return_exceptions=True)


class _Turns:
    """Notice whose turn it is on one connection."""

    def __init__(self, exchanges: list[Exchange]) -> None:
        self._exchanges = exchanges
        self._current: Exchange | None = None

    def asked(self) -> None:
        if self._current is None:
            self._current = Exchange(time.monotonic())
            self._exchanges.append(self._current)

    def answered(self) -> None:
        if self._current is not None:
            self._current.ended = time.monotonic()
            self._current = None


def in_sequence(exchanges: Iterable[Exchange], since: float, until: float) -> int:
    """Count the round trips that lay one after another: the most exchanges of which no two overlap."""
    count, last = 0, since
    for exchange in sorted(exchanges, key=lambda one: one.ended):
        if exchange.began >= last and 0 < exchange.ended <= until:
            count, last = count + 1, exchange.ended
    return count
