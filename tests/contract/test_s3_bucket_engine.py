"""The plugin gitops-run under Pulumi's own engine, as `pulumi up` typed by hand uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import gitops_run
from gitops_run.adapters.store.admin import StoreAdmin
from gitops_run.adapters.store.keys import StoreKeys
from gitops_run.model.store.keys import MadeKeys
from gitops_run.sandbox.state import Sandbox
from tests.conftest import share_kubernetes_plugin
from tests.contract.conftest import StoreAccounts

FOLDER = Path(gitops_run.__file__).parent / "plugins/gitops_run/bin"
PATIENCE_S = 60
PROGRAM = """
import os
import pulumi
from gitops_run.declare.bucket_keys import BucketKeys
from gitops_run.declare.s3_bucket import S3Bucket
from gitops_run.model.store.objects import StoreAccess

keys = {"reader_access_key": os.environ["TEST_READER"]}
if "TEST_MAKES_KEYS" in os.environ:
    admin = StoreAccess(
        endpoint=os.environ["TEST_ENDPOINT"],
        region=os.environ["TEST_REGION"],
        access_key=os.environ["TEST_ACCESS_KEY"],
        secret_key=os.environ["TEST_SECRET_KEY"],
        ca_cert=os.environ["TEST_CA"],
    )
    made = BucketKeys("keys", bucket=os.environ["TEST_BUCKET"], admin=admin)
    keys = {
        "reader_access_key": made.reader.apply(lambda pair: pair.access_key),
        "writer_access_key": made.writer.apply(lambda pair: pair.access_key),
    }
    pulumi.export("secrets", pulumi.Output.all(made.reader_secret_key, made.writer_secret_key))

bucket = S3Bucket(
    "bucket",
    bucket=os.environ["TEST_BUCKET"],
    endpoint=os.environ["TEST_ENDPOINT"],
    region=os.environ["TEST_REGION"],
    ca_cert=os.environ["TEST_CA"],
    access_key=os.environ["TEST_ACCESS_KEY"],
    secret_key=os.environ["TEST_SECRET_KEY"],
    force_destroy=True,
    **keys,
)
pulumi.export("bucket", bucket.bucket)
"""


@dataclass(frozen=True)
class Project:
    """A Pulumi project with one bucket in it."""

    folder: Path
    env: dict[str, str]

    def types(self, *arguments: str) -> str:
        result = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert result.returncode == 0, f"{arguments}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def changes(self, command: str, *flags: str) -> dict[str, int]:
        """What a command would do, from the name of an operation to how many resources."""
        summary: dict[str, int] = json.loads(self.types(command, "--json", *flags))["changeSummary"]
        return {name: count for name, count in summary.items() if name != "same"}


@pytest.fixture
def project(
    sandbox: Sandbox, accounts: StoreAccounts, new_name: Callable[[], str], tmp_path: Path
) -> Project:
    made = tmp_path / "project"
    made.mkdir()
    (made / "__main__.py").write_text(PROGRAM)
    settings: dict[str, Any] = {
        "name": "engine",
        "runtime": "python",
        "plugins": {"providers": [{"name": "gitops-run", "path": str(FOLDER)}]},
    }
    (made / "Pulumi.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "passphrase").write_text("a passphrase of the tests")
    (tmp_path / "state").mkdir()
    share_kubernetes_plugin(tmp_path / "home")
    project = Project(
        folder=made,
        env={
            **os.environ,
            **sandbox.env,
            "PATH": f"{Path(sys.executable).parent}:{sandbox.env['PATH']}",
            "PULUMI_HOME": str(tmp_path / "home"),
            "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "passphrase"),
            "TEST_BUCKET": new_name(),
            "TEST_ENDPOINT": accounts.admin.endpoint,
            "TEST_REGION": accounts.admin.region,
            "TEST_CA": accounts.admin.ca_cert,
            "TEST_ACCESS_KEY": accounts.admin.access_key,
            "TEST_SECRET_KEY": accounts.admin.secret_key,
            "TEST_READER": accounts.reader.access_key,
        },
    )
    project.types("stack", "init", "test")
    return project


def test_a_bucket_lives_from_up_to_destroy(project: Project, admin_store: StoreAdmin) -> None:
    name = project.env["TEST_BUCKET"]

    assert project.changes("preview") == {"create": 2}
    project.types("up", "--yes")
    assert admin_store.exists(name)
    assert project.changes("preview") == {}

    admin_store.drop_policy(name)
    project.types("refresh", "--yes")
    assert project.changes("preview") == {"update": 1}
    project.types("up", "--yes")
    assert admin_store.policy(name)

    admin_store._client.put_object(Bucket=name, Key="src/a", Body=b"content")
    project.types("destroy", "--yes")
    assert not admin_store.exists(name)


def with_made_keys(project: Project) -> Project:
    """The same project, once the program lets the store make the bucket's keys."""
    return replace(project, env={**project.env, "TEST_MAKES_KEYS": "yes"})


