"""A session's own CA, the certificate that it signs, and the keys of three accounts: made, and not kept here.

The CA's own key ends with the function that makes it.
"""

from __future__ import annotations

import hashlib
import secrets
import string
from collections.abc import Sequence
from datetime import datetime

from gitops_run.adapters.machine.certificates import make_authority, sign
from gitops_run.plugins.gitops_run.credentials import FINGERPRINT, LIFETIME, UNTIL

_ACCESS_KEY_LENGTH = 20
_SECRET_KEY_LENGTH = 40


def make(names: Sequence[str], now: datetime) -> dict[str, str]:
    """Make all of it. names: of the server, DNS names or addresses."""
    until = now + LIFETIME
    authority = make_authority("gitops-run bucket authority", (now, until))
    server = sign(authority, "gitops-run bucket", (now, until), server_names=names)
    certificate = server.certificate_pem
    return {
        "caCert": authority.certificate_pem,
        "certificate": certificate,
        "privateKey": server.key_pem,
        **_make_account("root"),
        **_make_account("reader"),
        **_make_account("writer"),
        UNTIL: until.isoformat(timespec="seconds"),
        FINGERPRINT: hashlib.sha256(certificate.encode()).hexdigest(),
    }


def _make_account(role: str) -> dict[str, str]:
    return {
        f"{role}AccessKey": _random(_ACCESS_KEY_LENGTH, string.ascii_uppercase + string.digits),
        f"{role}SecretKey": _random(_SECRET_KEY_LENGTH, string.ascii_letters + string.digits),
    }


def _random(length: int, alphabet: str) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
