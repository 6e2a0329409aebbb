"""The objects of one bucket, for the save loop: list, put, delete, over connections that stay open.

This module knows obstore and how it words a failure. It doesn't know what the objects mean, and doesn't
create or remove buckets. Source: obstore 0.12 (object_store's S3 client).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio
import obstore
from obstore.exceptions import BaseError, NotFoundError, PreconditionError
from obstore.store import S3Store

from gitops_run.adapters.store.memory import AnswerTooLargeError, within_memory
from gitops_run.errors import BackendError, GitOpsRunError, TransientError, UsageError, ungrouped
from gitops_run.model.store.failures import Fault, outage, refusal
from gitops_run.model.store.objects import StoreAccess, StoredObject, key_problem
from gitops_run.model.store.permit import Permit

if TYPE_CHECKING:
    from obstore import PutMode  # types without classes at run time
    from obstore.store import ClientConfig

REQUEST_TIMEOUT_S = 10.0
"""The longest that one request may take, with its retries and its wait for a permit."""
ATTEMPT_TIMEOUT_S = 4.0
"""The longest that one HTTP request may take. The Lease's margin must be longer than either, so that no write
of a holder can land after its Lease ended."""
CONNECT_TIMEOUT_S = 3.0
BACKOFF_S = (0.05, 0.2, 0.8)
"""How long to wait before each retry."""
NO_ETAG = "0" * 32
"""What no content is known to have as its MD5."""
MAX_PARALLEL_PUTS = 32
"""One wave of puts: no more of them have a permit at a time."""
DELETE_BATCH = 1000
"""What one DeleteObjects request may name."""

_CODES = tuple(
    re.compile(pattern) for pattern in (r"<Code>(\w+)</Code>", r"\(code: (\w+)\)", r"status code: (\d{3})")
)
"""Where the answer's code stands in obstore's text: in a body, of one key of a deletion, or nothing but a
status. First match wins."""
_FAULT_PATTERNS = (
    ("InvalidCertificate", Fault.UNTRUSTED),
    ("ConnectionRefused", Fault.REFUSED),
    ("dns error", Fault.UNKNOWN_HOST),
    ("kind: Timeout", Fault.TIMED_OUT),
    ("HttpError", Fault.BROKEN),
)
"""obstore gives only text. First match wins."""

_Answer = TypeVar("_Answer")


async def always() -> None:
    """Permit a request whatever happens: where no Lease is held, nobody else writes."""


class Way(Protocol):
    """The way to a store."""

    @property
    def trouble(self) -> str:
        """Describe what is known to be in the way, "" for nothing."""
        ...

    def admitting(self) -> AbstractContextManager[None]:
        """Connect to a replaced, empty store while inside; otherwise requests meant for the old one fail."""
        ...


class BucketStore:
    """Keep the connections to one bucket."""

    def __init__(self, access: StoreAccess, bucket: str, way: Way | None = None) -> None:
        """Raise UsageError where the CA certificate is none. Nothing is asked yet.

        way: what leads to the store, where that is not the endpoint itself.
        """
        self._way = way
        self._access = access
        self._bucket = bucket
        self._store = _open(access, bucket)

    def admitting(self) -> AbstractContextManager[None]:
        """Allow writes to an empty store that has replaced this one while inside."""
        return self._way.admitting() if self._way else nullcontext()

    async def list(self, prefix: str = "") -> tuple[StoredObject, ...]:
        """List all objects under a prefix, which is empty or ends in "/", sorted by key."""
        return await self._answered(lambda: self._list(prefix))

    async def put(self, key: str, content: bytes, permit: Permit = always, over: str = "") -> str:
        """Write one object, whole or not at all. Returns its ETag without quotes: the content's MD5.

        permit: asked before each attempt. over: the ETag of the object that is to be replaced; where the
        store holds another one or none, nothing is written and "" is returned. A store that ignores
        conditions writes all the same. Raises UsageError on a key that a store can't hold.
        """
        problem = key_problem(key)
        if problem:
            raise UsageError(f"{key!r} can't be stored: it {problem}", hint="rename the file")
        mode: PutMode = {"e_tag": f'"{over}"'} if over else "overwrite"

        async def put() -> str:
            try:
                # A multipart upload's ETag is no MD5, and Flux's revision could not be foretold from it.
                result = await obstore.put_async(self._store, key, content, use_multipart=False, mode=mode)
            except (PreconditionError, NotFoundError):
                if not over:
                    raise
                return ""
            return _unquoted(result["e_tag"])

        return await self._answered(put, permit)

    async def put_many(
        self, contents: Mapping[str, bytes], permit: Permit = always, over: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Write objects, a wave at a time. Returns each key's ETag, but for those that over kept back.

        permit: asked before each attempt to put one. over: for `put`, by key. The first failure stops the
        rest and is raised; what was written until then stays.
        """
        known = over or {}
        etags: dict[str, str] = {}
        waiting = iter(contents.items())

        async def put_in_turn() -> None:
            for key, content in waiting:
                if etag := await self.put(key, content, permit, known.get(key, "")):
                    etags[key] = etag

        with ungrouped():
            async with anyio.create_task_group() as workers:
                for _ in range(min(MAX_PARALLEL_PUTS, len(contents))):
                    workers.start_soon(put_in_turn)
        return etags

    async def heeds_conditions(self, key: str, content: bytes, permit: Permit = always) -> bool:
        """Report whether the store heeds the conditions of `put`, by one that nothing meets.

        key, content: of an object that the store holds, so that nothing changes where it ignores them.
        """
        try:
            return not await self.put(key, content, permit, NO_ETAG)
        except TransientError:
            raise
        except BackendError:
            return False  # it knows no such request

    async def delete(self, keys: Iterable[str], permit: Permit = always) -> None:
        """Delete objects. One that is gone already is no error. permit: asked before each attempt."""
        remaining = list(keys)
        while remaining:
            batch, remaining = remaining[:DELETE_BATCH], remaining[DELETE_BATCH:]
            await self._answered(partial(obstore.delete_async, self._store, batch), permit)

    async def _list(self, prefix: str) -> tuple[StoredObject, ...]:
        found = [
            StoredObject(key=meta["path"], etag=_unquoted(meta["e_tag"]), size=meta["size"])
            async for page in obstore.list(self._store, prefix or None)
            for meta in page
        ]
        return tuple(sorted(found, key=lambda stored: stored.key.encode()))

    async def _answered(self, request: Callable[[], Awaitable[_Answer]], permit: Permit = always) -> _Answer:
        """Make a request, and again after a failure that may pass, each time with a permit.

        An answer without an end is asked for once: each attempt would take as much memory again.
        """
        try:
            with anyio.move_on_after(REQUEST_TIMEOUT_S):
                for wait_s in BACKOFF_S:
                    try:
                        return await self._attempted(request, permit)
                    except TransientError:
                        await anyio.sleep(wait_s)
                return await self._attempted(request, permit)
        except AnswerTooLargeError as error:
            raise self._outage(Fault.ENDLESS) from error
        raise self._outage(Fault.TIMED_OUT)

    async def _attempted(self, request: Callable[[], Awaitable[_Answer]], permit: Permit) -> _Answer:
        await permit()
        try:
            return await within_memory(request())
        except (BaseError, OSError) as error:
            raise self._translate(str(error)) from None

    def _translate(self, text: str) -> GitOpsRunError:
        for pattern, fault in _FAULT_PATTERNS:
            if pattern in text:
                return self._outage(fault)
        codes = [found.group(1) for pattern in _CODES if (found := pattern.search(text))]
        return refusal(codes[0] if codes else "no code given", access=self._access, bucket=self._bucket)

    def _outage(self, fault: Fault) -> GitOpsRunError:
        error, trouble = outage(fault, access=self._access), self._way.trouble if self._way else ""
        return type(error)(f"{error.message}: {trouble}", hint=error.hint) if trouble else error


def _open(access: StoreAccess, bucket: str) -> S3Store:
    options: ClientConfig = {
        "timeout": timedelta(seconds=ATTEMPT_TIMEOUT_S),
        "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
        "allow_http": access.endpoint.startswith("http://"),
    }
    if access.ca_cert:
        options["root_certificate"] = access.ca_cert
    try:
        return S3Store(
            bucket,
            endpoint=access.endpoint or None,
            region=access.region,
            access_key_id=access.access_key,
            secret_access_key=access.secret_key,
            virtual_hosted_style_request=not access.endpoint,
            client_options=options,
            # Every retry needs a permit, so obstore must not retry on its own.
            retry_config={"max_retries": 0, "retry_timeout": timedelta(0)},
        )
    except (BaseError, ValueError) as error:
        raise UsageError(
            f"the CA certificate for {access.place} can't be read: it is not PEM",
            hint="set caFile to a file with '-----BEGIN CERTIFICATE-----'",
        ) from error


def _unquoted(etag: str | None) -> str:
    return (etag or "").strip('"')
