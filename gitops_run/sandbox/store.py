"""The S3 store's three accounts: one that administers buckets, one that writes and one that reads.

The store is versitygw. A bucket belongs to the administrator; what the other two may do with it is
granted by a bucket policy that names their access keys as principals.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """Hold the keys of the store's three accounts."""

    admin: Account
    reader: Account
    writer: Account


def ensure_accounts(folder: Path) -> Accounts:
    """Read the store's accounts, or make them once.

    folder: the store's. The administrator is handed to versitygw by environment; the others are in
    accounts/users.json, the file of its internal account service (versitygw 1.8, auth/iam_internal.go).
    """
    path = folder / "accounts.json"
    if not path.exists():
        made = Accounts(admin=_new_account(), reader=_new_account(), writer=_new_account())
        write_private(path, json.dumps(asdict(made), indent=2))
    kept = json.loads(path.read_text())
    accounts = Accounts(**{role: Account(**keys) for role, keys in kept.items()})
    users = {account.access: _user(account) for account in (accounts.reader, accounts.writer)}
    write_private(folder / "accounts" / "users.json", json.dumps({"accessAccounts": users}))
    return accounts


def _user(account: Account) -> dict[str, str | int]:
    return {"access": account.access, "secret": account.secret, "role": "user", "userID": 0, "groupID": 0}


def _new_account() -> Account:
    return Account(
        access=_random(_ACCESS_KEY_LENGTH, string.ascii_uppercase + string.digits),
        secret=_random(_SECRET_KEY_LENGTH, string.ascii_letters + string.digits),
    )


def _random(length: int, alphabet: str) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
