"""The forward to a pod, against an API server that speaks the channel protocol."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from aiohttp import web
from anyio.abc import SocketStream

from gitops_run.adapters.cluster import forward as module
from gitops_run.adapters.cluster.connection import connect
from gitops_run.adapters.cluster.forward import PodForward, PodPort, forward_to_pod
from gitops_run.adapters.cluster.pod_state import PodState, to_state

pytestmark = pytest.mark.anyio
TARGET = PodPort(namespace="run-web", pod="server-0", port=9000)
PATIENCE_S = 10.0
MORE_THAN_BUFFERS_HOLD = 64 * 1024 * 1024
CHUNK = bytes(range(256)) * 256

Pod = Callable[[web.WebSocketResponse], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def pod_object(uid: str, *, is_ready: bool = True, version: int = 1) -> dict[str, Any]:
    condition = {"type": "Ready", "status": "True" if is_ready else "False"}
    return {
        "metadata": {"name": "server-0", "uid": uid, "resourceVersion": str(version)},
        "status": {"phase": "Running", "conditions": [condition]},
    }


async def echo(channel: web.WebSocketResponse) -> None:
    async for message in channel:
        await channel.send_bytes(message.data)


class ApiServer:
    """List and watch one pod, and forward to what a test puts in its place."""

    def __init__(self) -> None:
        self.pod: dict[str, Any] | None = pod_object("first")
        self.serve: Pod = echo
        self.refusals: list[int] = []
        self.readiness = 200
        self._version = 1
        self._news = anyio.Event()

    def show(self, pod: dict[str, Any] | None) -> None:
        self._version += 1
        self.pod = pod and {**pod, "metadata": {**pod["metadata"], "resourceVersion": str(self._version)}}
        self._news.set()
        self._news = anyio.Event()

    async def pods(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            items = [self.pod] if self.pod else []
            return web.json_response({"metadata": {"resourceVersion": str(self._version)}, "items": items})
        stream = web.StreamResponse()
        await stream.prepare(request)
        while True:
            await self._news.wait()
            event = {"type": "MODIFIED", "object": self.pod} if self.pod else deleted(self._version)
            await stream.write(json.dumps(event).encode() + b"\n")

    async def portforward(self, request: web.Request) -> web.StreamResponse:
        if self.refusals:
            return web.json_response({"message": "no"}, status=self.refusals.pop(0))
        channel = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await channel.prepare(request)
        port = struct.pack("<H", int(request.query["ports"]))
        await channel.send_bytes(b"\0" + port)
        await channel.send_bytes(b"\1" + port)
        await self.serve(channel)
        return channel

    async def ready(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="ok", status=self.readiness)


def deleted(version: int) -> dict[str, Any]:
    return {"type": "DELETED", "object": pod_object("first", version=version)}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once: how long is waited before that is none of these tests' concern."""
    monkeypatch.setattr(module, "RETRY_S", 0.01)


@asynccontextmanager
async def running(api: ApiServer, folder: Path) -> AsyncIterator[PodForward]:
    app = web.Application()
    app.router.add_get("/api/v1/namespaces/run-web/pods", api.pods)
    app.router.add_get("/api/v1/namespaces/run-web/pods/server-0/portforward", api.portforward)
    app.router.add_get("/readyz", api.ready)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(kubeconfig_for(runner.addresses[0][1]))
    try:
        async with connect(str(kubeconfig), "a") as connection, forward_to_pod(connection, TARGET) as forward:
            yield forward
    finally:
        await runner.cleanup()


@asynccontextmanager
async def connected(forward: PodForward) -> AsyncIterator[SocketStream]:
    async with await anyio.connect_tcp("127.0.0.1", forward.port) as client:
        yield client


def kubeconfig_for(port: int) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "a", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "a", "user": {"token": "t"}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        }
    )


async def received(stream: SocketStream, size: int) -> bytes:
    found = b""
    with anyio.fail_after(PATIENCE_S):
        while len(found) < size:
            found += await stream.receive()
    return found


