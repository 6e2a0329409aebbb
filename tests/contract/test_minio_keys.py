"""The plugin's keys and buckets on MinIO, whose server the test run is given.

`GITOPS_RUN_TEST_MINIO` names a `minio` program; docs/testing.md says how to build one.
"""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderStub

from gitops_run.adapters.store.admin import StoreAdmin, open_store
from gitops_run.adapters.store.keys import StoreKeys, open_keys
from gitops_run.adapters.store.minio_keys import MinioKeys
from gitops_run.errors import BackendError, TransientError
from gitops_run.model.store.objects import StoreAccess
from gitops_run.model.store.policy import account_policy
from gitops_run.plugins.gitops_run import bucket_keys
from gitops_run.plugins.gitops_run.certificates import make
from gitops_run.plugins.gitops_run.declaration import TOKEN
from gitops_run.plugins.gitops_run.values import plain
from gitops_run.sandbox.processes import wait_until
from gitops_run.sandbox.state import LOOPBACK, pick_ports
from tests.contract.conftest import started_plugin, struct

PROGRAM = os.environ.get("GITOPS_RUN_TEST_MINIO", "")
SECONDS = 20

pytestmark = pytest.mark.skipif(not PROGRAM, reason="GITOPS_RUN_TEST_MINIO names no MinIO server")


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreAccess]:
    """A MinIO on loopback, and its administrator."""
    folder = tmp_path_factory.mktemp("minio")
    made = make([LOOPBACK], datetime.now(UTC))
    certificates = folder / "certificates"
    certificates.mkdir()
    (certificates / "public.crt").write_text(made["certificate"])
    (certificates / "private.key").write_text(made["privateKey"])
    address = f"{LOOPBACK}:{pick_ports(['store'], ())['store']}"
    access = StoreAccess(
        endpoint=f"https://{address}",
        region="us-east-1",
        access_key="administrator",
        secret_key=uuid.uuid4().hex,
        ca_cert=made["caCert"],
    )
    keys = {"MINIO_ROOT_USER": access.access_key, "MINIO_ROOT_PASSWORD": access.secret_key}
    command: list[str | Path] = [PROGRAM, "server", "--quiet", "--address", address]
    command += ["--certs-dir", certificates, folder / "data"]
    env = {**keys, "HOME": str(folder), "MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        assert wait_until(lambda: is_ready(access), SECONDS)
        yield access
        server.terminate()


def is_ready(access: StoreAccess) -> bool:
    try:
        with open_store(access) as store:
            return not store.exists("a-first-question")
    except BackendError:
        return False


@pytest.fixture(scope="module")
def plugin() -> Iterator[ResourceProviderStub]:
    with started_plugin() as stub:
        yield stub


@pytest.fixture
def store(admin: StoreAccess) -> Iterator[StoreAdmin]:
    with open_store(admin) as opened:
        yield opened


@pytest.fixture
def keys(admin: StoreAccess) -> Iterator[StoreKeys]:
    with open_keys(admin) as opened:
        yield opened


@pytest.fixture
def declared(admin: StoreAccess) -> dict[str, Any]:
    return {
        "bucket": f"test-{uuid.uuid4().hex[:12]}",
        "endpoint": admin.endpoint,
        "region": admin.region,
        "accessKey": admin.access_key,
        "secretKey": admin.secret_key,
        "caCert": admin.ca_cert,
    }


def create_keys(plugin: ResourceProviderStub, declared: Mapping[str, Any]) -> Struct:
    request = provider_pb2.CreateRequest(type=bucket_keys.TOKEN, properties=struct(declared))
    properties: Struct = plugin.Create(request).properties
    return properties


def bucket_of(declared: Mapping[str, Any], made: Mapping[str, Any]) -> Struct:
    named = {name: made[name] for name in ("readerAccessKey", "writerAccessKey")}
    return struct({**declared, **named, "forceDestroy": True})


@contextmanager
def opened(admin: StoreAccess, made: Mapping[str, Any], role: str) -> Iterator[StoreAdmin]:
    key = replace(admin, access_key=made[f"{role}AccessKey"], secret_key=made[f"{role}SecretKey"])
    with open_store(key) as store:
        yield store


def put(store: StoreAdmin, bucket: str) -> None:
    with store._translated(bucket):
        store._client.put_object(Bucket=bucket, Key="src/a", Body=b"content")


def test_a_session_s_keys_open_its_bucket_alone_and_go_with_it(
    plugin: ResourceProviderStub,
    admin: StoreAccess,
    store: StoreAdmin,
    keys: StoreKeys,
    declared: dict[str, Any],
) -> None:
    bucket, other = declared["bucket"], f"{declared['bucket']}-other"
    state = create_keys(plugin, declared)
    made = plain(state)
    properties = bucket_of(declared, made)
    plugin.Create(provider_pb2.CreateRequest(type=TOKEN, properties=properties))
    store.make(other)
    put(store, other)

    with opened(admin, made, "writer") as writer, opened(admin, made, "reader") as reader:
        put(writer, bucket)
        assert reader._client.get_object(Bucket=bucket, Key="src/a")["Body"].read() == b"content"
        with pytest.raises(BackendError, match="refuses bucket"):
            put(reader, bucket)
        for role in (reader, writer):
            with pytest.raises(BackendError, match="refuses bucket"):
                role.exists(other)
            with pytest.raises(BackendError, match="refuses bucket"):
                put(role, other)
            with pytest.raises(BackendError, match="refuses bucket"):
                role.policy(other)
            with pytest.raises(BackendError, match="refuses bucket"):
                role.set_policy(bucket, {"Version": "2012-10-17", "Statement": []})

    plugin.Delete(
        provider_pb2.DeleteRequest(type=TOKEN, id=bucket, old_inputs=properties, properties=properties)
    )
    plugin.Delete(
        provider_pb2.DeleteRequest(
            type=bucket_keys.TOKEN, id=bucket, old_inputs=struct(declared), properties=state
        )
    )
    assert not store.exists(bucket)
    assert not {name for name in keys.names() or () if name.startswith(f"{bucket}-")}


def test_a_create_can_be_repeated_and_a_delete_too(
    plugin: ResourceProviderStub, admin: StoreAccess, keys: StoreKeys, declared: dict[str, Any]
) -> None:
    create_keys(plugin, declared)
    made = plain(create_keys(plugin, declared))
    with opened(admin, made, "reader") as reader:
        assert not reader.exists(declared["bucket"])  # its secret is the second one

    for _ in range(2):
        for name in (made["readerAccessKey"], made["writerAccessKey"]):
            keys.remove(name)

    assert not {made["readerAccessKey"], made["writerAccessKey"]} & (keys.names() or set())


def test_what_a_kill_left_of_an_account_counts_as_left(
    admin: StoreAccess, keys: StoreKeys, declared: dict[str, Any]
) -> None:
    name = f"{declared['bucket']}-reader"
    keys.make(name, uuid.uuid4().hex, account_policy("b", may_write=False))
    with open_keys(admin) as again:
        again.names()
        api = again._known
        assert isinstance(api, MinioKeys)
        api._admin.user_remove(name)

    assert name in (keys.names() or set())
    keys.remove(name)
    assert name not in (keys.names() or set())


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"secret_key": "wrong-secret"}, BackendError, "the secret key of administrator is wrong"),
        ({"access_key": "nobody"}, BackendError, "does not know the access key nobody"),
        ({"ca_cert": ""}, BackendError, "is not trusted"),
        ({"endpoint": f"https://{LOOPBACK}:1"}, TransientError, "connection refused"),
    ],
)
def test_a_store_that_cannot_be_administered_says_why(
    admin: StoreAccess, change: dict[str, str], error: type[Exception], words: str
) -> None:
    with open_keys(replace(admin, **change)) as keys, pytest.raises(error, match=words):
        keys.names()


def test_a_key_without_the_right_to_make_keys_is_reported(
    plugin: ResourceProviderStub, admin: StoreAccess, keys: StoreKeys, declared: dict[str, Any]
) -> None:
    made = plain(create_keys(plugin, declared))
    user = replace(admin, access_key=made["writerAccessKey"], secret_key=made["writerSecretKey"])

    with open_keys(user) as own, pytest.raises(BackendError, match="does not let the access key"):
        own.names()

    for name in (made["readerAccessKey"], made["writerAccessKey"]):
        keys.remove(name)
