"""The resource ServerCredentials: what a session's own S3 server serves with, and who may come.

A CA, a certificate that it signed, and three accounts, made once and kept as secrets in the stack. The CA's
key is thrown away when the certificate is signed: there is nothing else for it to sign.

A certificate that comes near its end is replaced, with all else, by the next `up`: the server's pod starts
again with it, and Flux and the loop find the new CA where they found the old one. Nothing watches the date
meanwhile, so it is far away.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

TOKEN = "gitops-run:index:ServerCredentials"  # noqa: S105 - a type's token
NAMES = "serverNames"
UNTIL = "notAfter"
FINGERPRINT = "fingerprint"
SECRETS = (
    "caCert",
    "certificate",
    "privateKey",
    *(f"{role}{half}" for role in ("root", "reader", "writer") for half in ("AccessKey", "SecretKey")),
)
OUTPUTS = (*SECRETS, UNTIL, FINGERPRINT)

LIFETIME = timedelta(days=825)
"""The longest that any common verifier takes for a server's certificate."""
RENEWAL = timedelta(days=275)
"""Left when it is renewed: a session that is up for longer without one `up` is an abandoned one."""


def problems(properties: Mapping[str, Any]) -> dict[str, str]:
    """Find what is wrong with declared properties: from a property's name to the reason."""
    found = {
        name: f"is not an input of {TOKEN}; it has {NAMES}"
        for name in properties
        if name != NAMES and not name.startswith("__")
    }
    names = properties.get(NAMES)
    if not names or not isinstance(names, list):
        found[NAMES] = "must be a list of DNS names and addresses"
    return found


def is_due(state: Mapping[str, Any], now: datetime) -> bool:
    """Report whether a certificate is so near its end that it is replaced."""
    return datetime.fromisoformat(state[UNTIL]) - now < RENEWAL


def identity(made: Mapping[str, str]) -> str:
    """Name what was made, for Pulumi."""
    return made[FINGERPRINT][:16]


def canonical(names: Sequence[str]) -> str:
    """Write names so that two lists which say the same are the same text."""
    return json.dumps(sorted(names))