async def ends(stream: SocketStream) -> bool:
    with anyio.fail_after(PATIENCE_S):
        try:
            while True:
                await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return True


async def test_bytes_come_through_both_ways_as_they_were(tmp_path: Path) -> None:
    async with running(ApiServer(), tmp_path) as forward, connected(forward) as client:
        await client.send(CHUNK)
        assert await received(client, len(CHUNK)) == CHUNK


async def test_connections_stand_side_by_side(tmp_path: Path) -> None:
    async with running(ApiServer(), tmp_path) as forward:
        clients = [await anyio.connect_tcp("127.0.0.1", forward.port) for _ in range(5)]
        for number, client in enumerate(clients):
            await client.send(bytes([number]))
        assert [await received(client, 1) for client in clients] == [bytes([number]) for number in range(5)]
        for client in clients:
            await client.aclose()


async def test_an_answer_still_comes_after_the_client_has_sent_its_last_word(tmp_path: Path) -> None:
    async with running(ApiServer(), tmp_path) as forward, connected(forward) as client:
        await client.send(b"question")
        await client.send_eof()
        assert await received(client, 8) == b"question"


async def test_a_connection_ends_with_the_pod_s(tmp_path: Path) -> None:
    api = ApiServer()

    async def hang_up(channel: web.WebSocketResponse) -> None:
        await channel.receive()
        await channel.close()

    api.serve = hang_up
    async with running(api, tmp_path) as forward, connected(forward) as client:
        await client.send(b"hello")
        assert await ends(client)


async def test_a_connection_ends_where_nothing_listens_in_the_pod(tmp_path: Path) -> None:
    api = ApiServer()

    async def refuse(channel: web.WebSocketResponse) -> None:
        await channel.send_bytes(b"\1connection refused")
        await channel.receive()

    api.serve = refuse
    async with running(api, tmp_path) as forward, connected(forward) as client:
        assert await ends(client)


async def test_a_connection_waits_for_a_pod_that_is_not_ready(tmp_path: Path) -> None:
    api = ApiServer()
    api.pod = pod_object("first", is_ready=False)
    async with running(api, tmp_path) as forward, connected(forward) as client:
        await client.send(b"early")
        while "not ready: Running" not in forward.trouble:
            await anyio.lowlevel.checkpoint()
        await shown(api, forward, pod_object("first"))
        assert await received(client, 5) == b"early"


async def shown(api: ApiServer, forward: PodForward, pod: dict[str, Any] | None) -> None:
    """Show a pod until the forward has seen it: its watch may just begin."""
    with anyio.fail_after(PATIENCE_S):
        while forward._pod != (to_state(pod) if pod else PodState()):
            api.show(pod)
            await anyio.wait_all_tasks_blocked()


async def test_after_the_pod_was_replaced_the_old_connection_ends_and_who_expects_it_gets_a_new_one(
    tmp_path: Path,
) -> None:
    api = ApiServer()
    async with running(api, tmp_path) as forward:
        old = await anyio.connect_tcp("127.0.0.1", forward.port)
        await old.send(b"before")
        await received(old, 6)
        await shown(api, forward, None)
        await shown(api, forward, pod_object("second"))
        with anyio.fail_after(PATIENCE_S):
            assert "server-0 was replaced" in await forward.replaced()
        assert await ends(old)
        await old.aclose()
        with forward.admitting():
            async with await anyio.connect_tcp("127.0.0.1", forward.port) as new:
                await new.send(b"after")
                assert await received(new, 5) == b"after"
        async with connected(forward) as later:
            await later.send(b"later")
            assert await received(later, 5) == b"later"


async def test_what_was_meant_for_a_pod_does_not_come_to_the_one_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HOLD_S", 0.05)
    api = ApiServer()
    async with running(api, tmp_path) as forward:
        await shown(api, forward, pod_object("first"))
        await shown(api, forward, None)
        async with connected(forward) as held:
            await held.send(b"one of many")
            await shown(api, forward, pod_object("second"))
            assert await ends(held)
        assert "must be filled first" in forward.trouble


