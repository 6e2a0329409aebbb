"""What a killed run leaves in its stack: begun and undecided, in the way of the next run or lost.

It is removed by the name of what was being made and the label that it was given, and then made again. A state
that was cut off and continued from a copy may not know of more: that is found by the label alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gitops_run.errors import GuardError, LockedError
from gitops_run.model.stack.events import KnownResources, PendingObject, StackEvent, StackNotice, StackOutcome

CLEANINGS: Final = 3
"""How often: what a killed engine had asked for may still come for a moment."""

Tell = Callable[[StackEvent], None]


class StacksPort(Protocol):
    """Make and remove stacks."""

    async def up(
        self, name: str, config: Mapping[str, str], program: Callable[[], None], tell: Tell
    ) -> StackOutcome:
        """Make or change a stack. program: runs in a thread, while the stack is locked."""

    async def destroy(self, name: str, tell: Tell) -> StackOutcome:
        """Remove what a stack knows."""

    async def drop_cluster(self, name: str) -> None:
        """Take everything that lies in the cluster out of a stack, without touching the cluster."""

    async def forget(self, name: str) -> None:
        """Remove an empty stack."""

    async def outputs(self, name: str, tell: Tell) -> dict[str, str]:
        """Read a stack's outputs about its session."""

    async def discard(self, name: str) -> None:
        """Forget a stack whose resources are gone, whatever its state says."""

    async def forget_unmade(self, name: str) -> None:
        """Forget a stack that has made nothing; keep any other."""

    async def known(self, name: str, tell: Tell) -> KnownResources | None:
        """List what a state knows that was continued from a copy; None where it never was cut off."""

    async def pending_creates(self, name: str) -> tuple[PendingObject, ...]:
        """List what a killed run was creating."""

    async def clear_pending(self, name: str) -> None:
        """Forget what a killed run was creating."""


async def nothing_labelled() -> tuple[PendingObject, ...]:
    """Find nothing: a stack whose objects have no label of its own."""
    return ()


async def no_bucket() -> None:
    """Remove nothing: a stack without a bucket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """Clean one stack up. remove: deletes of these objects what is the stack's.

    labelled: finds what has the stack's label. remove_bucket: takes away the bucket, where the state doesn't
    know of any.
    """

    stack: str
    stacks: StacksPort
    remove: Callable[[Sequence[PendingObject]], Awaitable[None]]
    tell: Tell
    labelled: Callable[[], Awaitable[Sequence[PendingObject]]] = nothing_labelled
    remove_bucket: Callable[[], Awaitable[None]] = no_bucket

    async def declare(self, declare: Callable[[], Awaitable[StackOutcome]]) -> StackOutcome:
        """Declare the stack, again where a killed run's leftovers were in the way. Raises as declare does."""
        for _ in range(CLEANINGS):
            try:
                return await declare()
            except LockedError:
                raise
            except GuardError:
                if not await self.clean_up():
                    raise
        return await declare()

    async def clean_up(self) -> bool:
        """Remove what a killed run was creating, so that it can be created; say whether there was any."""
        pending = await self.stacks.pending_creates(self.stack)
        known = await self.stacks.known(self.stack, self.tell)
        labelled = await self.labelled() if known else ()
        unknown = tuple(found for found in labelled if known and found not in known.objects)
        found = (*(one for one in unknown if one not in pending), *pending)
        if not found:
            return False
        await self.remove(found)
        if known and not known.has_bucket:
            await self.remove_bucket()
        if pending:
            await self.stacks.clear_pending(self.stack)
        named = ", ".join(f"{leftover.kind} {leftover.name}" for leftover in found)
        self.tell(StackNotice(text=f"cleaned up what an interrupted run left pending: {named}"))
        return True
