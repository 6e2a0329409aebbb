"""Why a cluster can't be asked, in words that name the cause; and credentials that a plugin gets."""

from __future__ import annotations

import contextlib
import gc
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from aiohttp import ClientConnectorCertificateError, web

import gitops_run.adapters.cluster.connection as connection_module
import gitops_run.adapters.cluster.credentials as credentials_module
import gitops_run.adapters.cluster.exec_plugin as exec_plugin_module
from gitops_run.adapters.cluster.connection import Connection, connect
from gitops_run.adapters.cluster.failures import Way, outage
from gitops_run.errors import BackendError, TransientError, UsageError
from gitops_run.sandbox import certificates
from gitops_run.sandbox.certificates import Client, issue
from tests.remote.network import Network

pytestmark = pytest.mark.anyio
API_VERSION = "client.authentication.k8s.io/v1"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Server:
    """An API server that knows a few tokens; None for one that takes everybody."""

    tokens: set[str] | None = None
    asked: list[str] = field(default_factory=list)
    port: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.asked.append(token)
        if self.tokens is not None and token not in self.tokens:
            return web.json_response({"message": "Unauthorized"}, status=401)
        return web.json_response({"kind": "Namespace"})

    @asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.01)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            self.port = runner.addresses[0][1]
            yield self
        finally:
            await runner.cleanup()


def kubeconfig(folder: Path, server: str, user: dict[str, Any] | None = None, **cluster: Any) -> str:
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
                "users": [{"name": "dev", "user": user or {}}],
                "contexts": [{"name": "far", "context": {"cluster": "c", "user": "dev"}}],
            }
        )
    )
    return str(path)


def plugin(folder: Path, script: str, **settings: Any) -> dict[str, Any]:
    """Write a plugin that counts its runs in a file, as $n, before it does what the script says."""
    program = folder / "login"
    count = f"cd {folder}; echo x >> runs; n=$(wc -l < runs)\n"
    program.write_text(f"#!/bin/sh\n{count}{script}\n")
    program.chmod(0o700)
    return {"exec": {"apiVersion": API_VERSION, "command": "./login", **settings}}


def prints(token: str, expires: datetime | None = None) -> str:
    status = {"token": token} | ({"expirationTimestamp": expires.isoformat()} if expires else {})
    document = json.dumps({"apiVersion": API_VERSION, "kind": "ExecCredential", "status": status})
    return f"echo {json.dumps(document)}"


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


async def ask(kubeconfig: str) -> None:
    async with connect(kubeconfig, "far") as connection:
        await connection.get("/api")


@pytest.mark.parametrize(
    ("script", "settings", "words"),
    [
        ("echo 'your session has expired' >&2; exit 3", {}, "ended with 3: your session has expired"),
        ("exit 1", {}, "ended with 1, without a message"),
        ("echo hunter2", {}, "has printed no ExecCredential"),
        ('echo \'{"apiVersion": "v0", "status": {}}\'', {}, "speaks v0"),
        (prints(""), {}, "neither a token nor a certificate"),
        (prints("t"), {"interactiveMode": "Always"}, "needs to ask at a terminal"),
        ("", {"command": "no-such-login", "installHint": "get it"}, "is not installed: get it"),
        ("exec sleep 9", {}, r"has printed no credentials within 0 s"),
    ],
)
async def test_a_plugin_that_gives_no_credentials_is_named_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, settings: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr(exec_plugin_module, "PLUGIN_S", 0.3)
    path = kubeconfig(tmp_path, "http://127.0.0.1:1", plugin(tmp_path, script, **settings))
    with pytest.raises(BackendError, match=words) as raised:
        await ask(path)
    assert raised.value.message.startswith(settings.get("command", "./login"))
    assert "hunter2" not in str(raised.value)


async def test_a_plugin_gets_the_cluster_and_none_of_our_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITOPS_RUN_SECRET_KEY", "hunter2")
    script = f"env > env; {prints('t')}"
    settings = {"provideClusterInfo": True, "env": [{"name": "PROFILE", "value": "dev"}]}
    async with Server().serving() as server:
        address = f"http://127.0.0.1:{server.port}"
        await ask(kubeconfig(tmp_path, address, plugin(tmp_path, script, **settings)))
    env = (tmp_path / "env").read_text()
    assert "hunter2" not in env
    assert "PROFILE=dev" in env
    info = next(line for line in env.splitlines() if line.startswith("KUBERNETES_EXEC_INFO="))
    assert json.loads(info.partition("=")[2])["spec"] == {
        "interactive": False,
        "cluster": {"server": address},
    }


@asynccontextmanager
async def logged_in(folder: Path, server: Server, script: str) -> AsyncIterator[Connection]:
    async with server.serving():
        path = kubeconfig(folder, f"http://127.0.0.1:{server.port}", plugin(folder, script))
        async with connect(path, "far") as connection:
            yield connection