async def test_a_pod_that_was_only_not_ready_for_a_while_is_not_another_one(tmp_path: Path) -> None:
    api = ApiServer()
    async with running(api, tmp_path) as forward:
        await shown(api, forward, pod_object("first", is_ready=False))
        await shown(api, forward, pod_object("first"))
        assert not forward._was_replaced.is_set()


async def test_a_connection_comes_through_once_the_api_server_is_back(tmp_path: Path) -> None:
    api = ApiServer()
    api.refusals = [503, 500, 404]
    async with running(api, tmp_path) as forward, connected(forward) as client:
        await client.send(b"held")
        assert await received(client, 4) == b"held"


@pytest.mark.parametrize("readiness", [500, 403])
async def test_a_refusal_by_an_api_server_that_only_starts_is_waited_out(
    tmp_path: Path, readiness: int
) -> None:
    api = ApiServer()
    api.refusals, api.readiness = [403], readiness
    async with running(api, tmp_path) as forward, connected(forward) as client:
        await client.send(b"held")
        assert await received(client, 4) == b"held"


async def test_who_may_not_forward_is_told(tmp_path: Path) -> None:
    api = ApiServer()
    api.refusals = [403, 403]
    async with running(api, tmp_path) as forward:
        async with await anyio.connect_tcp("127.0.0.1", forward.port) as client:
            assert await ends(client)
        assert "refuses" in forward.trouble


async def test_a_pod_that_reads_slowly_slows_its_client(tmp_path: Path) -> None:
    api, may_read = ApiServer(), anyio.Event()
    size = 0

    async def read_later(channel: web.WebSocketResponse) -> None:
        nonlocal size
        await may_read.wait()
        async for message in channel:
            size += len(message.data) - 1

    api.serve = read_later
    async with running(api, tmp_path) as forward, connected(forward) as client:
        sent = await sent_until_blocked(client)
        assert sent < MORE_THAN_BUFFERS_HOLD
        may_read.set()
        with anyio.fail_after(PATIENCE_S):
            while size < sent:
                await anyio.lowlevel.checkpoint()


async def sent_until_blocked(client: SocketStream) -> int:
    sent = 0
    while sent < MORE_THAN_BUFFERS_HOLD:
        with anyio.move_on_after(0.3) as waiting:
            await client.send(CHUNK)
        if waiting.cancelled_caught:
            return sent
        sent += len(CHUNK)
    return sent


async def test_a_client_that_reads_slowly_slows_the_pod(tmp_path: Path) -> None:
    api = ApiServer()
    sent = 0

    async def pour(channel: web.WebSocketResponse) -> None:
        nonlocal sent
        while sent < MORE_THAN_BUFFERS_HOLD:
            await channel.send_bytes(b"\0" + CHUNK)
            sent += len(CHUNK)

    api.serve = pour
    async with running(api, tmp_path) as forward, connected(forward) as client:
        await received(client, 1)
        before = -1
        while sent != before:
            before = sent
            await anyio.sleep(0.2)
        assert sent < MORE_THAN_BUFFERS_HOLD


async def test_what_was_open_while_the_machine_slept_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLEEP_CHECK_S", 0.01)
    async with running(ApiServer(), tmp_path) as forward, connected(forward) as client:
        await client.send(b"awake")
        await received(client, 5)
        clock = forward._clock
        forward._clock = lambda: clock() + 3600
        assert await ends(client)


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no x"}}}]},
            "ErrImagePull no x",
        ),
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
                ]
            },
            "0/1 nodes are available",
        ),
        ({"phase": "Pending"}, "Pending"),
        ({}, "it is new"),
    ],
)
def test_a_pod_that_is_not_ready_says_what_it_waits_for(status: dict[str, Any], trouble: str) -> None:
    assert to_state({"metadata": {"uid": "u"}, "status": status}).trouble == trouble


def test_a_pod_that_is_being_deleted_is_not_ready() -> None:
    pod = pod_object("u")
    pod["metadata"]["deletionTimestamp"] = "2026-11-24T00:00:00Z"
    assert not to_state(pod).is_ready
