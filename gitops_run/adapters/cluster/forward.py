"""A port of this machine that leads to a port of one pod, through the cluster's API.

Each connection is a websocket of its own to the pod of now, so that there is nothing to heal but the choice
of the pod: it was replaced, the API server was restarted, this machine slept, and the next connection
works. One that comes while the pod isn't ready is held for a while; and to a pod that took another's place
nothing leads before whoever writes expects it. Bytes are passed on as they are:
whoever connects speaks TLS with the pod itself.

The API server hands the websocket (channel.py) through to the pod's container runtime, as it has done since
1.5; the newer SPDY within a websocket (1.31) would save handshakes, for a protocol of its own.
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

from gitops_run.adapters.cluster.channel import CHUNK_BYTES, PROTOCOL, pass_on
from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.lease import boottime
from gitops_run.adapters.cluster.paths import pod_path
from gitops_run.adapters.cluster.pod_state import PodState, to_state
from gitops_run.adapters.cluster.reflector import reflect_one
from gitops_run.errors import BackendError, NotFound, TransientError, ungrouped

LOOPBACK: Final = "127.0.0.1"
HOLD_S: Final = 10.0
"""How long a connection waits for the pod: as long as one request to a store may take."""
RETRY_S: Final = 0.2
SLEEP_CHECK_S: Final = 1.0
SLEPT_S: Final = 5.0
"""Connections that were open in so long a sleep are closed: nobody may be at their other end any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPort:
    """Name a port of a pod. The pod may be replaced by another one of the same name."""

    namespace: str
    pod: str
    port: int

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}:{self.port}"


class PodForward:
    """Forward connections to one pod. Made by `forward_to_pod`."""

    def __init__(
        self, connection: Connection, target: PodPort, clock: Callable[[], float] = boottime
    ) -> None:
        self._connection = connection
        self._target = target
        self._clock = clock
        self._pods = pod_path(target.namespace)
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
        return "" if self._is_open else f"pod {self._target.pod} was replaced, and must be filled first"

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
            await pass_on(reader, writer, channel, self._open)
        except (TimeoutError, BackendError, NotFound) as error:
            # The end of the connection is all that its client learns.
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
