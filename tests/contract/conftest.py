"""The sandbox's S3 store, its three accounts, and buckets of one's own in it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from gitops_run.adapters.store_admin import StoreAdmin, open_store
from gitops_run.model.store import StoreAccess
from gitops_run.model.store_policy import bucket_policy
from gitops_run.sandbox.state import Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAccounts:
    admin: StoreAccess
    reader: StoreAccess
    writer: StoreAccess


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def accounts(sandbox: Sandbox) -> StoreAccounts:
    settings = yaml.safe_load(sandbox.settings.read_text())

    def access(access_key: str, secret_key: str) -> StoreAccess:
        return StoreAccess(
            endpoint=settings["endpoint"],
            region=settings["region"],
            access_key=settings[access_key],
            secret_key=settings[secret_key],
            ca_cert=Path(settings["caFile"]).read_text(),
        )

    return StoreAccounts(
        admin=access("accessKey", "secretKey"),
        reader=access("readerAccessKey", "readerSecretKey"),
        writer=access("writerAccessKey", "writerSecretKey"),
    )


@pytest.fixture(scope="session")
def admin_store(accounts: StoreAccounts) -> Iterator[StoreAdmin]:
    with open_store(accounts.admin) as store:
        yield store


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
