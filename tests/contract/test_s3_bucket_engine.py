"""The plugin gitops-run under Pulumi's own engine, as `pulumi up` typed by hand uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import gitops_run
from gitops_run.adapters.store_admin import StoreAdmin
from gitops_run.sandbox.state import Sandbox
from tests.contract.conftest import StoreAccounts

FOLDER = Path(gitops_run.__file__).parent / "plugins/gitops_run/bin"
PATIENCE_S = 60
PROGRAM = """
import os
import pulumi
from gitops_run.declare.s3_bucket import S3Bucket

bucket = S3Bucket(
    "bucket",
    bucket=os.environ["TEST_BUCKET"],
    endpoint=os.environ["TEST_ENDPOINT"],
    region=os.environ["TEST_REGION"],
    ca_cert=os.environ["TEST_CA"],
    access_key=os.environ["TEST_ACCESS_KEY"],
    secret_key=os.environ["TEST_SECRET_KEY"],
    force_destroy=True,
    reader_access_key=os.environ["TEST_READER"],
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


def test_the_secret_key_is_nowhere_in_the_state_in_clear(project: Project) -> None:
    project.types("up", "--yes")

    kept = project.types("stack", "export") + "".join(
        file.read_text() for file in (project.folder.parent / "state").rglob("*") if file.is_file()
    )
    project.types("destroy", "--yes")

    assert project.env["TEST_ACCESS_KEY"] in kept
    assert project.env["TEST_SECRET_KEY"] not in kept
