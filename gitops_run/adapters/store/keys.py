"""Accounts of an S3 store, by whichever admin API it has: versitygw's or MinIO's.

The store is asked which one it has by a request for its accounts, which changes nothing and holds no secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any, Protocol

from gitops_run.adapters.store.versitygw_keys import VersitygwKeys
from gitops_run.model.store.failures import cannot_make_keys
from gitops_run.model.store.objects import StoreAccess


class _Accounts(Protocol):
    """One admin API."""

    def names(self) -> frozenset[str] | None: ...
    def make(self, access_key: str, secret_key: str, policy: Mapping[str, Any]) -> None: ...
    def remove(self, access_key: str) -> None: ...


class StoreKeys:
    """Administer the accounts of one store. Use `open_keys`, which closes what this keeps open."""

    def __init__(self, access: StoreAccess, stack: ExitStack) -> None:
        self._access = access
        self._stack = stack
        self._known: _Accounts | None = None

    def names(self) -> frozenset[str] | None:
        """List the access keys of all accounts; None where the store has no admin API that is known here.

        What is left of an account that was removed halfway counts as one. Raises UsageError where the key
        that asks may not administer accounts, BackendError where it is refused, TransientError where the
        store is busy.
        """
        for api in [self._known] if self._known else _apis(self._access, self._stack):
            names = api.names()
            if names is not None:
                self._known = api
                return names
        return None

    def make(self, access_key: str, secret_key: str, policy: Mapping[str, Any]) -> None:
        """Make an account, or give the one of that name this secret.

        policy: what it may do, where the store doesn't take that from the bucket's policy. Raises UsageError
        where the store makes no accounts.
        """
        self._api().make(access_key, secret_key, policy)

    def remove(self, access_key: str) -> None:
        """Remove an account. One that is gone already is fine. Raises as make."""
        self._api().remove(access_key)

    def _api(self) -> _Accounts:
        if self._known is None:
            self.names()
        if self._known is None:
            raise cannot_make_keys(self._access)
        return self._known


@contextmanager
def open_keys(access: StoreAccess) -> Iterator[StoreKeys]:
    """Open the way to a store's accounts, and close it at the end.

    Using it raises UsageError on a CA certificate that is not PEM.
    """
    with ExitStack() as stack:
        yield StoreKeys(access, stack)


def _apis(access: StoreAccess, stack: ExitStack) -> Iterator[_Accounts]:
    yield VersitygwKeys(access, stack)
    if find_spec("minio"):
        from gitops_run.adapters.store.minio_keys import MinioKeys  # noqa: PLC0415 - an extra, and 150 ms

        yield MinioKeys(access, stack)
