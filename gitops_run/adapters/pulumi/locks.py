"""Locks of stacks: who holds one, and whether that process still lives on this machine."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from pathlib import Path

from gitops_run.adapters.host import is_alive
from gitops_run.errors import LockedError
from gitops_run.model.stack_events import StackEvent, StackLock, StackNotice


def clear_dead(locks: Sequence[StackLock], tell: Callable[[StackEvent], None]) -> None:
    """Remove the locks of processes of this machine that are gone. Raises LockedError while one may live."""
    for lock in locks:
        if not (lock.path and lock.host == platform.node() and not is_alive(lock.pid)):
            raise LockedError(
                f"the stack is locked by {lock.user} on {lock.host} (process {lock.pid}) since {lock.since}",
                hint="wait for it; if it is gone for certain: pulumi cancel, in the project's folder",
            )
    for lock in locks:
        for path in (lock.path, f"{lock.path}.attrs"):
            Path(path).unlink(missing_ok=True)
        tell(StackNotice(text=f"cleared the lock of process {lock.pid}, which died since {lock.since}"))
    if not locks:
        raise LockedError("the stack is locked by another update", hint="wait for it, or: pulumi cancel")
