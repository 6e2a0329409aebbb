"""The S3 store's administrator, who makes buckets, and the keys of each bucket.

The store is versitygw. Its other accounts are made while it runs, by the plugin gitops-run, and kept in
accounts/users.json by the store itself (versitygw 1.8, auth/iam_internal.go).
"""

from __future__ import annotations

import json
import secrets
import string
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gitops_run.sandbox.state import write_private

_ACCESS_KEY_LENGTH = 20
_SECRET_KEY_LENGTH = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Hold the keys of one account of the store."""

    access: str
    secret: str = field(repr=False)


def ensure_administrator(folder: Path) -> Account:
    """Read the administrator's keys, or make them once.

    folder: the store's. They are handed to versitygw by environment.
    """
    path = folder / "accounts.json"
    if not path.exists():
        write_private(path, json.dumps({"admin": asdict(_new_account())}, indent=2))
    return Account(**json.loads(path.read_text())["admin"])


def _new_account() -> Account:
    return Account(
        access=_random(_ACCESS_KEY_LENGTH, string.ascii_uppercase + string.digits),
        secret=_random(_SECRET_KEY_LENGTH, string.ascii_letters + string.digits),
    )


def _random(length: int, alphabet: str) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