async def test_a_token_that_expires_is_replaced_once_however_many_requests_need_it(tmp_path: Path) -> None:
    server = Server({"t1", "t2"})
    async with logged_in(tmp_path, server, prints("t$n")) as connection:
        await connection.get("/api")
        server.tokens = {"t2"}
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(connection.get, "/api")
    assert runs(tmp_path) == 2
    assert server.asked.count("t2") == 5


async def test_a_token_is_replaced_before_it_expires(tmp_path: Path) -> None:
    server = Server({"t1", "t2"})
    soon = datetime.now(UTC) + timedelta(seconds=0.4)
    async with logged_in(tmp_path, server, prints("t$n", soon)) as connection:
        await connection.get("/api")
        await anyio.sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds()))
        await connection.get("/api")
    assert server.asked == ["t1", "t2"]


async def test_a_plugin_that_takes_longer_than_a_request_is_waited_for_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server({"t1"})
    may_print = tmp_path / "may-print"
    script = f'until test "$n" = 1 || test -e {may_print}; do sleep 0.05; done; {prints("t$n")}'
    async with logged_in(tmp_path, server, script) as connection:
        await connection.get("/api")
        monkeypatch.setattr(connection_module, "REQUEST_S", 1.0)
        server.tokens = {"t2"}
        with pytest.raises(TransientError, match=r"\./login.*has not printed any yet"):
            await connection.get("/api")
        may_print.touch()
        monkeypatch.setattr(connection_module, "REQUEST_S", 8.0)
        await connection.get("/api")
    assert runs(tmp_path) == 2


async def test_a_plugin_that_fails_later_is_tried_again_and_left_alone_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server({"t1"})
    script = f'test "$n" != 2 || {{ echo "log in again" >&2; exit 1; }}; {prints("t$n")}'
    async with logged_in(tmp_path, server, script) as connection:
        await connection.get("/api")
        server.tokens = {"t3"}
        for _ in range(3):
            with pytest.raises(TransientError, match="log in again"):
                await connection.get("/api")
        assert runs(tmp_path) == 2
        monkeypatch.setattr(credentials_module, "AGAIN_S", 0.0)
        await connection.get("/api")


async def test_credentials_that_are_refused_are_no_outage_at_first_and_may_be_mended_later(
    tmp_path: Path,
) -> None:
    server = Server({"other"})
    async with server.serving():
        path = kubeconfig(tmp_path, f"http://127.0.0.1:{server.port}", {"token": "mine"})
        async with connect(path, "far") as connection:
            with pytest.raises(BackendError, match="have expired, or were revoked") as first:
                await connection.get("/api")
            assert not isinstance(first.value, TransientError)
            server.tokens = {"mine"}
            await connection.get("/api")
            server.tokens = {"other"}
            with pytest.raises(TransientError):
                await connection.get("/api")


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ("403 Forbidden", r"the proxy 127\.0\.0\.1:\d+ refuses to connect to api\.far \(403 Forbidden\)"),
        ("407 Proxy Authentication Required", r"requires authentication \(407\)"),
        ("502 Bad Gateway", r"can't reach api\.far \(502 Bad Gateway\)"),
    ],
)
async def test_a_proxy_that_refuses_is_named_without_its_password(
    tmp_path: Path, refusal: str, words: str
) -> None:
    with Network() as network:
        port = network.proxy({})
        network.refusal = refusal
        proxy = f"http://me:hunter2@127.0.0.1:{port}"
        with pytest.raises(BackendError, match=words) as raised:
            await ask(kubeconfig(tmp_path, "https://api.far", **{"proxy-url": proxy}))
    assert "hunter2" not in f"{raised.value.message} {raised.value.hint}"


async def test_a_proxy_that_does_not_run_is_named(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "https://api.far", **{"proxy-url": "http://127.0.0.1:1"})
    with pytest.raises(TransientError, match=r"the proxy 127\.0\.0\.1:1 can't be reached"):
        await ask(path)


async def test_a_proxy_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "https://api.far", **{"proxy-url": "socks5://127.0.0.1:1"})
    with pytest.raises(UsageError, match="only http and https work"):
        await ask(path)


async def test_a_host_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match=r"the host nowhere\.invalid .* can't be found"):
        await ask(kubeconfig(tmp_path, "https://nowhere.invalid"))


def authority(folder: Path) -> Path:
    folder.mkdir()
    certificates._make_authority(folder, "ca")
    return folder


