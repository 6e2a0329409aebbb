"""What a cluster or a store answers is read up to a limit, whoever answers in its place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from aiohttp import web

import gitops_run.adapters.cluster.connection as connection_module
import gitops_run.adapters.flux_manifests as flux_manifests_module
import gitops_run.adapters.store.admin as store_admin_module
import gitops_run.adapters.store.memory as memory_module
import gitops_run.adapters.store.versitygw_keys as versitygw_keys_module
from gitops_run.adapters.cluster.connection import Connection, connect
from gitops_run.adapters.cluster.request import Request
from gitops_run.adapters.flux_manifests import read_manifests
from gitops_run.adapters.store.admin import open_store
from gitops_run.adapters.store.keys import open_keys
from gitops_run.adapters.store.objects import BucketStore
from gitops_run.errors import TransientError, UsageError
from gitops_run.model.store.objects import StoreAccess

pytestmark = pytest.mark.anyio
ENTRY = b"<Contents><Key>a</Key><Size>1</Size></Contents>"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def without_end(beginning: bytes, chunk: bytes, status: int = 200) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(status=status)
        await stream.prepare(request)
        try:
            await stream.write(beginning)
            while True:
                await stream.write(chunk * (64 * 1024 // len(chunk)))
        except (ConnectionError, asyncio.CancelledError):
            if request.transport is not None:
                request.transport.abort()  # closing it would wait for a client that reads no more
            return stream

    return answer


def text(body: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=body)

    return answer


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
        await asyncio.sleep(0)  # asyncio closes sockets in its next turn


@asynccontextmanager
async def cluster(answer: Answer, folder: Path) -> AsyncIterator[Connection]:
    async with serving(answer) as server:
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(
            json.dumps(
                {
                    "clusters": [{"name": "c", "cluster": {"server": server}}],
                    "users": [{"name": "u", "user": {}}],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                }
            )
        )
        async with connect(str(kubeconfig), "c") as connection:
            yield connection


async def watched(connection: Connection) -> None:
    async for _ in connection.watch("/x", {}):
        pass


ASKING: dict[str, Callable[[Connection], Awaitable[object]]] = {
    "get": lambda connection: connection.get("/x"),
    "log": lambda connection: connection.get_text("/x", {}),
    "ask": lambda connection: connection.ask(Request(method="GET", path="/x")),
    "watch": watched,
}


@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
@pytest.mark.parametrize("status", [200, 400])
async def test_an_answer_of_a_cluster_without_an_end_is_given_up(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[Connection], Awaitable[object]],
    status: int,
) -> None:
    monkeypatch.setattr(connection_module, "ANSWER_BYTES_MAX", 2**20)
    monkeypatch.setattr(connection_module, "EVENT_BYTES_MAX", 2**20)
    async with cluster(without_end(b'{"a": "', b"a", status), tmp_path) as connection:
        with pytest.raises(TransientError, match="far more data than expected"):
            await ask(connection)


async def test_an_answer_that_nests_without_an_end_is_no_bug(tmp_path: Path) -> None:
    async with cluster(text("[" * 100_000), tmp_path) as connection:
        with pytest.raises(TransientError):
            await connection.get("/x")


@pytest.mark.parametrize("status", [200, 500])
async def test_a_list_of_a_store_without_an_end_is_given_up_and_asked_for_once(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(memory_module, "GROWTH_BYTES_MAX", 8 * 2**20)
    monkeypatch.setattr(memory_module, "LOOK_S", 0.01)
    asked: list[str] = []
    endless = without_end(b"<ListBucketResult>", ENTRY, status)

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.method)
        return await endless(request)

    async with serving(answer) as endpoint:
        access = StoreAccess(endpoint=endpoint, region="us-east-1", access_key="a", secret_key="b")
        with pytest.raises(TransientError, match="far more data than expected"):
            await BucketStore(access, "bucket").list()
    assert asked == ["GET"]


@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_to_the_store_s_administrator_without_an_end_is_given_up(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(store_admin_module, "ANSWER_BYTES_MAX", 2**20)

    def ask(endpoint: str) -> None:
        access = StoreAccess(endpoint=endpoint, region="us-east-1", access_key="a", secret_key="b")
        with open_store(access) as store:
            store.exists("bucket")

    async with serving(without_end(b"<ListBucketResult>", ENTRY, status)) as endpoint:
        with pytest.raises(TransientError, match="far more data than expected"):
            await anyio.to_thread.run_sync(ask, endpoint)


async def test_an_answer_about_accounts_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versitygw_keys_module, "ANSWER_BYTES_MAX", 100_000)

    def names(server: str) -> None:
        access = StoreAccess(endpoint=server, region="us-east-1", access_key="a", secret_key="b")
        with open_keys(access) as keys:
            keys.names()

    async with serving(without_end(b"<ListUserAccountsResult>", b"<Access>a</Access>")) as server:
        with pytest.raises(TransientError, match="far more data than expected"):
            await anyio.to_thread.run_sync(names, server)


async def test_manifests_without_an_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flux_manifests_module, "MANIFESTS_BYTES_MAX", 2**20)
    async with serving(without_end(b"", b"a")) as server:
        with pytest.raises(UsageError, match="holds more than 1 MiB"):
            await read_manifests(f"{server}/install.yaml")
    with pytest.raises(UsageError, match="holds more than 1 MiB"):
        await read_manifests("/dev/zero")
