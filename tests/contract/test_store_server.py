"""The S3 server of a session's own, started from its manifests' arguments and files: what it lets whom do."""

from __future__ import annotations

import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitops_run.adapters.store.objects import BucketStore
from gitops_run.errors import BackendError, NotFound
from gitops_run.model.manifests.store_server import (
    ServerCredentials,
    arguments,
    read_credentials,
    server_files,
    server_names,
)
from gitops_run.model.store.keys import KeyPair
from gitops_run.model.store.objects import StoreAccess
from gitops_run.plugins.gitops_run.certificates import make
from gitops_run.sandbox.processes import wait_until
from gitops_run.sandbox.state import Sandbox

pytestmark = pytest.mark.anyio
BUCKET = "gitops-run-web-1"
MOUNTED = {"server": ("tls.crt", "tls.key"), "accounts": ("users.json",)}
STRANGER = KeyPair(access_key="A" * 20, secret_key="b" * 40)


@dataclass(frozen=True)
class Server:
    """A server that runs on loopback, as it would in its pod."""

    endpoint: str
    credentials: ServerCredentials

    def store(self, key: KeyPair, bucket: str = BUCKET) -> BucketStore:
        access = StoreAccess(
            endpoint=self.endpoint,
            region="us-east-1",
            access_key=key.access_key,
            secret_key=key.secret_key,
            ca_cert=self.credentials.ca,
        )
        return BucketStore(access, bucket)

    def anonymous_status(self, path: str) -> int:
        context = ssl.create_default_context(cadata=self.credentials.ca)
        try:
            with urllib.request.urlopen(f"{self.endpoint}{path}", context=context, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code


@pytest.fixture(scope="module")
def server(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The sandbox's versitygw, in a folder laid out as the pod's mounts lay it out."""
    folder = tmp_path_factory.mktemp("server")
    credentials = read_credentials(make(server_names("run-web"), datetime.now(UTC)))
    lay_out(folder, server_files(BUCKET, credentials))
    port = free_port()
    command = [
        argument.replace(":9000", f"127.0.0.1:{port}")
        for argument in arguments(
            "us-east-1",
            files=str(folder),
            objects=str(folder / "store/objects"),
            metadata=str(folder / "store/metadata"),
        )
    ]
    root = credentials.root
    env = {"ROOT_ACCESS_KEY": root.access_key, "ROOT_SECRET_KEY": root.secret_key}
    process = subprocess.Popen(
        [sandbox.binaries["versitygw"], *command], env=env, cwd=folder, stdout=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: answers(port), 10)
        yield Server(f"https://localhost:{port}", credentials)
    finally:
        process.terminate()
        process.wait(10)


def lay_out(folder: Path, files: dict[str, str]) -> None:
    for place, names in MOUNTED.items():
        (folder / place).mkdir()
        for name in names:
            (folder / place / name).write_text(files[name])
    (folder / "store/objects" / BUCKET).mkdir(parents=True)
    metadata = folder / "store/metadata" / BUCKET / "meta"
    metadata.mkdir(parents=True)
    for name in ("acl", "policy"):
        (metadata / name).write_text(files[name])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_the_bucket_is_there_and_empty_from_the_beginning(server: Server) -> None:
    assert await server.store(server.credentials.reader).list("nothing/") == ()


async def test_the_writer_s_objects_reach_the_reader_until_they_are_deleted(server: Server) -> None:
    writer, reader = (server.store(key) for key in (server.credentials.writer, server.credentials.reader))
    etag = await writer.put("src/a/b.yaml", b"content")
    assert [(one.key, one.etag) for one in await reader.list()] == [("src/a/b.yaml", etag)]
    await writer.delete(["src/a/b.yaml"])
    assert await reader.list() == ()


async def test_the_reader_writes_nothing(server: Server) -> None:
    with pytest.raises(BackendError, match="refuses"):
        await server.store(server.credentials.reader).put("src/a", b"x")


async def test_the_reader_deletes_nothing(server: Server) -> None:
    await server.store(server.credentials.writer).put("src/kept", b"x")
    with pytest.raises(BackendError, match="refuses"):
        await server.store(server.credentials.reader).delete(["src/kept"])
    assert "src/kept" in {one.key for one in await server.store(server.credentials.reader).list()}


async def test_the_writer_has_no_other_bucket(server: Server) -> None:
    with pytest.raises((BackendError, NotFound)):
        await server.store(server.credentials.writer, "another").put("src/a", b"x")


async def test_a_stranger_s_key_opens_nothing(server: Server) -> None:
    with pytest.raises(BackendError, match="does not know"):
        await server.store(STRANGER).list()


@pytest.mark.parametrize("path", ["/", f"/{BUCKET}", f"/{BUCKET}/src/kept", f"/{BUCKET}?policy"])
def test_without_a_key_there_is_nothing_to_see(server: Server, path: str) -> None:
    assert server.anonymous_status(path) == 403


def test_its_health_is_told_to_anybody(server: Server) -> None:
    assert server.anonymous_status("/healthz") == 200


async def test_its_certificate_is_good_for_loopback_too(server: Server) -> None:
    moved = Server(server.endpoint.replace("localhost", "127.0.0.1"), server.credentials)
    assert isinstance(await moved.store(server.credentials.reader).list(), tuple)


async def test_another_session_s_authority_is_not_trusted(server: Server) -> None:
    foreign = ServerCredentials(
        ca=read_credentials(make(server_names("run-web"), datetime.now(UTC))).ca,
        certificate="",
        key="",
        fingerprint="",
        root=STRANGER,
        reader=STRANGER,
        writer=STRANGER,
    )
    with pytest.raises(BackendError, match="not trusted"):
        await Server(server.endpoint, foreign).store(STRANGER).list()
