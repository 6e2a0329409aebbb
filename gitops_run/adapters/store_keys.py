"""Accounts of an S3 store, by whichever admin API it has: versitygw's or MinIO's.

The store is asked which one it has by a request for its accounts, which changes nothing and holds no secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any, Protocol

from gitops_run.adapters.versitygw_keys import VersitygwKeys
from gitops_run.model.store import StoreAccess
from gitops_run.model.store_failures import cannot_make_keys


class _Accounts(Protocol):
    """One admin API."""

    def names(self) -> frozenset[str] | None: ...
    def make(self, access_key: str, secret_key: str, policy: Mapping[str, Any]) -> None: ...
    def remove(self, access_key: str) -> None: ...


class StoreKeys:
    """Administer the accounts of one store. Use `open_keys`, which closes what this keeps open."""

    def __init__(self, access: StoreAccess, apis: tuple[_Accounts, ...]) -> None:
        self._access = access
        self._apis = apis

    def names(self) -> frozenset[str] | None:
        """List the access keys of all accounts; None where the store has no admin API that is known here.

        What is left of an account that was removed halfway counts as one. Raises BackendError where the key
        that asks is refused, TransientError where the store is busy.
        """
        for api in self._apis:
            names = api.names()
            if names is not None:
                self._apis = (api,)
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
        if len(self._apis) != 1 and self.names() is None:
            raise cannot_make_keys(self._access)
        return self._apis[0]


@contextmanager
def open_keys(access: StoreAccess) -> Iterator[StoreKeys]:
    """Open the way to a store's accounts, and close it at the end.

    Raises UsageError on a CA certificate that is not PEM.
    """
    with ExitStack() as stack:
        apis: tuple[_Accounts, ...] = (VersitygwKeys(access, stack),)
        if find_spec("minio"):
            from gitops_run.adapters.minio_keys import MinioKeys  # noqa: PLC0415 - an extra

            apis = (*apis, MinioKeys(access, stack))
        yield StoreKeys(access, apis)
