"""Keys of sessions on store s3: each pair opens its session's bucket alone, and goes with the session."""

from __future__ import annotations

import base64
import json
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError

from gitops_run.adapters.store_admin import open_store
from gitops_run.adapters.store_keys import StoreKeys, open_keys
from gitops_run.errors import BackendError
from gitops_run.model.session import SessionName
from gitops_run.model.store import StoreAccess
from gitops_run.model.store_keys import MadeKeys
from gitops_run.sandbox.kubeconfigs import issue_user_kubeconfig
from gitops_run.sandbox.state import Sandbox
from tests.conftest import EXAMPLES
from tests.people import Person

PAIR = ("readerAccessKey", "readerSecretKey", "writerAccessKey", "writerSecretKey")
KEY = "src/settings.yaml"


@dataclass(frozen=True)
class Tenant:
    """The owner of one session, and the keys of its bucket."""

    bucket: str
    reader: Any
    writer: Any


@pytest.fixture(scope="module")
def admin_access(sandbox: Sandbox) -> StoreAccess:
    settings = yaml.safe_load(sandbox.settings.read_text())
    return StoreAccess(
        endpoint=settings["endpoint"],
        region=settings["region"],
        access_key=settings["accessKey"],
        secret_key=settings["secretKey"],
        ca_cert=sandbox.ca.read_text(),
    )


@pytest.fixture(scope="module")
def store_keys(admin_access: StoreAccess) -> Iterator[StoreKeys]:
    with open_keys(admin_access) as keys:
        yield keys


@pytest.fixture(scope="module")
def tenants(sandbox: Sandbox, admin: Person) -> Iterator[dict[str, Tenant]]:
    """Alice and Bob, each with a session that was saved into, and with every key that opens their bucket."""
    names = ("alice", "bob")
    place = str(EXAMPLES / "plain")
    for name in names:
        admin.succeeds("up", name, place, "--root", place, "--owner", f"{name}@example.com")
        owner = owner_of(sandbox, admin, name)
        with owner.leaves_running("sync", name) as sync:
            sync.tells("save_applied")
    yield {name: tenant_of(sandbox, owner_of(sandbox, admin, name), name) for name in names}
    for name in names:
        admin.succeeds("down", name)


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
    written = secret(owner, namespace, "bucket-writer")
    try:
        read = secret(owner, namespace, "bucket-reader", *applier)
    except AssertionError:  # where even that is closed to the owner, an administrator hands it over
        admin = Person(env={**owner.env, "KUBECONFIG": str(sandbox.kubeconfig)}, cwd=owner.cwd)
        read = secret(admin, namespace, "bucket-reader")
    return Tenant(bucket=written["bucket"], reader=client(sandbox, read), writer=client(sandbox, written))


def secret(person: Person, namespace: str, name: str, *flags: str) -> dict[str, str]:
    document = json.loads(person.kubectl("get", "secret", name, "-n", namespace, "-o", "json", *flags))
    return {key: base64.b64decode(value).decode() for key, value in document["data"].items()}


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
    keys = secret(owner_of(sandbox, admin, "alice"), "run-alice", "bucket-writer")
    access = StoreAccess(
        endpoint=admin_access.endpoint,
        region=admin_access.region,
        access_key=keys["accesskey"],
        secret_key=keys["secretkey"],
        ca_cert=admin_access.ca_cert,
    )
    with open_keys(access) as store:
        with pytest.raises(BackendError, match="does not let"):
            store.names()
        with pytest.raises(BackendError, match="does not let"):
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
    keys = secret(owner_of(sandbox, admin, "alice"), "run-alice", "bucket-writer")
    holders = [
        file
        for file in state.rglob("*")
        if file.is_file() and keys["secretkey"].encode() in file.read_bytes()
    ]
    assert holders == []


@contextmanager
def own_keys(store_keys: StoreKeys) -> Iterator[dict[str, str]]:
    """Keys that somebody made by hand at the store."""
    run = uuid.uuid4().hex[:8]
    values = (f"given-{run}-reader", uuid.uuid4().hex, f"given-{run}-writer", uuid.uuid4().hex)
    given = dict(zip(PAIR, values, strict=True))
    for role in ("reader", "writer"):
        store_keys.make(given[f"{role}AccessKey"], given[f"{role}SecretKey"], {})
    yield given
    for role in ("reader", "writer"):
        store_keys.remove(given[f"{role}AccessKey"])


@pytest.fixture
def given(store_keys: StoreKeys) -> Iterator[dict[str, str]]:
    with own_keys(store_keys) as made:
        yield made


def variables(given: dict[str, str]) -> dict[str, str]:
    return {
        f"GITOPS_RUN_{role}_{half}_KEY": given[f"{role.lower()}{half.title()}Key"]
        for role in ("READER", "WRITER")
        for half in ("ACCESS", "SECRET")
    }


def test_keys_that_serve_all_sessions_are_refused_before_anything_is_made(
    admin: Person, plain: Path, given: dict[str, str]
) -> None:
    refused = admin.types("up", "shared", str(plain), "--root", str(plain), **variables(given))

    assert refused.code == 3
    assert "can write every other session's bucket" in refused.err
    assert "--shared-keys" in refused.err
    assert given["writerSecretKey"] not in refused.err
    assert "run-shared" not in admin.names("namespaces")


