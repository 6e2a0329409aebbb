"""The errors of this project, their exit codes, and the line that says what to do next.

    GitOpsRunError            1  an unexpected error: a bug
    ├── UsageError            2  a wrong flag, setting, path or name
    ├── GuardError            3  refused: a context that isn't allowed, a session of someone else
    │   └── LockedError       3  the stack or the session is held by another process
    ├── ReconcileFailed       4  Flux, or the preflight, said no
    ├── WaitTimeout           5  a deadline passed; says what was waited for
    ├── BackendError          6  the cluster, the store or Pulumi failed
    │   ├── DeniedError       6  the cluster denies this user what was asked
    │   └── TransientError    6  the same, and trying again may help
    ├── NotFound              7  no such session, object or stack
    └── SandboxError          8  the sandbox could not be built, started or stopped

Adapters map what their SDK raises to these; nothing above an adapter sees an SDK's error. Errors do
not log and are not logged where they are raised: the command line prints them, once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

INTERRUPTED_EXIT_CODE = 130


class GitOpsRunError(Exception):
    """Describe what happened, with values, and what to do next."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        """message: a fact, one sentence. hint: the next command, or what to change."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(GitOpsRunError):
    """Report a wrong flag, setting, path or name."""

    exit_code = 2


class GuardError(GitOpsRunError):
    """Refuse what would touch a cluster that isn't allowed, or someone else's session."""

    exit_code = 3


class LockedError(GuardError):
    """Report that another process holds the stack or the session."""


class ReconcileFailed(GitOpsRunError):
    """Report that Flux could not apply a revision, or that the preflight refused a save."""

    exit_code = 4


class WaitTimeout(GitOpsRunError):
    """Report a deadline that passed, and what was waited for."""

    exit_code = 5


class BackendError(GitOpsRunError):
    """Report that the cluster, the store or Pulumi failed."""

    exit_code = 6


class DeniedError(BackendError):
    """Report that the cluster denies this user what was asked."""


class TransientError(BackendError):
    """Report a failure of a service that a second try may mend."""


class NotFound(GitOpsRunError):
    """Report a session, an object or a stack that doesn't exist."""

    exit_code = 7


class SandboxError(GitOpsRunError):
    """Report that the sandbox could not be built, started or stopped."""

    exit_code = 8


@contextmanager
def ungrouped(kind: type[Exception] = GitOpsRunError) -> Iterator[None]:
    """Raise the first error of a kind out of the exception group that concurrent tasks leave."""
    try:
        yield
    except BaseExceptionGroup as group:
        known = group.subgroup(kind)
        if known is None:
            raise
        raise _first(known) from group


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
