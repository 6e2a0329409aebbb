"""The way to a session's bucket: straight to its endpoint, or through the cluster to its pod."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

import anyio

from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.forward import LOOPBACK, forward_to_pod
from gitops_run.adapters.cluster.sessions import WriterAccess, read_writer_access
from gitops_run.adapters.store.objects import BucketStore
from gitops_run.errors import BackendError, TransientError
from gitops_run.flows.ports import SteadyStore, Store, StoreWatch
from gitops_run.model.store.objects import StoredObject
from gitops_run.model.store.permit import Permit

NEW_KEY_WITHIN_S: Final = 5.0
"""`up` closes the bucket to an old key first and writes the new one into its Secret then."""
NEW_KEY_CHECK_S: Final = 0.5

_Answer = TypeVar("_Answer")


class RenewedStore:
    """A bucket whose writing key `up` may replace while it is in use.

    Nothing is repeated here: the loop does that, after it has looked at its Lease and at the store.
    """

    def __init__(
        self,
        writer: WriterAccess,
        read: Callable[[], Awaitable[WriterAccess]],
        make: Callable[[WriterAccess], Store] = lambda writer: BucketStore(writer.access, writer.bucket),
    ) -> None:
        """read: reads the present key. make: opens a bucket with a key."""
        self._writer = writer
        self._read = read
        self._make = make
        self._store = make(writer)

    def admitting(self) -> AbstractContextManager[None]:
        """Allow writes to a replaced, empty store while inside."""
        return self._store.admitting()

    async def list(self, prefix: str = "") -> tuple[StoredObject, ...]:
        """List objects."""
        return await self._unless_replaced(self._store.list(prefix))

    async def put_many(
        self, objects: Mapping[str, bytes], permit: Permit, over: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Write objects and return their ETags by key. over: as Store has it."""
        return await self._unless_replaced(self._store.put_many(objects, permit, over))

    async def heeds_conditions(self, key: str, content: bytes, permit: Permit) -> bool:
        """Report whether the store heeds conditions. key, content: as Store has it."""
        return await self._unless_replaced(self._store.heeds_conditions(key, content, permit))

    async def delete(self, keys: Iterable[str], permit: Permit) -> None:
        """Remove objects."""
        await self._unless_replaced(self._store.delete(keys, permit))

    async def _unless_replaced(self, request: Awaitable[_Answer]) -> _Answer:
        """Wait for a request. Raises TransientError where it was refused and there is another key now."""
        try:
            return await request
        except TransientError:
            raise
        except BackendError as refused:
            if not await self._has_another_key():
                raise
            raise TransientError(
                "the key that writes this session's bucket was replaced",
                hint="nothing to do: the save is retried with the new key",
            ) from refused

    async def _has_another_key(self) -> bool:
        """Look whether the key becomes another soon, and take it."""
        with anyio.move_on_after(NEW_KEY_WITHIN_S):
            while True:
                writer = await self._read()
                if writer != self._writer:
                    self._writer = writer
                    self._store = self._make(writer)
                    return True
                await anyio.sleep(NEW_KEY_CHECK_S)
        return False


@asynccontextmanager
async def reached_store(connection: Connection, namespace: str) -> AsyncIterator[tuple[Store, StoreWatch]]:
    """Open a session's bucket with the writer's key, and say what watches over whatever serves it.

    Through the cluster, TLS ends in the pod all the same: its certificate is good for loopback too.
    """
    writer = await read_writer_access(connection, namespace)
    if writer.pod is None:
        yield RenewedStore(writer, partial(read_writer_access, connection, namespace)), SteadyStore()
        return
    async with forward_to_pod(connection, writer.pod) as forward:
        access = replace(
            writer.access,
            endpoint=f"https://{LOOPBACK}:{forward.port}",
            name=f"the bucket server {writer.pod}",
        )
        yield BucketStore(access, writer.bucket, forward), forward
