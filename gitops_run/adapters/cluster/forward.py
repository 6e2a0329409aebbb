"""A port of this machine that leads to a port of one pod, through the cluster's API.

Each connection is a websocket of its own to the pod of now, so that there is nothing to heal but the choice
of the pod: it was replaced, the API server was restarted, this machine slept, and the next connection
works. One that comes while the pod isn't ready is held for a while; and to a pod that took another's place
nothing leads before whoever writes expects it. Bytes are passed on as they are:
whoever connects speaks TLS with the pod itself.

Source: cri-streaming 0.36, pkg/streaming/portforward/websocket.go. The API server hands the websocket
through to the pod's container runtime, as it has done since 1.5; the newer SPDY within a websocket (1.31)
would save handshakes, for a protocol of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
import anyio

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.adapters.cluster.lease import boottime
from gitops_run.adapters.cluster.reflector import reflect_one
from gitops_run.errors import BackendError, NotFound, TransientError, ungrouped

PROTOCOL: Final = "v4.channel.k8s.io"
LOOPBACK: Final = "127.0.0.1"
HOLD_S: Final = 10.0
"""How long a connection waits for the pod: as long as one request to a store may take."""
RETRY_S: Final = 0.2
HALF_CLOSED_S: Final = 2.0
"""This protocol can't say that one direction has ended: the other one is ended after this."""
SLEEP_CHECK_S: Final = 1.0
SLEPT_S: Final = 5.0
"""Connections that were open in so long a sleep are closed: nobody may be at their other end any more."""
CLOSING_S: Final = 1.0
CHUNK_BYTES: Final = 64 * 1024

_DATA, _ERROR = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPort:
    """Name a port of a pod. The pod may be replaced by another one of the same name."""

    namespace: str
    pod: str
    port: int

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodState:
    """Hold what is known of the pod. trouble: why it isn't ready."""

    uid: str = ""
    is_ready: bool = False
    trouble: str = "it doesn't exist"


class PodForward:
    """Forward connections to one pod. Made by `forward_to_pod`."""

    def __init__(
        self, connection: Connection, target: PodPort, clock: Callable[[], float] = boottime
    ) -> None:
        self._connection = connection
        self._target = target
        self._clock = clock
        self._pods = f"/api/v1/namespaces/{target.namespace}/pods"
        self._pod = PodState(trouble="it was not seen yet")
        self._ready_uid = ""
        self._served_uid = ""
        self._is_admitting = False
        self._refused = ""
        self._news = anyio.Event()
        self._was_replaced = anyio.Event()
        self._open: set[anyio.CancelScope] = set()
        self.port = 0

    @property
    def trouble(self) -> str:
        """Say why nothing gets through, "" where nothing is known to be in the way."""
        if self._refused:
            return self._refused
        if not self._pod.is_ready:
            return f"pod {self._target.pod} is not ready: {self._pod.trouble}"
        return "" if self._is_open else f"pod {self._target.pod} was replaced, and has to be filled first"

    @property
    def _is_open(self) -> bool:
        return self._pod.is_ready and (self._is_admitting or self._pod.uid == self._served_uid)

    @contextmanager
    def admitting(self) -> Iterator[None]:
        """Lead to a pod that took another's place, too, while inside: whoever writes knows of it."""
        self._is_admitting = True
        self._tell()
        try:
            yield
        finally:
            self._is_admitting = False

    async def replaced(self) -> str:
        """Wait until another pod has taken the place of the one that served, and is ready; say so."""
        await self._was_replaced.wait()
        self._was_replaced = anyio.Event()
        return f"pod {self._target.namespace}/{self._target.pod} was replaced"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on, until either end closes it."""
        try:
            with anyio.fail_after(HOLD_S):
                channel = await self._connect()
            self._refused = ""
            await self._pass_on(reader, writer, channel)
        except (TimeoutError, BackendError, NotFound) as error:
            # The end of the connection is all that its client can be told.
            self._refused = error.message if isinstance(error, BackendError) else ""
        finally:
            writer.close()

    async def follow(self) -> None:
        """Keep what is known of the pod up to date until cancelled."""
        async with aclosing(reflect_one(self._connection, self._pods, self._target.pod)) as states:
            async for live in states:
                self._see(to_state(live) if live else PodState())

    async def notice_sleep(self) -> None:
        """Close what was open while this machine slept, until cancelled."""
        while True:
            before = self._clock() - time.monotonic()
            await anyio.sleep(SLEEP_CHECK_S)
            if self._clock() - time.monotonic() - before > SLEPT_S:
                self._close_all()

    def _see(self, pod: PodState) -> None:
        self._pod = pod
        if pod.is_ready and pod.uid != self._ready_uid:
            if self._ready_uid:
                self._close_all()
                self._was_replaced.set()
            else:
                self._served_uid = pod.uid
            self._ready_uid = pod.uid
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    def _close_all(self) -> None:
        for scope in self._open:
            scope.cancel()

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        """Reach the pod, as soon as it is ready. Raises BackendError where this user may not."""
        while True:
            while not self._is_open:
                await self._news.wait()
            self._served_uid = self._pod.uid
            try:
                path = f"{self._pods}/{self._target.pod}/portforward"
                return await self._connection.websocket(path, {"ports": str(self._target.port)}, PROTOCOL)
            except (TransientError, NotFound):
                await anyio.sleep(RETRY_S)

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        channel: aiohttp.ClientWebSocketResponse,
    ) -> None:
        """Pass bytes both ways. Each way reads on only when the other end has taken what was read."""

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
                self._open.add(both.cancel_scope)
                both.start_soon(upwards)
                both.start_soon(downwards)
        finally:
            self._open.discard(both.cancel_scope)
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


def to_state(live: Json) -> PodState:
    """Read what a pod is, and why it isn't ready."""
    metadata, status = live["metadata"], live.get("status") or {}
    if "deletionTimestamp" in metadata:
        return PodState(uid=metadata["uid"], trouble="it is being deleted")
    conditions = {entry["type"]: entry for entry in status.get("conditions") or ()}
    is_ready = conditions.get("Ready", {}).get("status") == "True"
    return PodState(uid=metadata["uid"], is_ready=is_ready, trouble="" if is_ready else _trouble(status))


def _trouble(status: Json) -> str:
    """Say what a pod waits for: its container's word, else its scheduler's, else its phase."""
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            return f"{waiting['reason']} {waiting.get('message', '')}".strip()
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message") or condition.get("reason") or "it has no node")
    return str(status.get("phase") or "it is new")


@asynccontextmanager
async def forward_to_pod(connection: Connection, target: PodPort) -> AsyncIterator[PodForward]:
    """Listen on loopback, and forward while inside.

    By asyncio's streams: anyio's (4.16) read without end where a client speaks before it is listened to.
    """
    forward = PodForward(connection, target)
    with ungrouped():
        async with anyio.create_task_group() as tasks:

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                tasks.start_soon(forward.handle, reader, writer)

            server = await asyncio.start_server(accept, LOOPBACK, 0, limit=CHUNK_BYTES)
            try:
                forward.port = server.sockets[0].getsockname()[1]
                tasks.start_soon(forward.follow)
                tasks.start_soon(forward.notice_sleep)
                yield forward
            finally:
                server.close()
                tasks.cancel_scope.cancel()
