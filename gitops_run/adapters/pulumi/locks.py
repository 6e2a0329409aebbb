"""Locks of stacks: who holds one, and whether the process that took it has ended for certain."""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection
from pathlib import Path

from gitops_run.adapters.pulumi.runs import Runs
from gitops_run.errors import LockedError
from gitops_run.model.stack.events import StackEvent, StackLock, StackNotice


def clear_dead(
    locks: Collection[StackLock], runs: Runs, tell: Callable[[StackEvent], None], *, cancel: str
) -> None:
    """Remove the locks of runs that have ended for certain: those that this tool started, on this boot.

    cancel: the command by which a person removes another lock. Raises LockedError where there is one: of a
    run by hand, on another machine of the same name, in another container, or before the last boot; or one
    that isn't a file here, since that command also removes the lock of a run that begins meanwhile.
    """
    for lock in locks:
        has_ended = lock.host == platform.node() and runs.has_ended(lock)
        if not (lock.path and has_ended):
            known = "that run was killed" if has_ended else "wait for it; if that run has ended for certain"
            raise LockedError(
                f"the stack is locked by {lock.user} on {lock.host} (process {lock.pid}) since {lock.since}",
                hint=f"{known}, remove its lock: {cancel}",
            )
    for lock in locks:
        for path in (lock.path, f"{lock.path}.attrs"):
            Path(path).unlink(missing_ok=True)
        tell(StackNotice(text=f"cleared the lock of process {lock.pid}, which died since {lock.since}"))
    if not locks:
        raise LockedError(
            "the stack is locked by another update",
            hint=f"wait for it; if it has ended for certain, remove its lock: {cancel}",
        )
