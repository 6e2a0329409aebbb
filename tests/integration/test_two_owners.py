"""Two owners of sessions on store s3: what each may do with all of their keys in the other's bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError

from gitops_run.adapters.store.admin import open_store
from gitops_run.adapters.store.keys import open_keys
from gitops_run.errors import UsageError
from gitops_run.model.store.keys import MadeKeys
from gitops_run.model.store.objects import StoreAccess
from gitops_run.sandbox.kubeconfigs import issue_user_kubeconfig
from gitops_run.sandbox.state import Sandbox
from tests.conftest import EXAMPLES
from tests.people import Person

KEY = "src/settings.yaml"


@dataclass(frozen=True)
class Tenant:
    """The owner of one session, and the keys of its bucket."""

    bucket: str
    reader: Any
    writer: Any


@pytest.fixture(scope="module")
def tenants(sandbox: Sandbox, admin: Person) -> Iterator[dict[str, Tenant]]:
    """Alice and Bob, each with a session that was saved into, and with every key that opens their bucket."""
    names = ("alice", "bob")
    place = str(EXAMPLES / "plain")
    try:
        for name in names:
            admin.succeeds("up", name, place, "--root", place, "--owner", f"{name}@example.com")
            owner = owner_of(sandbox, admin, name)
            with owner.leaves_running("sync", name, "--root", place) as sync:
                sync.tells("save_applied")
        yield {name: tenant_of(sandbox, owner_of(sandbox, admin, name), name) for name in names}
    finally:
        for name in names:
            admin.types("down", name)


def owner_of(sandbox: Sandbox, admin: Person, name: str) -> Person:
    """Somebody with no right but those of their session, at the session's files."""
    kubeconfig = issue_user_kubeconfig(sandbox, f"{name}@example.com")
    hidden = ("GITOPS_RUN_SETTINGS", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE")
    env = {key: value for key, value in admin.env.items() if key not in hidden}
    env |= {"KUBECONFIG": str(kubeconfig), "GITOPS_RUN_CONTEXT": sandbox.context}
    return Person(env=env, cwd=EXAMPLES / "plain")


def tenant_of(sandbox: Sandbox, owner: Person, name: str) -> Tenant:
    """Read both keys with the owner's own rights: the reader's by those of the account that applies."""
    namespace = f"run-{name}"
    applier = ("--as", f"system:serviceaccount:{namespace}:flux-run")
    written = owner.secret("bucket-writer", namespace)
    try:
        read = owner.secret("bucket-reader", namespace, *applier)
    except AssertionError:  # where even that is closed to the owner, an administrator hands it over
        admin = Person(env={**owner.env, "KUBECONFIG": str(sandbox.kubeconfig)}, cwd=owner.cwd)
        read = admin.secret("bucket-reader", namespace)
    return Tenant(bucket=written["bucket"], reader=client(sandbox, read), writer=client(sandbox, written))


def client(sandbox: Sandbox, keys: dict[str, str]) -> Any:
    settings = yaml.safe_load(sandbox.settings.read_text())
    return boto3.client(
        "s3",
        endpoint_url=settings["endpoint"],
        region_name=settings["region"],
        verify=settings["caFile"],
        config=Config(request_checksum_calculation="when_required", retries={"total_max_attempts": 1}),
        aws_access_key_id=keys["accesskey"],
        aws_secret_access_key=keys["secretkey"],
    )


ATTEMPTS: dict[str, Callable[[Any, str, str], object]] = {
    "list": lambda s3, bucket, _: s3.list_objects_v2(Bucket=bucket),
    "list versions": lambda s3, bucket, _: s3.list_object_versions(Bucket=bucket),
    "list uploads": lambda s3, bucket, _: s3.list_multipart_uploads(Bucket=bucket),
    "look": lambda s3, bucket, _: s3.head_bucket(Bucket=bucket),
    "get": lambda s3, bucket, _: s3.get_object(Bucket=bucket, Key=KEY),
    "head": lambda s3, bucket, _: s3.head_object(Bucket=bucket, Key=KEY),
    "tags": lambda s3, bucket, _: s3.get_object_tagging(Bucket=bucket, Key=KEY),
    "put": lambda s3, bucket, _: s3.put_object(Bucket=bucket, Key="src/evil.yaml", Body=b"evil"),
    "replace": lambda s3, bucket, _: s3.put_object(Bucket=bucket, Key=KEY, Body=b"evil"),
    "upload": lambda s3, bucket, _: s3.create_multipart_upload(Bucket=bucket, Key="src/evil.yaml"),
    "copy into": lambda s3, bucket, own: s3.copy_object(
        Bucket=bucket, Key="src/evil.yaml", CopySource=f"{own}/{KEY}"
    ),
    "copy from": lambda s3, bucket, own: s3.copy_object(
        Bucket=own, Key="src/stolen.yaml", CopySource=f"{bucket}/{KEY}"
    ),
    "delete": lambda s3, bucket, _: s3.delete_object(Bucket=bucket, Key=KEY),
    "delete bucket": lambda s3, bucket, _: s3.delete_bucket(Bucket=bucket),
    "read policy": lambda s3, bucket, _: s3.get_bucket_policy(Bucket=bucket),
    "write policy": lambda s3, bucket, _: s3.put_bucket_policy(Bucket=bucket, Policy="{}"),
    "delete policy": lambda s3, bucket, _: s3.delete_bucket_policy(Bucket=bucket),
    "read acl": lambda s3, bucket, _: s3.get_bucket_acl(Bucket=bucket),
    "write acl": lambda s3, bucket, _: s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write"),
    "versioning": lambda s3, bucket, _: s3.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}
    ),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize("role", ["reader", "writer"])
