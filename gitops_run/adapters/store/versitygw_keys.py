"""Accounts of versitygw, by its admin API: signed PATCH requests on paths next to S3's own.

What an account may do is written into the policy of the bucket. Source: versitygw 1.8, s3api/admin-router.go
and s3api/controllers/admin.go.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from gitops_run.adapters.store.admin import (
    ANSWER_BYTES_MAX,
    CONNECT_TIMEOUT_S,
    READ_TIMEOUT_S,
    ca_file,
    fault_of,
)
from gitops_run.model.store.failures import Fault, outage, refusal
from gitops_run.model.store.objects import StoreAccess

_ACCESS = re.compile(r"<Access>([^<]*)</Access>")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_EXISTS = "XAdminUserExists"
_KEY_TROUBLE = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "RequestTimeTooSkewed",
        "AuthorizationHeaderMalformed",
        "XAdminAccessDenied",
    }
)
"""Answers that say something about the key that asks. Every other refusal says that there is no such API."""


class VersitygwKeys:
    """Administer the accounts of one versitygw."""

    def __init__(self, access: StoreAccess, stack: ExitStack) -> None:
        """Raise UsageError on a CA certificate that is not PEM. stack: closes what this keeps open."""
        self._access = access
        self._session = URLLib3Session(
            verify=ca_file(access, stack) or True,  # type: ignore[arg-type] # a path is fine
            proxies=get_environ_proxies(access.endpoint),
            timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),  # type: ignore[arg-type] # as botocore passes it
        )
        stack.callback(self._session.close)

    def names(self) -> frozenset[str] | None:
        """List the access keys of all accounts; None where the store has no such API.

        Raises UsageError where the key that asks may not administer accounts, BackendError where it is
        refused, TransientError where the store is busy.
        """
        status, text = self._ask("list-users")
        if status == 200:
            return frozenset(_ACCESS.findall(text))
        code = _code(status, text)
        if code in _KEY_TROUBLE or (status >= 500 and status != 501):
            raise refusal(code, access=self._access, bucket="")
        return None

    def make(self, access_key: str, secret_key: str, policy: Mapping[str, Any]) -> None:
        """Make an account, or give the one of that name this secret.

        policy: of no use here, where an account may do what the policy of a bucket grants it.
        """
        del policy
        status, text = self._ask("create-user", body=_account(access_key, secret_key))
        if status == 409 and _code(status, text) == _EXISTS:
            status, text = self._ask("update-user", access_key, body=_changes(secret_key))
        self._expect_done(status, text)

    def remove(self, access_key: str) -> None:
        """Remove an account. One that is gone already is fine."""
        self._expect_done(*self._ask("delete-user", access_key))

    def _expect_done(self, status: int, text: str) -> None:
        if status not in {200, 201}:
            raise refusal(_code(status, text), access=self._access, bucket="")

    def _ask(self, action: str, access_key: str = "", *, body: str = "") -> tuple[int, str]:
        """Send one signed request. Returns the status and the answer's text."""
        query = f"?access={quote(access_key, safe='')}" if access_key else ""
        content = body.encode()
        request = AWSRequest(
            method="PATCH",
            url=f"{self._access.endpoint.rstrip('/')}/{action}{query}",
            data=content,
            headers={"X-Amz-Content-SHA256": hashlib.sha256(content).hexdigest()},
            stream_output=True,
        )
        keys = Credentials(self._access.access_key, self._access.secret_key)
        SigV4Auth(keys, "s3", self._access.region).add_auth(request)
        try:
            answer = self._session.send(request.prepare())
            text = answer.raw.read(ANSWER_BYTES_MAX + 1)  # an account takes about 200 bytes in a list
            answer.raw.close()
        except BotoCoreError as error:
            raise outage(fault_of(error), access=self._access) from error
        except HTTPError as error:
            raise outage(Fault.BROKEN, access=self._access) from error
        if len(text) > ANSWER_BYTES_MAX:
            raise outage(Fault.ENDLESS, access=self._access)
        return answer.status_code, text.decode(errors="replace")


def _account(access_key: str, secret_key: str) -> str:
    return (
        f"<Account><Access>{escape(access_key)}</Access><Secret>{escape(secret_key)}</Secret>"
        "<Role>user</Role><UserID>0</UserID><GroupID>0</GroupID><ProjectID>0</ProjectID></Account>"
    )


def _changes(secret_key: str) -> str:
    return f"<MutableProps><Secret>{escape(secret_key)}</Secret><Role>user</Role></MutableProps>"


def _code(status: int, text: str) -> str:
    found = _CODE.search(text)
    return found.group(1) if found else str(status)
