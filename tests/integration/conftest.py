"""One session that the tests of a module share; each of them syncs it with a directory of its own content."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitops_run.adapters.store.admin import open_store
from gitops_run.adapters.store.keys import StoreKeys, open_keys
from gitops_run.model.store.objects import StoreAccess
from gitops_run.sandbox.state import Sandbox
from tests.conftest import DEVELOPER, EXAMPLES
from tests.integration.own_clusters import own_sandbox_of
from tests.people import Person, Running


@dataclass(frozen=True)
class SharedSession:
    """A session that is up. root: its directory, which every test finds as the example has it."""

    name: str
    root: Path
    owner: Person

    @property
    def namespace(self) -> str:
        return f"run-{self.name}"

    def source(self) -> dict[str, Any]:
        return self._flux("buckets.source.toolkit.fluxcd.io")

    def applier(self) -> dict[str, Any]:
        return self._flux("kustomizations.kustomize.toolkit.fluxcd.io")

    def _flux(self, kind: str) -> dict[str, Any]:
        return next(item for item in self.owner.get(kind, self.namespace))

    def in_root(self) -> Person:
        return Person(env=self.owner.env, cwd=self.root)

    @contextmanager
    def syncing(self) -> Iterator[Running]:
        """Sync the root, once its first save is applied: tests before this one may have left more objects."""
        with self.in_root().leaves_running("sync", self.name, "--allow-prune") as sync:
            sync.tells("save_applied")
            yield sync

    @contextmanager
    def signalled(self, sent: str, step: str, when: str) -> Iterator[Running]:
        """Run a sync that sends itself a signal before or after a step of its first save."""
        signalled = [sys.executable, "-m", "tests.signalled", sent, step, when]
        path = f"{EXAMPLES.parent}:{os.environ.get('PYTHONPATH', '')}"
        process = subprocess.Popen(
            [*signalled, "sync", self.name, "--allow-prune", "-o", "json"],
            env={**self.owner.env, "PYTHONPATH": path},
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        running = Running(process)
        try:
            yield running
        finally:
            process.kill()
            running.close()


@pytest.fixture(scope="module")
def own_sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A control plane that no other module uses, named after the module."""
    with own_sandbox_of(request.path.stem.removeprefix("test_").replace("_", "-")) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def _module_session(
    request: pytest.FixtureRequest, admin: Person, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedSession]:
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_").replace("_", "-")
    root = tmp_path_factory.mktemp(name) / "plain"
    shutil.copytree(EXAMPLES / "plain", root)
    admin.succeeds("up", name, str(root), "--root", str(root), "--owner", DEVELOPER)
    yield SharedSession(name, root, admin)
    admin.succeeds("down", name)


@pytest.fixture
def session(_module_session: SharedSession) -> SharedSession:
    shutil.rmtree(_module_session.root)
    shutil.copytree(EXAMPLES / "plain", _module_session.root)
    return _module_session


@pytest.fixture(scope="session")
def admin_access(sandbox: Sandbox) -> StoreAccess:
    settings = yaml.safe_load(sandbox.settings.read_text())
    return StoreAccess(
        endpoint=settings["endpoint"],
        region=settings["region"],
        access_key=settings["accessKey"],
        secret_key=settings["secretKey"],
        ca_cert=sandbox.ca.read_text(),
    )


@pytest.fixture(scope="session")
def store_keys(admin_access: StoreAccess) -> Iterator[StoreKeys]:
    with open_keys(admin_access) as keys:
        yield keys


@pytest.fixture
def states(sandbox: Sandbox, admin_access: StoreAccess) -> Iterator[dict[str, str]]:
    """A bucket for Pulumi's state in the sandbox's store, and the environment that opens it."""
    bucket = f"states-{uuid.uuid4().hex[:8]}"
    options = f"endpoint={admin_access.endpoint}&s3ForcePathStyle=true&region={admin_access.region}"
    with open_store(admin_access) as store:
        store.make(bucket)
        yield {
            "PULUMI_BACKEND_URL": f"s3://{bucket}?{options}",
            "AWS_ACCESS_KEY_ID": admin_access.access_key,
            "AWS_SECRET_ACCESS_KEY": admin_access.secret_key,
            "AWS_CA_BUNDLE": str(sandbox.ca),
        }
        store.empty(bucket)
        store.remove(bucket)
