"""A cluster that can't be reached: each cause has words of its own, and none of a library's."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gitops_run.adapters.cluster.connection import connect
from gitops_run.errors import TransientError

LIBRARY_WORDS = ("aiohttp", "ssl:", "_ssl.c", "Cannot connect", "SSLCert", "Errno", "[SSL")


def error_of(folder: Path, server: str) -> TransientError:
    """Ask a cluster at an address, and return what that raises."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        f"clusters: [{{name: dev, cluster: {{{server}}}}}]\n"
        "contexts: [{name: dev, context: {cluster: dev}}]\n"
    )

    async def ask() -> None:
        async with connect(str(kubeconfig), "dev") as connection:
            await connection.get("/version")

    with pytest.raises(TransientError) as failed:
        anyio.run(ask)
    text = f"{failed.value.message} {failed.value.hint}"
    assert [word for word in LIBRARY_WORDS if word in text] == []
    return failed.value


@contextmanager
def answering(context: ssl.SSLContext | None) -> Iterator[int]:
    """Accept one connection, by TLS where a context is given, and answer with something that is no TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)

        def answer() -> None:
            try:
                connection, _ = server.accept()
                with connection:
                    if context is not None:
                        context.wrap_socket(connection, server_side=True)
                    else:
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                        connection.recv(4096)
            except OSError:
                pass  # the client has turned away

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    """A server's certificate that nobody has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    file = tmp_path / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def test_a_certificate_that_is_not_trusted_is_no_cluster_that_is_down(
    tmp_path: Path, self_signed: ssl.SSLContext
) -> None:
    with answering(self_signed) as port:
        error = error_of(tmp_path, f'server: "https://127.0.0.1:{port}"')
    assert "is reached, but its certificate is not trusted" in error.message
    assert "certificate-authority" in error.hint
    assert str(tmp_path / "kubeconfig") in error.hint


def test_a_server_that_speaks_no_tls_is_named_as_one(tmp_path: Path) -> None:
    with answering(None) as port:
        error = error_of(tmp_path, f'server: "https://127.0.0.1:{port}"')
    assert "is reached, but not by TLS" in error.message


def test_a_port_where_nothing_listens_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error = error_of(tmp_path, f'server: "https://127.0.0.1:{port}"')
    assert f"can't be reached at 127.0.0.1:{port}" in error.message


def test_a_proxy_that_is_not_there_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error = error_of(tmp_path, f'server: "https://10.0.0.1", proxy-url: "http://127.0.0.1:{port}"')
    assert "the proxy before the cluster" in error.message
    assert "proxy-url" in error.hint
