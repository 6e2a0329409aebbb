"""Accounts of MinIO, by its admin API, whose secrets travel encrypted: the library `minio` speaks it.

An account there may do what the policy of its own name says: MinIO ignores accounts that the policy of a
bucket names. This module needs the extra minio. Source: minio 7.2 (minioadmin.py) and a server of 2026-02.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any, Final

from botocore.utils import get_environ_proxies
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException
from minio.minioadmin import MinioAdmin
from urllib3 import PoolManager, ProxyManager, Retry, Timeout
from urllib3.exceptions import HTTPError, MaxRetryError, SSLError
from urllib3.util import parse_url

from gitops_run.adapters.store.admin import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, ca_file
from gitops_run.errors import NotFound
from gitops_run.model.store.failures import Fault, outage, refusal
from gitops_run.model.store.objects import StoreAccess

_CODE = re.compile(r'"Code":"(\w+)"')
"""MinIO's admin API answers in JSON, S3 in XML: a refusal without this is no word of that API."""
_DENIED = "AccessDenied"
_ABSENT: Final = frozenset({"XMinioAdminNoSuchUser", "XMinioAdminNoSuchPolicy"})


class MinioKeys:
    """Administer the accounts of one MinIO."""

    def __init__(self, access: StoreAccess, stack: ExitStack) -> None:
        """Raise UsageError on a CA certificate that is not PEM. stack: closes what this keeps open."""
        self._access = access
        pool = _pool(access, ca_file(access, stack))
        stack.callback(pool.clear)
        self._admin = MinioAdmin(
            endpoint=str(parse_url(access.endpoint).netloc),
            credentials=StaticProvider(access.access_key, access.secret_key),
            region=access.region,
            secure=access.endpoint.startswith("https://"),
            http_client=pool,
        )

    def names(self) -> frozenset[str] | None:
        """List the names of all accounts and policies; None where the store has no such API.

        Raises UsageError where the key that asks may not administer accounts, BackendError where it is
        refused, TransientError where the store is busy.
        """
        try:
            users, policies = self._admin.user_list(), self._admin.policy_list()
        except MinioAdminException as error:
            if not _CODE.search(str(error)):
                return None
            raise self._refusal(error) from error
        except HTTPError as error:
            raise self._outage(error) from error
        return frozenset({*json.loads(users), *json.loads(policies)})

    def make(self, access_key: str, secret_key: str, policy: Mapping[str, Any]) -> None:
        """Make an account that may do what the policy says, or give the one of that name this secret."""
        self._do(lambda: self._admin.policy_add(access_key, policy=dict(policy)))
        self._do(lambda: self._admin.user_add(access_key, secret_key))
        self._do(lambda: self._admin.policy_set(access_key, user=access_key))

    def remove(self, access_key: str) -> None:
        """Remove an account and its policy. What is gone already is fine."""
        with suppress(NotFound):
            self._do(lambda: self._admin.user_remove(access_key))
        with suppress(NotFound):
            self._do(lambda: self._admin.policy_remove(access_key))

    def _do(self, request: Callable[[], object]) -> None:
        try:
            request()
        except MinioAdminException as error:
            raise self._refusal(error) from error
        except HTTPError as error:
            raise self._outage(error) from error

    def _refusal(self, error: MinioAdminException) -> Exception:
        found = _CODE.search(str(error))
        code = found.group(1) if found else "no code given"
        if code in _ABSENT:
            return NotFound(f"{self._access.place} has no such account")
        return refusal("XAdminAccessDenied" if code == _DENIED else code, access=self._access, bucket="")

    def _outage(self, error: HTTPError) -> Exception:
        cause = error.reason if isinstance(error, MaxRetryError) else error
        fault = Fault.UNTRUSTED if isinstance(cause, SSLError) else Fault.BROKEN
        return outage(fault, access=self._access)


def _pool(access: StoreAccess, ca: str | None) -> PoolManager:
    """Open connections as boto3 does: with the same limits, and through the proxy that it would take."""
    options: dict[str, Any] = {
        "ca_certs": ca,
        "cert_reqs": "CERT_REQUIRED",
        "timeout": Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
        "retries": Retry(total=1),
    }
    proxy = get_environ_proxies(access.endpoint).get(access.endpoint.partition(":")[0])
    return ProxyManager(proxy, **options) if proxy else PoolManager(**options)
