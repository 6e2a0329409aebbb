"""The proxies of the chaos command, before a small server with the sandbox's certificates."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gitops_run.sandbox import certificates
from gitops_run.sandbox.state import LOOPBACK, Sandbox, make_folder
from tests.chaos.proxies import Hold, Proxies

SOON_S = 10.0
HELD_S = 0.3


class Server(BaseHTTPRequestHandler):
    """Answer with what was sent."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(http.client.OK)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Way:
    """The proxies, their ports, and clients of this process."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.proxies = Proxies(sandbox, lambda: [os.getpid()])
        self._tls = ssl.create_default_context(cafile=str(sandbox.ca))
        self.store_port, self.api_port = self.proxies.start()

    def put(self, path: str, body: bytes, port: int | None = None) -> bytes:
        address = (LOOPBACK, port or self.store_port)
        with closing(http.client.HTTPSConnection(*address, timeout=SOON_S, context=self._tls)) as client:
            client.request("PUT", path, body)
            return client.getresponse().read()


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Way]:
    make_folder(tmp_path)
    server = ThreadingHTTPServer((LOOPBACK, 0), Server)
    server.daemon_threads = False  # so that all of them are over once it is closed
    port = server.server_address[1]
    ports = {"store": port, "kube-apiserver": port}
    sandbox = Sandbox(name="t", folder=tmp_path, ports=ports, binaries={}, path=(), variables={})
    certificates.make_all(sandbox)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "pki" / "serving.crt", tmp_path / "pki" / "serving.key")
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    way = Way(sandbox)
    try:
        yield way
    finally:
        way.proxies.close()
        server.shutdown()
        server.server_close()
        thread.join(SOON_S)


def test_a_request_passes_whole_and_is_recorded_with_its_process(way: Way) -> None:
    assert way.put("/b/src/a", b"x" * 200_000) == b"x" * 200_000
    (request,) = way.proxies.requests
    assert (request.method, request.target, request.status) == ("PUT", "/b/src/a", 200)
    assert request.writer == os.getpid()


def test_an_answer_is_held_after_the_store_got_the_request(way: Way) -> None:
    way.proxies.hold(os.getpid(), Hold(answers_s=HELD_S))
    began = time.monotonic()
    way.put("/b/src/a", b"1")
    assert way.proxies.requests[0].at - began < HELD_S <= time.monotonic() - began


def test_a_request_is_held_before_the_store_gets_it(way: Way) -> None:
    way.proxies.hold(os.getpid(), Hold(requests_s=HELD_S))
    began = time.monotonic()
    way.put("/b/src/a", b"1")
    assert way.proxies.requests[0].at - began >= HELD_S


def test_an_alarm_rings_at_the_put_that_it_was_set_for(way: Way) -> None:
    rings = way.proxies.after_puts(os.getpid(), 2)
    way.put("/b/src/a", b"1")
    assert not rings.is_set()
    way.put("/b/src/b", b"1")
    assert rings.is_set()


def test_a_writer_that_is_cut_off_is_neither_refused_nor_answered_until_mended(way: Way) -> None:
    assert way.put("/api", b"1", way.api_port) == b"1"
    way.proxies.cut_off(os.getpid())
    answers: list[bytes] = []
    asking = threading.Thread(target=lambda: answers.append(way.put("/api", b"2", way.api_port)))
    asking.start()
    asking.join(HELD_S)
    assert asking.is_alive()
    way.proxies.mend(os.getpid())
    asking.join(SOON_S)
    assert answers == [b"2"]


def test_a_store_that_is_gone_breaks_the_connection(way: Way) -> None:
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        way.proxies._sandbox.ports["store"] = free.getsockname()[1]  # type: ignore[index]
        with pytest.raises((http.client.HTTPException, OSError)):
            way.put("/b/src/a", b"1")
