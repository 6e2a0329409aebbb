"""Two servers on loopback between the writers and what they write to.

The proxy of the store ends TLS with the sandbox's own certificate, so that it sees each request, its writer
and the moment at which the store got the whole of it; it can hold a writer's requests or the answers to them.
The proxy of the API server passes bytes on as they are, and can cut one writer off. A held request is passed
on though its client has given up, as a network would do. Clients are told apart by process id.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from gitops_run.sandbox.state import LOOPBACK, Sandbox
from tests.chaos.connections import owner
from tests.chaos.http_messages import Head, read_head, relay_body
from tests.loopback import end_servers

START_S = 10.0


@dataclass(slots=True, kw_only=True)
class Request:
    """One request that the store got. at, connected: monotonic seconds. writer: a process id, 0 for none."""

    at: float
    connected: float
    writer: int
    method: str
    target: str
    status: int = 0

    @property
    def is_put(self) -> bool:
        return self.method == "PUT"

    @property
    def is_write(self) -> bool:
        """Say whether it may have changed objects; one that was refused has not."""
        is_deletion = self.method == "POST" and "delete" in urlsplit(self.target).query
        return (self.method in ("PUT", "DELETE") or is_deletion) and self.status < 400

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and "list-type" in urlsplit(self.target).query


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """How long requests wait on their way to the store, and answers on their way back, in seconds."""

    requests_s: float = 0.0
    answers_s: float = 0.0


@dataclass(slots=True)
class _Alarm:
    """Rings once so many puts of a writer have reached the store."""

    writer: int
    puts: int
    rings: threading.Event = field(default_factory=threading.Event)


class Proxies:
    """Both servers, in a thread of their own."""

    def __init__(self, sandbox: Sandbox, writers: Callable[[], Iterable[int]]) -> None:
        self._sandbox = sandbox
        self._writers = writers
        self._loop = asyncio.new_event_loop()
        self._holds: dict[int, Hold] = {}
        self._alarms: list[_Alarm] = []
        self._open: dict[int, asyncio.Event] = {}
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._upstream_tls = ssl.create_default_context(cafile=str(sandbox.ca))
        self.requests: list[Request] = []

    def start(self) -> tuple[int, int]:
        """Return the ports of the store's and of the API server's proxy."""
        self._thread.start()
        pki = self._sandbox.folder / "pki"
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(pki / "serving.crt", pki / "serving.key")
        return self._run(self._listen(self._serve_store, tls)), self._run(self._listen(self._serve_api, None))

    def close(self) -> None:
        if self._thread.is_alive():
            self._run(end_servers(self._servers, self._tasks))
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(START_S)
            self._loop.close()

    def hold(self, writer: int, hold: Hold) -> None:
        """Make a writer's way to the store slow until released."""
        self._holds[writer] = hold

    def let_go(self, writer: int) -> None:
        self._holds.pop(writer, None)

    def cut_off(self, writer: int) -> None:
        """Let no byte pass between a writer and the API server until mended; nothing is refused or lost."""
        self._loop.call_soon_threadsafe(lambda: self._gate(writer).clear())

    def mend(self, writer: int) -> None:
        self._loop.call_soon_threadsafe(lambda: self._gate(writer).set())

    def after_puts(self, writer: int, puts: int) -> threading.Event:
        """Return what is set once the store has got so many more puts of a writer."""
        alarm = _Alarm(writer, puts)
        self._alarms.append(alarm)
        return alarm.rings

    def is_silent(self, writer: int, seconds: float) -> bool:
        """Say whether the store has got nothing from a writer for so long."""
        last = max((request.at for request in self.requests if request.writer == writer), default=0.0)
        return time.monotonic() - last >= seconds

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_S)

    async def _listen(
        self,
        serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]],
        tls: ssl.SSLContext | None,
    ) -> int:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                await serve(reader, writer)
            except (OSError, EOFError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass  # one of both ends is gone
            finally:
                self._tasks.discard(task)
                writer.transport.abort()

        server = await asyncio.start_server(connected, LOOPBACK, 0, ssl=tls)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def _owner(self, writer: asyncio.StreamWriter) -> int:
        client, server = writer.get_extra_info("peername")[1], writer.get_extra_info("sockname")[1]
        return owner(client, server, self._writers())

    def _gate(self, pid: int) -> asyncio.Event:
        if pid not in self._open:
            self._open[pid] = asyncio.Event()
            self._open[pid].set()
        return self._open[pid]

    async def _serve_api(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gate = self._gate(self._owner(writer))
        await gate.wait()
        port = self._sandbox.ports["kube-apiserver"]
        above, below = await asyncio.open_connection(LOOPBACK, port)
        try:
            pumps = {asyncio.ensure_future(_pump(*ends, gate)) for ends in ((reader, below), (above, writer))}
            _, left = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in left:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            below.transport.abort()

    async def _serve_store(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pid, connected = self._owner(writer), time.monotonic()
        store: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while (head := await read_head(reader)) is not None:
                body = await self._whole(head, reader, writer)
                await asyncio.sleep(self._holds.get(pid, Hold()).requests_s)
                if store is None or store[0].at_eof():
                    store = await self._to_store()
                request = await self._forward(head, body, store[1], (pid, connected))
                answer = await read_head(store[0])
                if answer is None:
                    return
                request.status = answer.status
                await asyncio.sleep(self._holds.get(pid, Hold()).answers_s)
                writer.write(answer.raw)
                await relay_body(answer, store[0], writer.write, asked=head.method)
                await writer.drain()
        finally:
            if store is not None:
                store[1].transport.abort()

    async def _whole(self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        if head.expects_continue:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()
        await relay_body(head, reader, body.extend)
        return bytes(body)

    async def _to_store(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        port = self._sandbox.ports["store"]
        return await asyncio.open_connection(LOOPBACK, port, ssl=self._upstream_tls, server_hostname=LOOPBACK)

    async def _forward(
        self, head: Head, body: bytes, store: asyncio.StreamWriter, sender: tuple[int, float]
    ) -> Request:
        pid, connected = sender
        store.write(head.raw + body)
        await store.drain()
        request = Request(
            at=time.monotonic(), connected=connected, writer=pid, method=head.method, target=head.target
        )
        self.requests.append(request)
        for alarm in self._alarms:
            if alarm.writer == pid and request.is_put:
                alarm.puts -= 1
                if alarm.puts <= 0:
                    alarm.rings.set()
        return request


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, gate: asyncio.Event) -> None:
    with suppress(OSError):
        while chunk := await source.read(65536):
            await gate.wait()
            sink.write(chunk)
            await sink.drain()