def test_a_person_may_accept_the_risk_of_shared_keys(
    admin: Person, plain: Path, given: dict[str, str], store_keys: StoreKeys
) -> None:
    place = (str(plain), "--root", str(plain))
    admin.succeeds("up", "shared", *place, "--shared-keys", **variables(given))
    again = admin.types("up", "shared", *place, **variables(given))
    with Person(env=admin.env, cwd=plain).leaves_running("sync", "shared") as sync:
        sync.tells("save_applied")
    receipt = admin.succeeds("down", "shared", "-o", "json").json

    assert again.code == 0, again.err
    assert all(line["is_gone"] for line in receipt)
    assert given["writerAccessKey"] in (store_keys.names() or ())


def test_a_keys_file_gives_one_session_its_own_keys(
    admin: Person, plain: Path, given: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(yaml.safe_dump(given))
    file.chmod(0o600)
    place = (str(plain), "--root", str(plain))
    admin.succeeds("up", "own", *place, "--keys-file", str(file))
    with Person(env=admin.env, cwd=plain).leaves_running("sync", "own") as sync:
        sync.tells("save_applied")
    second = admin.types("up", "second", *place, "--keys-file", str(file))
    file.unlink()
    receipt = admin.succeeds("down", "own", "-o", "json").json

    assert second.code == 3
    assert "Pulumi.own.yaml" in second.err or str(file) in second.err
    assert all(line["is_gone"] for line in receipt)


def test_the_end_of_a_session_asks_for_its_keys(admin: Person, plain: Path, store_keys: StoreKeys) -> None:
    told = admin.succeeds("up", "ending", str(plain), "--root", str(plain), "-o", "json").json
    made = MadeKeys.of(told["bucket"])
    assert set(made.both) <= (store_keys.names() or set())

    receipt = admin.succeeds("down", "ending", "-o", "json").json

    assert {f"S3 key {name}" for name in made.both} <= {line["what"] for line in receipt if line["is_gone"]}
    assert not set(made.both) & (store_keys.names() or set())


def test_the_end_of_a_session_whose_cluster_is_gone_asks_the_store(
    admin: Person, plain: Path, store_keys: StoreKeys
) -> None:
    told = admin.succeeds("up", "lost", str(plain), "--root", str(plain), "-o", "json").json
    try:
        receipt = admin.succeeds("down", "lost", "--cluster-gone", "-o", "json").json
    finally:
        admin.kubectl("delete", "namespace", "run-lost")

    names = MadeKeys.of(told["bucket"]).both
    assert {line["what"] for line in receipt} == {
        f"S3 bucket {told['bucket']}",
        *(f"S3 key {name}" for name in names),
    }
    assert all(line["is_gone"] for line in receipt)
    assert not set(names) & (store_keys.names() or set())


@pytest.mark.parametrize("then", ["up", "down"])
def test_keys_that_a_killed_up_made_and_could_not_record_stay_nowhere(
    admin: Person, plain: Path, store_keys: StoreKeys, then: str
) -> None:
    name = f"killed-{then}"
    place = (str(plain), "--root", str(plain))
    process = admin.begins("up", name, *place, until="create Namespace")
    kill_tree(process.pid)
    process.wait(30)
    assert process.stderr is not None
    process.stderr.close()
    made = MadeKeys.of(SessionName.parse(name).bucket(cluster_uid(admin)))
    store_keys.make(made.reader, "a secret that the killed run took with it", {})

    if then == "up":
        admin.succeeds("up", name, *place)
        with Person(env=admin.env, cwd=plain).leaves_running("sync", name) as sync:
            sync.tells("save_applied")
    receipt = admin.succeeds("down", name, "-o", "json").json

    assert all(line["is_gone"] for line in receipt)
    assert not set(made.both) & (store_keys.names() or set())


def kill_tree(pid: int) -> None:
    """End a command and all that it started, as a machine that loses power does."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(pid, signal.SIGKILL)
    for child in children:
        kill_tree(int(child))


def cluster_uid(admin: Person) -> str:
    found = admin.get("namespaces")
    return str(next(item["metadata"]["uid"] for item in found if item["metadata"]["name"] == "kube-system"))


def test_a_running_sync_goes_on_with_keys_that_up_replaced(admin: Person, plain: Path) -> None:
    place = (str(plain), "--root", str(plain))
    admin.succeeds("up", "renewed", *place)
    with Person(env=admin.env, cwd=plain).leaves_running("sync", "renewed") as sync:
        sync.tells("save_applied")
        replace_keys(admin, "renewed")
        (plain / "settings.yaml").write_text(
            (plain / "settings.yaml").read_text().replace("30s", "with the new key")
        )
        sync.tells("save_applied")
    admin.succeeds("down", "renewed")


def replace_keys(admin: Person, name: str) -> None:
    """Have Pulumi make a session's keys anew."""
    project = Path(admin.env["XDG_DATA_HOME"]) / "gitops-run" / "project"
    urn = f"urn:pulumi:{name}::gitops-run::gitops-run:index:Session$gitops-run:index:BucketKeys::{name}-keys"
    command = ("pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "-C", str(project))
    process = admin.starts(*command, "--stack", name, "--replace", urn, has_output=True)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 0, told