async def test_a_certificate_of_an_unknown_authority_is_distinguished_from_one_for_another_name(
    tmp_path: Path,
) -> None:
    pki = authority(tmp_path / "pki")
    pair = issue(pki, "ca", Client(file="serving", user="server"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)
    other = authority(tmp_path / "other")
    async with Server().serving(tls) as server:
        address = f"https://127.0.0.1:{server.port}"
        trusted = {"certificate-authority": str(pki / "ca.crt")}
        await ask(kubeconfig(tmp_path, address, **trusted))
        with pytest.raises(BackendError, match="is by an authority unknown to context 'far'"):
            await ask(kubeconfig(tmp_path, address, **{"certificate-authority": str(other / "ca.crt")}))
        with pytest.raises(BackendError, match="is valid for another name") as refused:
            await ask(kubeconfig(tmp_path, address, **trusted, **{"tls-server-name": "api.far"}))
    assert not isinstance(refused.value, TransientError)  # down takes a cluster that may come back for gone


@pytest.mark.parametrize(("has_answered", "kind"), [(False, BackendError), (True, TransientError)])
def test_a_certificate_that_is_not_trusted_is_final_until_a_cluster_has_answered(
    has_answered: bool,  # noqa: FBT001 - a parameter of the test
    kind: type[BackendError],
) -> None:
    where: Any = None
    error = ClientConnectorCertificateError(where, ValueError("expired"))
    assert type(outage(error, Way(context="far"), has_answered=has_answered)) is kind


async def test_a_connection_that_is_cut_is_distinguished_from_a_cluster_that_does_not_run(
    tmp_path: Path,
) -> None:
    server = Server()

    async def cut(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    server.answer = cut  # type: ignore[method-assign]
    async with server.serving():
        with pytest.raises(TransientError, match="the connection to the cluster of context 'far' was cut"):
            await ask(kubeconfig(tmp_path, f"http://127.0.0.1:{server.port}"))
    with pytest.raises(TransientError, match=r"can't be reached: .*[Cc]onnect"):
        await ask(kubeconfig(tmp_path, f"http://127.0.0.1:{server.port}"))


class Streaming(Server):
    """An API server whose answers begin and never end."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b'{"type": "BOOKMARK", "object": {}}\n')
        await anyio.sleep_forever()
        return answer


def connections_to(port: int) -> list[object]:
    """List the client's sockets to a port that are open in this process, whoever still refers to them."""
    return [
        one
        for one in gc.get_objects()
        if isinstance(one, socket.socket) and one.family == socket.AF_INET and _peer_port(one) == port
    ]


def _peer_port(one: socket.socket) -> int | None:
    with contextlib.suppress(OSError):
        return int(one.getpeername()[1])
    return None


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["a watch", "a request"])
async def test_nothing_stays_open_once_a_connection_is_closed(tmp_path: Path, *, is_cancelled: bool) -> None:
    """The other end is not waited for: it may take its time, or be gone."""
    pki = authority(tmp_path / "pki")
    pair = issue(pki, "ca", Client(file="serving", user="server"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)
    async with Streaming().serving(tls) as server:
        trusted = {"certificate-authority": str(pki / "ca.crt")}
        path = kubeconfig(tmp_path, f"https://127.0.0.1:{server.port}", **trusted)
        async with connect(path, "far") as connection:
            if is_cancelled:
                with anyio.move_on_after(0.2):
                    await connection.get("/api")
            else:
                async with aclosing(connection.watch("/api", {})) as events:
                    assert (await anext(events))[0] == "BOOKMARK"
        assert connections_to(server.port) == []


async def test_a_certificate_that_a_plugin_gets_is_replaced_once_it_is_refused(tmp_path: Path) -> None:
    pki = authority(tmp_path / "pki")
    pair = issue(pki, "ca", Client(file="serving", user="server"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki / "ca.crt"))
    tls.load_cert_chain(pair.certificate, pair.key)
    tls.verify_mode = ssl.CERT_OPTIONAL
    for number in (1, 2):
        client = issue(pki, "ca", Client(file=f"client-{number}", user=f"dev-{number}"))
        status = {
            "clientCertificateData": client.certificate.read_text(),
            "clientKeyData": client.key.read_text(),
        }
        document = {"apiVersion": API_VERSION, "kind": "ExecCredential", "status": status}
        (tmp_path / f"credential-{number}").write_text(json.dumps(document))
    users: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        subject = request.transport.get_extra_info("peercert")["subject"]
        users.append(dict(part[0] for part in subject)["commonName"])
        return web.json_response({}, status=200 if users[-1] == "dev-2" else 401)

    server = Server()
    server.answer = answer  # type: ignore[method-assign]
    async with server.serving(tls):
        trusted = {"certificate-authority": str(pki / "ca.crt")}
        user = plugin(tmp_path, "cat credential-$n")
        await ask(kubeconfig(tmp_path, f"https://127.0.0.1:{server.port}", user, **trusted))
    assert users == ["dev-1", "dev-2"]
