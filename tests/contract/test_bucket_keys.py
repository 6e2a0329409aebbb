"""Keys that a store makes for one bucket: the adapter, and the plugin's resource BucketKeys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderStub

from gitops_run.adapters.store.admin import StoreAdmin, open_store
from gitops_run.adapters.store.keys import StoreKeys, open_keys
from gitops_run.errors import BackendError, UsageError
from gitops_run.model.store.objects import StoreAccess
from gitops_run.model.store.policy import bucket_policy
from gitops_run.plugins.gitops_run.bucket_keys import OUTPUTS, TOKEN
from gitops_run.plugins.gitops_run.values import plain
from tests.contract.conftest import StoreAccounts, started_plugin, struct

SECRET_OUTPUTS = ("readerSecretKey", "writerSecretKey")


@pytest.fixture(scope="module")
def plugin() -> Iterator[ResourceProviderStub]:
    with started_plugin() as stub:
        yield stub


@pytest.fixture
def declared(
    accounts: StoreAccounts, new_name: Callable[[], str], store_keys: StoreKeys
) -> Iterator[dict[str, Any]]:
    bucket = new_name()
    yield {
        "bucket": bucket,
        "endpoint": accounts.admin.endpoint,
        "region": accounts.admin.region,
        "accessKey": accounts.admin.access_key,
        "secretKey": accounts.admin.secret_key,
        "caCert": accounts.admin.ca_cert,
    }
    for name in names_of(store_keys, bucket):
        store_keys.remove(name)


def names_of(store_keys: StoreKeys, bucket: str) -> set[str]:
    return {name for name in store_keys.names() or () if name.startswith(f"{bucket}-")}


def create(plugin: ResourceProviderStub, declared: Mapping[str, Any], *, preview: bool = False) -> Struct:
    request = provider_pb2.CreateRequest(type=TOKEN, properties=struct(declared), preview=preview)
    properties: Struct = plugin.Create(request).properties
    return properties


def read(plugin: ResourceProviderStub, declared: Mapping[str, Any], state: Struct) -> Any:
    return plugin.Read(
        provider_pb2.ReadRequest(type=TOKEN, id=declared["bucket"], inputs=struct(declared), properties=state)
    )


def delete(plugin: ResourceProviderStub, declared: Mapping[str, Any], state: Struct) -> None:
    plugin.Delete(
        provider_pb2.DeleteRequest(
            type=TOKEN, id=declared["bucket"], old_inputs=struct(declared), properties=state
        )
    )


def test_made_keys_open_their_bucket_once_its_policy_names_them_and_no_other_bucket(
    plugin: ResourceProviderStub,
    declared: dict[str, Any],
    accounts: StoreAccounts,
    admin_store: StoreAdmin,
    new_name: Callable[[], str],
) -> None:
    made = plain(create(plugin, declared))
    own, other = declared["bucket"], new_name()
    for bucket in (own, other):
        admin_store.make(bucket)
    admin_store.set_policy(
        own, bucket_policy(own, reader=made["readerAccessKey"], writer=made["writerAccessKey"]) or {}
    )

    for role in ("reader", "writer"):
        key = replace(
            accounts.admin, access_key=made[f"{role}AccessKey"], secret_key=made[f"{role}SecretKey"]
        )
        with open_store(key) as store:
            assert store.exists(own)
            with pytest.raises(BackendError, match="refuses bucket"):
                store.exists(other)
            with pytest.raises(BackendError, match="refuses bucket"):
                store.make(f"{other}-x")


def test_made_keys_are_secrets_in_all_that_is_kept(
    plugin: ResourceProviderStub, declared: dict[str, Any]
) -> None:
    bare = Struct()
    bare.update(declared)

    checked = plugin.Check(provider_pb2.CheckRequest(type=TOKEN, news=bare)).inputs
    kept = MessageToDict(plugin.Create(provider_pb2.CreateRequest(type=TOKEN, properties=checked)).properties)

    assert {frozenset(kept[name]) for name in ("secretKey", *SECRET_OUTPUTS)} == {
        frozenset(MessageToDict(checked)["secretKey"])
    }
    assert "value" in kept["readerSecretKey"]


def test_a_create_that_was_killed_halfway_is_continued_with_keys_that_work(
    plugin: ResourceProviderStub,
    declared: dict[str, Any],
    store_keys: StoreKeys,
    accounts: StoreAccounts,
    admin_store: StoreAdmin,
) -> None:
    bucket = declared["bucket"]
    store_keys.make(f"{bucket}-reader", "a secret that the killed run took with it", {})

    made = plain(create(plugin, declared))

    admin_store.make(bucket)
    admin_store.set_policy(bucket, bucket_policy(bucket, reader=made["readerAccessKey"], writer="") or {})
    reader = replace(accounts.admin, access_key=made["readerAccessKey"], secret_key=made["readerSecretKey"])
    with open_store(reader) as store:
        assert store.exists(bucket)
    assert len(names_of(store_keys, declared["bucket"])) == 2


def test_a_create_whose_answer_was_lost_is_continued(
    plugin: ResourceProviderStub, declared: dict[str, Any], store_keys: StoreKeys
) -> None:
    first = plain(create(plugin, declared))
    second = plain(create(plugin, declared))

    assert first["writerSecretKey"] != second["writerSecretKey"]
    assert names_of(store_keys, declared["bucket"]) == {first["readerAccessKey"], first["writerAccessKey"]}


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_delete_can_be_repeated_whatever_is_left(
    plugin: ResourceProviderStub, declared: dict[str, Any], store_keys: StoreKeys, left: int
) -> None:
    state = create(plugin, declared)
    for name in sorted(names_of(store_keys, declared["bucket"]))[left:]:
        store_keys.remove(name)

    delete(plugin, declared, state)

    assert names_of(store_keys, declared["bucket"]) == set()


def test_keys_of_another_bucket_stay_when_one_s_are_removed(
    plugin: ResourceProviderStub, declared: dict[str, Any], store_keys: StoreKeys, accounts: StoreAccounts
) -> None:
    state = create(plugin, declared)

    delete(plugin, declared, state)

    assert {accounts.reader.access_key, accounts.writer.access_key} <= (store_keys.names() or set())


def test_a_preview_makes_no_key_and_knows_none(
    plugin: ResourceProviderStub, declared: dict[str, Any], store_keys: StoreKeys
) -> None:
    previewed = plain(create(plugin, declared, preview=True))

    assert len({previewed[name] for name in OUTPUTS}) == 1
    assert names_of(store_keys, declared["bucket"]) == set()


def test_keys_that_are_there_read_as_there_and_half_of_them_as_gone(
    plugin: ResourceProviderStub, declared: dict[str, Any], store_keys: StoreKeys
) -> None:
    state = create(plugin, declared)
    whole = read(plugin, declared, state)
    store_keys.remove(f"{declared['bucket']}-writer")

    assert (whole.id, whole.properties) == (declared["bucket"], state)
    assert read(plugin, declared, state).id == ""


def test_a_new_administering_key_keeps_the_made_ones(
    plugin: ResourceProviderStub, declared: dict[str, Any]
) -> None:
    state = create(plugin, declared)
    new = {**declared, "secretKey": "another"}

    seen = plugin.Diff(
        provider_pb2.DiffRequest(type=TOKEN, olds=state, old_inputs=struct(declared), news=struct(new))
    )
    updated = plugin.Update(
        provider_pb2.UpdateRequest(type=TOKEN, olds=state, old_inputs=struct(declared), news=struct(new))
    ).properties

    assert (list(seen.diffs), list(seen.replaces)) == (["secretKey"], [])
    assert {name: plain(updated)[name] for name in OUTPUTS} == {name: plain(state)[name] for name in OUTPUTS}
    assert MessageToDict(updated)["writerSecretKey"] == MessageToDict(state)["writerSecretKey"]


@pytest.mark.parametrize("name", ["bucket", "endpoint"])
def test_another_bucket_or_store_gets_other_keys(
    plugin: ResourceProviderStub, declared: dict[str, Any], name: str
) -> None:
    new = {**declared, name: "https://elsewhere:1"}

    seen = plugin.Diff(
        provider_pb2.DiffRequest(
            type=TOKEN, olds=struct(declared), old_inputs=struct(declared), news=struct(new)
        )
    )

    assert list(seen.replaces) == [name]
    assert seen.deleteBeforeReplace


def test_what_is_declared_wrongly_is_reported_by_property(
    plugin: ResourceProviderStub, declared: dict[str, Any]
) -> None:
    wrong = {**declared, "endpoint": "nowhere", "region": "", "role": "admin"}

    answer = plugin.Check(provider_pb2.CheckRequest(type=TOKEN, news=struct(wrong)))

    assert [failure.property for failure in answer.failures] == ["endpoint", "region", "role"]


def test_an_import_is_refused(plugin: ResourceProviderStub) -> None:
    with pytest.raises(grpc.RpcError, match="can't be imported"):
        plugin.Read(provider_pb2.ReadRequest(type=TOKEN, id="some-bucket"))


def test_a_key_that_may_not_make_keys_is_reported_without_its_secret(
    plugin: ResourceProviderStub, declared: dict[str, Any], accounts: StoreAccounts
) -> None:
    user = {"accessKey": accounts.writer.access_key, "secretKey": accounts.writer.secret_key}

    with pytest.raises(grpc.RpcError) as refused:
        create(plugin, {**declared, **user})

    assert "does not let the access key" in str(refused.value.details())
    assert accounts.writer.secret_key not in str(refused.value)


def test_a_store_without_an_admin_api_is_recognised_before_any_key_is_sent(
    plugin: ResourceProviderStub, declared: dict[str, Any], plain_s3: StoreAccess
) -> None:
    without = {**declared, "endpoint": plain_s3.endpoint, "accessKey": plain_s3.access_key}

    with open_keys(plain_s3) as keys:
        assert keys.names() is None
    with pytest.raises(grpc.RpcError, match=r"has no admin API.*\nhint: .*--keys-file"):
        create(plugin, {**without, "secretKey": plain_s3.secret_key}, preview=True)


def test_an_authority_that_is_no_certificate_is_reported(accounts: StoreAccounts) -> None:
    untrusted = replace(accounts.admin, ca_cert="nothing")
    with open_keys(untrusted) as keys, pytest.raises(UsageError, match="not PEM"):
        keys.names()
