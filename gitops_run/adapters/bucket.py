"""The objects of one bucket, for the save loop: list, put, delete, over connections that stay open.

Knows obstore and how it words a failure. Refuses to know what the objects mean, and to make or remove
buckets. Source: obstore 0.12 (object_store's S3 client).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from gitops_run.adapters.memory import AnswerTooLargeError, within_memory
from gitops_run.errors import GitOpsRunError, UsageError
from gitops_run.model.store import StoreAccess, StoredObject, key_problem
from gitops_run.model.store_failures import Fault, outage, refusal

if TYPE_CHECKING:
    from obstore.store import ClientConfig  # a type without a class at run time

REQUEST_TIMEOUT_S = 10.0
"""The longest that one request may take, retries included. The Lease's margin must be longer, so that
no write of a holder can land after its Lease ended."""
ATTEMPT_TIMEOUT_S = 4.0
CONNECT_TIMEOUT_S = 3.0
MAX_RETRIES = 3
MAX_PARALLEL_PUTS = 32
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


class Way(Protocol):
    """The way to a store."""

    @property
    def trouble(self) -> str:
        """Say what is known to be in the way, "" for nothing."""
        ...

    def admitting(self) -> AbstractContextManager[None]:
        """Lead to a store that began anew while inside; else what is meant for the old one fails."""
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
        """Let a store that began anew, in this one's place, be written to while inside."""
        return self._way.admitting() if self._way else nullcontext()

    async def list(self, prefix: str = "") -> tuple[StoredObject, ...]:
        """List all objects under a prefix, which is empty or ends in "/", sorted by key."""
        return await self._within_limits(self._list(prefix))

    async def put(self, key: str, content: bytes) -> str:
        """Write one object, whole or not at all. Returns its ETag without quotes: the content's MD5.

        Raises UsageError on a key that a store can't hold.
        """
        problem = key_problem(key)
        if problem:
            raise UsageError(f"{key!r} can't be stored: it {problem}", hint="rename the file")
        # A multipart upload's ETag is no MD5, and Flux's revision could not be foretold from the content.
        put = obstore.put_async(self._store, key, content, use_multipart=False)
        return _unquoted((await self._within_limits(put))["e_tag"])

    async def put_many(self, contents: Mapping[str, bytes]) -> dict[str, str]:
        """Write objects side by side. Returns each key's ETag.

        The first failure stops the rest and is raised; what was written until then stays.
        """
        etags: dict[str, str] = {}
        limiter = anyio.CapacityLimiter(MAX_PARALLEL_PUTS)
        failures: list[GitOpsRunError] = []

        async def put_one(key: str, content: bytes) -> None:
            async with limiter:
                try:
                    etags[key] = await self.put(key, content)
                except GitOpsRunError as error:
                    failures.append(error)
                    group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for key, content in contents.items():
                group.start_soon(put_one, key, content)
        if failures:
            raise failures[0]
        return etags

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects. One that is gone already is no error."""
        remaining = list(keys)
        while remaining:
            batch, remaining = remaining[:DELETE_BATCH], remaining[DELETE_BATCH:]
            await self._within_limits(obstore.delete_async(self._store, batch))

    async def _list(self, prefix: str) -> tuple[StoredObject, ...]:
        found = [
            StoredObject(key=meta["path"], etag=_unquoted(meta["e_tag"]), size=meta["size"])
            async for page in obstore.list(self._store, prefix or None)
            for meta in page
        ]
        return tuple(sorted(found, key=lambda stored: stored.key.encode()))

    async def _within_limits(self, request: Awaitable[_Answer]) -> _Answer:
        try:
            with anyio.fail_after(REQUEST_TIMEOUT_S):
                return await within_memory(request)
        except TimeoutError as error:
            raise self._outage(Fault.TIMED_OUT) from error
        except AnswerTooLargeError as error:
            raise self._outage(Fault.ENDLESS) from error
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
            retry_config={
                "max_retries": MAX_RETRIES,
                "retry_timeout": timedelta(seconds=REQUEST_TIMEOUT_S - ATTEMPT_TIMEOUT_S),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=50),
                    "max_backoff": timedelta(seconds=1),
                    "base": 2,
                },
            },
        )
    except (BaseError, ValueError) as error:
        raise UsageError(
            f"the CA certificate for {access.place} can't be read: it is not PEM",
            hint="set caFile to a file with '-----BEGIN CERTIFICATE-----'",
        ) from error


def _unquoted(etag: str | None) -> str:
    return (etag or "").strip('"')
