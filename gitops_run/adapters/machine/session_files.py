"""The files that a session is made with: its keys, a CA, an age key, variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from gitops_run.adapters.machine import user_files
from gitops_run.adapters.machine.session_keys import keys_elsewhere, with_keys_file
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.request import SessionRequest
from gitops_run.model.session.settings import Source, resolve


def request_to_make(
    name: SessionName, sources: Sequence[Source], stack_file: Path, environment: Mapping[str, str]
) -> SessionRequest:
    """Read what a session is made with. stack_file: the session's own; it need not exist.

    Raises UsageError where a file that a setting names can't be used.
    """
    settings = with_keys_file(resolve(sources), sources)
    return SessionRequest(
        key=SessionKey.of(name, settings),
        settings=settings,
        ca=user_files.read_ca(settings.ca_file),
        now=_now(),
        decryption_key=user_files.read_decryption_key(settings.decryption_key_file),
        keys_elsewhere=keys_elsewhere(environment, stack_file, settings),
        variables=user_files.read_variables(settings.substitute_file),
    )


def request_to_end(name: SessionName, sources: Sequence[Source]) -> SessionRequest:
    """Read what a session is ended with: its keys aren't needed. Raises UsageError on an unusable caFile."""
    settings = resolve(sources)
    ca = user_files.read_ca(settings.ca_file)
    return SessionRequest(key=SessionKey.of(name, settings), settings=settings, ca=ca, now=_now())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