def named_in(policy: Mapping[str, Any] | None) -> set[str]:
    principals = [statement["Principal"]["AWS"] for statement in (policy or {})["Statement"]]
    return {key for named in principals for key in ([named] if isinstance(named, str) else named)}


def test_a_bucket_with_shared_keys_gets_keys_of_its_own_in_place(
    project: Project, admin_store: StoreAdmin, store_keys: StoreKeys
) -> None:
    name = project.env["TEST_BUCKET"]
    project.types("up", "--yes")
    admin_store._client.put_object(Bucket=name, Key="src/a", Body=b"content")
    assert named_in(admin_store.policy(name)) == {project.env["TEST_READER"]}

    project = with_made_keys(project)
    assert project.changes("preview") == {"create": 1, "update": 1}
    project.types("up", "--yes")
    assert named_in(admin_store.policy(name)) == set(MadeKeys.of(name).both)
    assert not admin_store.is_empty(name)
    assert project.changes("preview") == {}

    project.types("destroy", "--yes")
    assert not admin_store.exists(name)
    assert not set(MadeKeys.of(name).both) & (store_keys.names() or set())


def test_made_keys_come_back_where_somebody_removed_them_from_the_store(
    project: Project, store_keys: StoreKeys
) -> None:
    project = with_made_keys(project)
    made = MadeKeys.of(project.env["TEST_BUCKET"])
    project.types("up", "--yes")
    store_keys.remove(made.writer)

    project.types("refresh", "--yes")
    project.types("up", "--yes")

    assert set(made.both) <= (store_keys.names() or set())
    project.types("destroy", "--yes")


def test_keys_that_are_replaced_are_there_afterwards(project: Project, store_keys: StoreKeys) -> None:
    project = with_made_keys(project)
    made = MadeKeys.of(project.env["TEST_BUCKET"])
    project.types("up", "--yes")
    before = json.loads(project.types("stack", "output", "--show-secrets", "--json"))["secrets"]

    project.types("up", "--yes", "--replace", "urn:pulumi:test::engine::gitops-run:index:BucketKeys::keys")

    after = json.loads(project.types("stack", "output", "--show-secrets", "--json"))["secrets"]
    assert not set(before) & set(after)
    assert set(made.both) <= (store_keys.names() or set())
    project.types("destroy", "--yes")


def test_made_secrets_are_nowhere_in_the_state_in_clear(project: Project) -> None:
    project = with_made_keys(project)
    project.types("up", "--yes")

    secrets = json.loads(project.types("stack", "output", "--show-secrets", "--json"))["secrets"]
    kept = project.types("stack", "export") + "".join(
        file.read_text() for file in (project.folder.parent / "state").rglob("*") if file.is_file()
    )
    project.types("destroy", "--yes")

    assert len(secrets) == 2
    assert not [secret for secret in secrets if secret in kept]


def test_the_secret_key_is_nowhere_in_the_state_in_clear(project: Project) -> None:
    project.types("up", "--yes")

    kept = project.types("stack", "export") + "".join(
        file.read_text() for file in (project.folder.parent / "state").rglob("*") if file.is_file()
    )
    project.types("destroy", "--yes")

    assert project.env["TEST_ACCESS_KEY"] in kept
    assert project.env["TEST_SECRET_KEY"] not in kept
