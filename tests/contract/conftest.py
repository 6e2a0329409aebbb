"""The sandbox's S3 store with three accounts and buckets of one's own, and pages of examples in Chromium."""

from __future__ import annotations

import os
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf.struct_pb2 import Struct
from playwright.sync_api import Browser, Page
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderStub

import gitops_run
from gitops_run.adapters.store.admin import StoreAdmin, open_store
from gitops_run.adapters.store.keys import StoreKeys, open_keys
from gitops_run.model.store.objects import StoreAccess
from gitops_run.model.store.policy import bucket_policy
from gitops_run.plugins.gitops_run.values import with_secrets
from gitops_run.sandbox.processes import wait_until
from gitops_run.sandbox.state import LOOPBACK, Sandbox, pick_ports
from tests.browser import states
from tests.browser.chromium import Faults, chromium, watched_page
from tests.browser.server import Example, serving
from tests.browser.visits import LINES

EXECUTABLE = Path(gitops_run.__file__).parent / "plugins/gitops_run/bin/pulumi-resource-gitops-run"


def struct(values: Mapping[str, Any]) -> Struct:
    """Write inputs of a resource as the engine sends them: its key is a secret."""
    made = Struct()
    made.update(dict(values))
    return with_secrets(made, ["secretKey"])


LISTENS_S = 30.0
KUBECTL_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAccounts:
    admin: StoreAccess
    reader: StoreAccess
    writer: StoreAccess


@contextmanager
def started_plugin(program: Path = EXECUTABLE) -> Iterator[ResourceProviderStub]:
    """Start the plugin gitops-run as the engine does, and end it."""
    process = subprocess.Popen([program, "127.0.0.1:1"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout, grpc.insecure_channel(f"127.0.0.1:{process.stdout.readline().strip()}") as channel:
        yield ResourceProviderStub(channel)
        process.terminate()
        assert process.wait(10) == 0


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def accounts(sandbox: Sandbox) -> Iterator[StoreAccounts]:
    settings = yaml.safe_load(sandbox.settings.read_text())

    def access(access_key: str, secret_key: str) -> StoreAccess:
        return StoreAccess(
            endpoint=settings["endpoint"],
            region=settings["region"],
            access_key=access_key,
            secret_key=secret_key,
            ca_cert=Path(settings["caFile"]).read_text(),
        )

    admin = access(settings["accessKey"], settings["secretKey"])
    run = uuid.uuid4().hex[:12]
    reader, writer = (access(f"test-{run}-{role}", uuid.uuid4().hex) for role in ("reader", "writer"))
    with open_keys(admin) as keys:
        for made in (reader, writer):
            keys.make(made.access_key, made.secret_key, {})
        yield StoreAccounts(admin=admin, reader=reader, writer=writer)
        for made in (reader, writer):
            keys.remove(made.access_key)


@pytest.fixture(scope="session")
def admin_store(accounts: StoreAccounts) -> Iterator[StoreAdmin]:
    with open_store(accounts.admin) as store:
        yield store


@pytest.fixture(scope="session")
def store_keys(accounts: StoreAccounts) -> Iterator[StoreKeys]:
    with open_keys(accounts.admin) as keys:
        yield keys


@pytest.fixture
def new_name(admin_store: StoreAdmin) -> Iterator[Callable[[], str]]:
    """Names that no bucket has; buckets that a test makes under them are removed after it."""
    names: list[str] = []

    def name() -> str:
        names.append(f"test-{uuid.uuid4().hex[:12]}")
        return names[-1]

    yield name
    for used in names:
        if admin_store.exists(used):
            admin_store.drop_policy(used)
            admin_store.empty(used)
            admin_store.remove(used)


@pytest.fixture(scope="module")
def bucket(admin_store: StoreAdmin, accounts: StoreAccounts) -> Iterator[str]:
    """A bucket that the module's tests share, with a reader and a writer."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    admin_store.make(name)
    policy = bucket_policy(name, reader=accounts.reader.access_key, writer=accounts.writer.access_key)
    admin_store.set_policy(name, policy or {})
    yield name
    admin_store.empty(name)
    admin_store.remove(name)


@pytest.fixture
def plain_s3(sandbox: Sandbox, tmp_path: Path) -> Iterator[StoreAccess]:
    """A store whose one account is its administrator's: it makes no others."""
    for name in ("objects", "metadata"):
        (tmp_path / name).mkdir()
    address = f"{LOOPBACK}:{pick_ports(['store'], ())['store']}"
    pki = sandbox.folder / "pki"
    command: list[str | Path] = [sandbox.binaries["versitygw"], "--port", address, "--region", "us-east-1"]
    command += ["--cert", pki / "serving.crt", "--key", pki / "serving.key", "--quiet"]
    command += ["posix", "--sidecar", tmp_path / "metadata", tmp_path / "objects"]
    access = StoreAccess(
        endpoint=f"https://{address}",
        region="us-east-1",
        access_key="root",
        secret_key=uuid.uuid4().hex,
        ca_cert=sandbox.ca.read_text(),
    )
    keys = {"ROOT_ACCESS_KEY": access.access_key, "ROOT_SECRET_KEY": access.secret_key}
    with subprocess.Popen(command, env=keys, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        assert wait_until(lambda: _listens(address), LISTENS_S)
        assert server.poll() is None
        yield access
        server.terminate()


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as asking:
        return asking.connect_ex((host, int(port))) == 0


@pytest.fixture
def kubectl(sandbox: Sandbox) -> Callable[..., str]:
    def run(*arguments: str, documents: str = "") -> str:
        result = subprocess.run(
            ["kubectl", *arguments],
            env={**os.environ, **sandbox.env},
            input=documents,
            capture_output=True,
            text=True,
            timeout=KUBECTL_S,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


@pytest.fixture
def namespace(kubectl: Callable[..., str], new_name: Callable[[], str]) -> Iterator[str]:
    name = new_name()
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def example() -> Iterator[Example]:
    with serving(Example(lines=list(LINES))) as served:
        yield served


@pytest.fixture
def faults() -> Iterator[Faults]:
    collected = Faults()
    yield collected
    assert collected.found == []


@pytest.fixture
def page(browser: Browser, example: Example, faults: Faults) -> Iterator[Page]:
    size = {"width": 1440, "height": 900}
    with watched_page(browser, example.url, faults, viewport=size, reduced_motion="reduce") as opened:
        opened.clock.set_fixed_time(states.NOW)
        yield opened
