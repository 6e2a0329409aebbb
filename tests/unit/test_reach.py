"""A running sync whose writing key `up` replaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext

import anyio
import pytest

from gitops_run.adapters.cluster.sessions import WriterAccess
from gitops_run.adapters.store.objects import always
from gitops_run.api.reach import NEW_KEY_WITHIN_S, RenewedStore
from gitops_run.errors import BackendError, TransientError
from gitops_run.model.store.objects import StoreAccess, StoredObject
from gitops_run.model.store.permit import Permit
from tests.virtual_time import scenario


def writer(key: str) -> WriterAccess:
    access = StoreAccess(endpoint="https://s3:9000", region="r", access_key=key, secret_key="hunter2")
    return WriterAccess(access=access, bucket="b")


class Guarded:
    """A store that lets one key in."""

    def __init__(self, key: str, admitted: list[str]) -> None:
        self._key = key
        self._admitted = admitted

    def admitting(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def list(self, prefix: str = "") -> tuple[StoredObject, ...]:
        self._ask()
        return ()

    async def put_many(
        self, objects: Mapping[str, bytes], permit: Permit, over: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        await permit()
        self._ask()
        return dict.fromkeys(objects, "etag")

    async def heeds_conditions(self, key: str, content: bytes, permit: Permit) -> bool:
        del key, content
        await permit()
        self._ask()
        return True

    async def delete(self, keys: Iterable[str], permit: Permit) -> None:
        await permit()
        self._ask()

    def _ask(self) -> None:
        if self._key not in self._admitted:
            raise BackendError(f"refuses {self._key}")


class Bucket:
    """A bucket, and the Secret with its key."""

    def __init__(self) -> None:
        self.admitted = ["old"]
        self.secret = writer("old")

    async def read(self) -> WriterAccess:
        return self.secret

    def open(self) -> RenewedStore:
        return RenewedStore(
            self.secret, self.read, lambda known: Guarded(known.access.access_key, self.admitted)
        )


@scenario
async def test_a_key_that_is_replaced_a_moment_after_its_refusal_is_taken_for_the_next_attempt() -> None:
    bucket = Bucket()
    store = bucket.open()
    bucket.admitted[:] = ["new"]

    async def write_secret() -> None:
        await anyio.sleep(NEW_KEY_WITHIN_S / 2)
        bucket.secret = writer("new")

    async with anyio.create_task_group() as group:
        group.start_soon(write_secret)
        with pytest.raises(TransientError, match="was replaced"):
            await store.put_many({"src/a": b"a"}, always)

    assert await store.put_many({"src/a": b"a"}, always) == {"src/a": "etag"}
    assert await store.list() == ()
    await store.delete(["src/a"], always)


@scenario
async def test_a_key_that_is_refused_and_stays_is_reported_as_refused() -> None:
    bucket = Bucket()
    store = bucket.open()
    bucket.admitted.clear()

    with pytest.raises(BackendError, match="refuses old") as refused:
        await store.list()

    assert not isinstance(refused.value, TransientError)
    assert anyio.current_time() >= NEW_KEY_WITHIN_S