@pytest.mark.parametrize(("who", "whose"), [("alice", "bob"), ("bob", "alice")])
def test_neither_key_of_one_session_does_anything_in_another_s_bucket(
    tenants: dict[str, Tenant], who: str, whose: str, role: str, attempt: str
) -> None:
    own, other = tenants[who], tenants[whose]

    with pytest.raises(ClientError) as refused:
        ATTEMPTS[attempt](getattr(own, role), other.bucket, own.bucket)

    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize("role", ["reader", "writer"])
def test_both_keys_of_a_session_open_its_own_bucket(tenants: dict[str, Tenant], role: str) -> None:
    alice = tenants["alice"]

    listed = getattr(alice, role).list_objects_v2(Bucket=alice.bucket)

    assert KEY in {entry["Key"] for entry in listed["Contents"]}


@pytest.mark.parametrize("role", ["reader", "writer"])
def test_a_session_s_keys_see_no_other_bucket_and_make_none(tenants: dict[str, Tenant], role: str) -> None:
    s3 = getattr(tenants["alice"], role)

    assert s3.list_buckets()["Buckets"] == []
    with pytest.raises(ClientError) as refused:
        s3.create_bucket(Bucket="evil")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_session_s_keys_administer_no_accounts(
    tenants: dict[str, Tenant], admin_access: StoreAccess, sandbox: Sandbox, admin: Person
) -> None:
    del tenants
    keys = owner_of(sandbox, admin, "alice").secret("bucket-writer", "run-alice")
    access = StoreAccess(
        endpoint=admin_access.endpoint,
        region=admin_access.region,
        access_key=keys["accesskey"],
        secret_key=keys["secretkey"],
        ca_cert=admin_access.ca_cert,
    )
    with open_keys(access) as store:
        with pytest.raises(UsageError, match="does not let"):
            store.names()
        with pytest.raises(UsageError, match="does not let"):
            store.make("evil", "evil", {})


def test_each_bucket_s_policy_names_its_own_keys_and_no_other(
    tenants: dict[str, Tenant], admin_access: StoreAccess
) -> None:
    with open_store(admin_access) as store:
        for tenant in tenants.values():
            policy = store.policy(tenant.bucket) or {}
            named = {
                key for statement in policy["Statement"] for key in to_list(statement["Principal"]["AWS"])
            }
            assert named == set(MadeKeys.of(tenant.bucket).both)


def to_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_a_session_s_secrets_are_nowhere_but_in_the_cluster(
    tenants: dict[str, Tenant], sandbox: Sandbox, admin: Person
) -> None:
    del tenants
    state = Path(admin.env["HOME"])
    keys = owner_of(sandbox, admin, "alice").secret("bucket-writer", "run-alice")
    holders = [
        file
        for file in state.rglob("*")
        if file.is_file() and keys["secretkey"].encode() in file.read_bytes()
    ]
    assert holders == []
