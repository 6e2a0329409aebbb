"""Do what gc has found: one finding after another, so that one failure ends none of the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gitops_run.errors import GitOpsRunError
from gitops_run.model.stack.collection import Finding, Kind


class CollectorPort(Protocol):
    """Do what one finding calls for; each returns False where it doesn't hold any more."""

    async def warn(self, finding: Finding) -> bool:
        """Warn in a session's record that its TTL or its idle limit is nearly over."""

    async def suspend(self, finding: Finding) -> bool:
        """Suspend an idle session."""

    async def answer(self, finding: Finding) -> bool:
        """Carry out what somebody asks of a session, or refuse it, and answer in its record."""

    async def end(self, finding: Finding) -> bool:
        """End a session, with its stack where that is here."""

    async def remove(self, finding: Finding) -> bool:
        """Remove objects whose session is gone."""

    async def discard(self, finding: Finding) -> bool:
        """Remove a bucket, with what it holds, or a key of a session that is gone."""

    async def unlock(self, finding: Finding) -> bool:
        """Remove the lock of a stack whose process has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Say what came of a finding. error: why nothing did; None where it is done, or changed."""

    finding: Finding
    is_done: bool = False
    error: GitOpsRunError | None = None


async def act(
    findings: Sequence[Finding], port: CollectorPort, tell: Callable[[Done], None]
) -> tuple[Done, ...]:
    """Do what each finding calls for, and report each as it is done."""
    steps: dict[Kind, Callable[[Finding], Awaitable[bool]]] = {
        Kind.REQUESTED: port.answer,
        Kind.EXPIRING: port.warn,
        Kind.IDLING: port.warn,
        Kind.IDLE: port.suspend,
        Kind.EXPIRED: port.end,
        Kind.INCOMPLETE: port.end,
        Kind.ORPHAN: port.remove,
        Kind.BUCKET: port.discard,
        Kind.LOCK: port.unlock,
    }
    done = []
    for finding in findings:
        try:
            one = Done(finding=finding, is_done=await steps[finding.kind](finding))
        except GitOpsRunError as error:
            one = Done(finding=finding, error=error)
        tell(one)
        done.append(one)
    return tuple(done)
