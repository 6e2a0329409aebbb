"""Locks of stacks: who holds one, and whether the process that took it has ended for certain."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from gitops_run.adapters.pulumi.project import ProjectHome
from gitops_run.adapters.pulumi.runs import Runs
from gitops_run.adapters.pulumi.state import backend_folder, writing
from gitops_run.errors import LockedError
from gitops_run.model.stack.events import StackEvent, StackLock, StackNotice


def dead_locks(home: ProjectHome) -> tuple[tuple[str, StackLock], ...]:
    """List the locks of ended runs, each with its stack; none where the state isn't in files.

    Only locks of runs that this tool started on this machine since it was booted: of others nobody knows.
    """
    folder = backend_folder(home.backend)
    found = folder.glob(f"locks/organization/{home.kind.name}/*/*.json") if folder else ()
    return tuple(
        (path.parent.name, lock)
        for path in sorted(found)
        for lock in _read(path)
        if _has_ended(lock, home.runs_of(path.parent.name))
    )


def remove(lock: StackLock) -> bool:
    """Remove a lock, and say whether it was still there. Raises BackendError where the disk refuses."""
    was_there = Path(lock.path).exists()
    with writing(Path(lock.path)):
        for path in (lock.path, f"{lock.path}.attrs"):
            Path(path).unlink(missing_ok=True)
    return was_there


def clear_dead(
    locks: Collection[StackLock], runs: Runs, tell: Callable[[StackEvent], None], *, cancel: str
) -> None:
    """Remove the locks of runs that have ended for certain: those that this tool started, on this boot.

    cancel: the command by which a person removes another lock. Raises LockedError where there is one: of a
    run by hand, on another machine of the same name, in another container, or before the last boot; or one
    that isn't a file here, since that command also removes the lock of a run that begins meanwhile.
    """
    for lock in locks:
        has_ended = _has_ended(lock, runs)
        if not (lock.path and has_ended):
            known = "that run was killed" if has_ended else "wait for it; if that run has ended for certain"
            raise LockedError(
                f"the stack is locked by {lock.user} on {lock.host} (process {lock.pid}) since {lock.since}",
                hint=f"{known}, remove its lock: {cancel}",
            )
    for lock in locks:
        remove(lock)
        tell(StackNotice(text=f"cleared the lock of process {lock.pid}, which died since {lock.since}"))
    if not locks:
        raise LockedError(
            "the stack is locked by another update",
            hint=f"wait for it; if it has ended for certain, remove its lock: {cancel}",
        )


def _has_ended(lock: StackLock, runs: Runs) -> bool:
    return lock.host == platform.node() and runs.has_ended(lock)


def _read(path: Path) -> Iterator[StackLock]:
    """Read a lock's file; nothing where a kill has torn it, or it goes meanwhile."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        yield StackLock(
            user=str(said["username"]),
            host=str(said["hostname"]),
            pid=int(said["pid"]),
            since=str(said["timestamp"]),
            path=str(path),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return
