"""The plugin gitops-run, asked as the engine asks it, at a real store."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderStub

from gitops_run.adapters.store.admin import StoreAdmin, open_store
from gitops_run.errors import BackendError
from gitops_run.model.store.policy import bucket_policy, canonical
from gitops_run.plugins.gitops_run.values import plain
from tests.contract.conftest import EXECUTABLE, StoreAccounts, started_plugin, struct

TOKEN = "gitops-run:index:S3Bucket"


@pytest.fixture(scope="module")
def plugin() -> Iterator[ResourceProviderStub]:
    with started_plugin() as stub:
        yield stub


@pytest.fixture
def declared(accounts: StoreAccounts, new_name: Callable[[], str]) -> dict[str, Any]:
    return {
        "bucket": new_name(),
        "endpoint": accounts.admin.endpoint,
        "region": accounts.admin.region,
        "accessKey": accounts.admin.access_key,
        "secretKey": accounts.admin.secret_key,
        "caCert": accounts.admin.ca_cert,
        "forceDestroy": True,
        "readerAccessKey": accounts.reader.access_key,
        "writerAccessKey": accounts.writer.access_key,
    }


def create(plugin: ResourceProviderStub, declared: Mapping[str, Any]) -> Struct:
    properties: Struct = plugin.Create(provider_pb2.CreateRequest(properties=struct(declared))).properties
    return properties


def delete(plugin: ResourceProviderStub, declared: Mapping[str, Any], *, timeout_s: float = 0) -> None:
    plugin.Delete(
        provider_pb2.DeleteRequest(
            id=declared["bucket"], old_inputs=struct(declared), properties=struct(declared), timeout=timeout_s
        )
    )


def diff(plugin: ResourceProviderStub, state: Struct, old: Mapping[str, Any], new: Mapping[str, Any]) -> Any:
    return plugin.Diff(provider_pb2.DiffRequest(olds=state, old_inputs=struct(old), news=struct(new)))


def put(store: StoreAdmin, bucket: str, *keys: str) -> None:
    for key in keys:
        store._client.put_object(Bucket=bucket, Key=key, Body=b"content")


def policy_of(declared: Mapping[str, Any]) -> str:
    return canonical(
        bucket_policy(
            declared["bucket"], reader=declared["readerAccessKey"], writer=declared["writerAccessKey"]
        )
    )


def test_a_bucket_is_made_with_its_policy_and_its_name_is_its_id(
    plugin: ResourceProviderStub, declared: dict[str, Any], admin_store: StoreAdmin
) -> None:
    answer = plugin.Create(provider_pb2.CreateRequest(properties=struct(declared)))

    assert answer.id == declared["bucket"]
    assert canonical(admin_store.policy(declared["bucket"])) == policy_of(declared)


def test_the_secret_key_is_a_secret_in_all_that_is_kept(
    plugin: ResourceProviderStub, declared: dict[str, Any]
) -> None:
    bare = Struct()
    bare.update(declared)

    checked = plugin.Check(provider_pb2.CheckRequest(type=TOKEN, news=bare)).inputs
    kept = plugin.Create(provider_pb2.CreateRequest(properties=checked)).properties

    assert MessageToDict(checked)["secretKey"].keys() == MessageToDict(kept)["secretKey"].keys()
    assert declared["secretKey"] not in (
        MessageToDict(kept)["secretKey"],
        MessageToDict(checked)["secretKey"],
    )


def test_a_preview_makes_nothing(
    plugin: ResourceProviderStub, declared: dict[str, Any], admin_store: StoreAdmin
) -> None:
    plugin.Create(provider_pb2.CreateRequest(properties=struct(declared), preview=True))

    assert not admin_store.exists(declared["bucket"])


def test_what_is_declared_wrongly_is_told_by_property(
    plugin: ResourceProviderStub, declared: dict[str, Any]
) -> None:
    answer = plugin.Check(
        provider_pb2.CheckRequest(type=TOKEN, news=struct({**declared, "endpoint": "nowhere", "region": ""}))
    )

    assert [failure.property for failure in answer.failures] == ["endpoint", "region"]


def test_another_resource_is_refused_by_name(plugin: ResourceProviderStub, declared: dict[str, Any]) -> None:
    with pytest.raises(grpc.RpcError, match="no resource gitops-run:index:Other"):
        plugin.Check(provider_pb2.CheckRequest(type="gitops-run:index:Other", news=struct(declared)))


def test_a_create_that_was_interrupted_after_the_bucket_can_be_tried_again(
    plugin: ResourceProviderStub, declared: dict[str, Any], admin_store: StoreAdmin
) -> None:
    admin_store.make(declared["bucket"])

    create(plugin, declared)

    assert canonical(admin_store.policy(declared["bucket"])) == policy_of(declared)


def test_a_create_whose_answer_was_lost_can_be_tried_again(
    plugin: ResourceProviderStub, declared: dict[str, Any]
) -> None:
    create(plugin, declared)

    create(plugin, declared)


def test_a_bucket_that_holds_something_is_never_taken_over(
    plugin: ResourceProviderStub, declared: dict[str, Any], admin_store: StoreAdmin
) -> None:
    admin_store.make(declared["bucket"])
    put(admin_store, declared["bucket"], "theirs")

    with pytest.raises(grpc.RpcError, match="exists and holds objects"):
        create(plugin, declared)


def test_an_empty_bucket_with_a_policy_of_someone_else_is_never_taken_over(
    plugin: ResourceProviderStub, declared: dict[str, Any], admin_store: StoreAdmin
) -> None:
    bucket = declared["bucket"]
    admin_store.make(bucket)
    admin_store.set_policy(bucket, bucket_policy(bucket, reader=declared["readerAccessKey"], writer="") or {})

    with pytest.raises(grpc.RpcError, match="with a policy that this stack did not write"):
        create(plugin, declared)


def test_a_policy_that_is_refused_leaves_no_bucket(
    plugin: ResourceProviderStub, declared: dict[str, Any], admin_store: StoreAdmin
) -> None:
    with pytest.raises(grpc.RpcError, match="does not accept the policy"):
        create(plugin, {**declared, "readerAccessKey": "nobody"})

    assert not admin_store.exists(declared["bucket"])


def test_an_error_has_its_hint_and_no_secret(plugin: ResourceProviderStub, declared: dict[str, Any]) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        create(plugin, {**declared, "secretKey": "not-the-right-one"})

    assert "is wrong\nhint: check the secret key" in str(refused.value.details())
    assert "not-the-right-one" not in str(refused.value)


def test_reading_finds_what_was_made(plugin: ResourceProviderStub, declared: dict[str, Any]) -> None:
    state = create(plugin, declared)

    answer = plugin.Read(
        provider_pb2.ReadRequest(id=declared["bucket"], properties=state, inputs=struct(declared))
    )

    assert (answer.id, answer.properties, answer.inputs) == (declared["bucket"], state, struct(declared))


def test_a_bucket_that_is_gone_reads_as_gone(plugin: ResourceProviderStub, declared: dict[str, Any]) -> None:
    answer = plugin.Read(
        provider_pb2.ReadRequest(id=declared["bucket"], properties=struct(declared), inputs=struct(declared))
    )

    assert answer.id == ""


def test_an_import_is_refused_with_a_way_round(plugin: ResourceProviderStub) -> None:
    with pytest.raises(grpc.RpcError, match="can't be imported"):
        plugin.Read(provider_pb2.ReadRequest(id="some-bucket"))


def test_a_policy_changed_by_hand_is_seen_and_put_right(
    plugin: ResourceProviderStub, declared: dict[str, Any], admin_store: StoreAdmin
) -> None:
    state = create(plugin, declared)
    admin_store.drop_policy(declared["bucket"])

    read = plugin.Read(
        provider_pb2.ReadRequest(id=declared["bucket"], properties=state, inputs=struct(declared))
    )
    seen = diff(plugin, read.properties, declared, declared)
    plugin.Update(
        provider_pb2.UpdateRequest(olds=read.properties, old_inputs=struct(declared), news=struct(declared))
    )

    assert list(seen.diffs) == ["policy"]
    assert canonical(admin_store.policy(declared["bucket"])) == policy_of(declared)


def test_the_same_declaration_is_no_change(plugin: ResourceProviderStub, declared: dict[str, Any]) -> None:
    state = create(plugin, declared)

    assert diff(plugin, state, declared, declared).changes == provider_pb2.DiffResponse.DIFF_NONE


@pytest.mark.parametrize("name", ["bucket", "endpoint"])
def test_another_name_or_store_is_another_bucket(
    plugin: ResourceProviderStub, declared: dict[str, Any], name: str
) -> None:
    answer = diff(plugin, struct(declared), declared, {**declared, name: "https://elsewhere:1"})

    assert list(answer.replaces) == [name]


@pytest.mark.parametrize("name", ["accessKey", "secretKey", "caCert", "region", "writerAccessKey"])
def test_keys_and_ca_change_in_place(
    plugin: ResourceProviderStub, declared: dict[str, Any], name: str
) -> None:
    answer = diff(plugin, struct(declared), declared, {**declared, name: "other"})

    assert name in answer.diffs
    assert not answer.replaces


def test_an_account_that_is_no_longer_named_loses_its_access(
    plugin: ResourceProviderStub, declared: dict[str, Any], accounts: StoreAccounts
) -> None:
    state = create(plugin, declared)
    without = {name: value for name, value in declared.items() if name != "readerAccessKey"}

    answer = plugin.Update(
        provider_pb2.UpdateRequest(olds=state, old_inputs=struct(declared), news=struct(without))
    )

    assert accounts.reader.access_key not in plain(answer.properties)["policy"]
    with (
        open_store(accounts.reader) as store,
        pytest.raises(BackendError, match="refuses bucket"),
    ):
        store.exists(declared["bucket"])


def test_an_update_of_a_bucket_that_is_gone_says_what_to_do(
    plugin: ResourceProviderStub, declared: dict[str, Any]
) -> None:
    with pytest.raises(grpc.RpcError, match="run `pulumi refresh`"):
        plugin.Update(
            provider_pb2.UpdateRequest(
                olds=struct(declared), old_inputs=struct(declared), news=struct(declared)
            )
        )


def test_a_full_bucket_is_emptied_with_its_old_versions_and_unfinished_uploads(
    plugin: ResourceProviderStub, declared: dict[str, Any], admin_store: StoreAdmin
) -> None:
    create(plugin, declared)
    client = admin_store._client
    client.put_bucket_versioning(Bucket=declared["bucket"], VersioningConfiguration={"Status": "Enabled"})
    put(admin_store, declared["bucket"], "a/b", "a/b", "c")
    client.delete_object(Bucket=declared["bucket"], Key="c")
    client.create_multipart_upload(Bucket=declared["bucket"], Key="upload")

    delete(plugin, declared)

    assert not admin_store.exists(declared["bucket"])


def test_a_full_bucket_that_may_not_be_emptied_stays_as_it_is(
    plugin: ResourceProviderStub, declared: dict[str, Any], admin_store: StoreAdmin
) -> None:
    kept = {**declared, "forceDestroy": False}
    create(plugin, kept)
    put(admin_store, kept["bucket"], "a")

    with pytest.raises(grpc.RpcError, match="must not be emptied\nhint: set force_destroy=True"):
        delete(plugin, kept)

    assert not admin_store.is_empty(kept["bucket"])


def test_a_bucket_that_is_still_written_to_is_closed_and_then_gone(
    plugin: ResourceProviderStub, declared: dict[str, Any], accounts: StoreAccounts, admin_store: StoreAdmin
) -> None:
    create(plugin, declared)
    started = threading.Event()

    def write() -> None:
        with open_store(accounts.writer) as store:
            for number in range(200):
                try:
                    put(store, declared["bucket"], f"late-{number}")
                except store._client.exceptions.ClientError:
                    return
                finally:
                    started.set()

    writer = threading.Thread(target=write)
    writer.start()
    started.wait(10)
    delete(plugin, declared)
    writer.join()

    assert not admin_store.exists(declared["bucket"])


def test_deleting_a_bucket_that_is_gone_is_fine(
    plugin: ResourceProviderStub, declared: dict[str, Any]
) -> None:
    delete(plugin, declared)


def test_a_store_that_is_down_is_named(plugin: ResourceProviderStub, declared: dict[str, Any]) -> None:
    with pytest.raises(grpc.RpcError, match="connection refused"):
        delete(plugin, {**declared, "endpoint": "https://127.0.0.1:1"})


@pytest.mark.parametrize("path", ["/usr/bin:/bin", f"{Path(sys.executable).parent}:/usr/bin:/bin"])
def test_it_starts_with_and_without_an_active_virtual_environment(path: str, tmp_path: Path) -> None:
    link = tmp_path / "pulumi-resource-gitops-run"
    link.symlink_to(EXECUTABLE)
    env = {"PATH": path, "HOME": str(tmp_path), "GITOPS_RUN_PYTHON": ""}

    with subprocess.Popen([link], stdout=subprocess.PIPE, text=True, env=env, cwd=tmp_path) as process:
        assert process.stdout is not None
        port = process.stdout.readline()
        process.terminate()

    assert int(port) > 0


def test_a_python_that_lacks_the_project_is_told_with_what_to_set(tmp_path: Path) -> None:
    result = subprocess.run(
        [EXECUTABLE],
        env={**os.environ, "GITOPS_RUN_PYTHON": "/bin/false"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert "hint: set GITOPS_RUN_PYTHON" in result.stderr


def test_the_writers_key_may_not_take_a_bucket_over(
    plugin: ResourceProviderStub, declared: dict[str, Any], accounts: StoreAccounts
) -> None:
    create(plugin, declared)
    writer = {"accessKey": accounts.writer.access_key, "secretKey": accounts.writer.secret_key}

    with pytest.raises(grpc.RpcError, match=f"refuses bucket {declared['bucket']}"):
        create(plugin, {**declared, **writer, "readerAccessKey": ""})
