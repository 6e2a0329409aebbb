"""A session declared by its stack, also where somebody else makes one of the same name at that moment.

Of two that begin at once, the second must be refused as it would have been a moment later. Where both use one
backend, its lock puts them in order, and the program that runs under the lock asks the cluster again. Where
each has its own, the namespace decides, which is made before all the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from anyio import from_thread, lowlevel

from gitops_run.errors import GitOpsRunError, GuardError, LockedError
from gitops_run.flows.leftovers import Leftovers, StacksPort, Tell
from gitops_run.model.session.refusals import other_stack, refuse_foreign, refuse_other_target
from gitops_run.model.session.spec import ClusterFacts, SessionSpec
from gitops_run.model.stack.events import ResourceStep, StackEvent, StackOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """Hold what declares one session. declare: its Pulumi program.

    is_new: the cluster had no session of this name when it was asked first.
    """

    spec: SessionSpec
    stacks: StacksPort
    facts: Callable[[], Coroutine[Any, Any, ClusterFacts]]
    declare: Callable[[SessionSpec], None]
    leftovers: Leftovers
    tell: Tell
    is_new: bool
    _made: set[str] = field(default_factory=set, init=False)
    _refusals: list[GitOpsRunError] = field(default_factory=list, init=False)

    async def run(self, config: Mapping[str, str]) -> StackOutcome:
        """Declare the session. Raises GuardError on one that somebody else has made meanwhile.

        A new one that fails before anything is made leaves no stack: what it was to be is not fixed yet.
        """
        try:
            return await self.leftovers.declare(partial(self._up, config))
        except LockedError:
            raise
        except GitOpsRunError as error:
            if self.is_new and not self._refusals and "Namespace" not in self._made:
                with suppress(GitOpsRunError):
                    await self.stacks.forget_unmade(self.spec.name.text)
                if isinstance(error, GuardError):
                    await self._refuse_second(error)
            raise

    async def _up(self, config: Mapping[str, str]) -> StackOutcome:
        program = partial(self._program, lowlevel.current_token())
        try:
            return await self.stacks.up(self.spec.name.text, config, program, self._watch)
        except GitOpsRunError:
            if self._refusals:
                raise self._refusals[0] from None  # Pulumi's error repeats it within a traceback
            raise

    def _watch(self, event: StackEvent) -> None:
        if isinstance(event, ResourceStep) and event.phase == "done":
            self._made.add(event.kind)
        self.tell(event)

    def _program(self, token: lowlevel.EventLoopToken) -> None:
        """Declare, in a thread of Pulumi's, unless the session has been made since the cluster was asked."""
        if self.is_new:
            try:
                facts = from_thread.run(self.facts, token=token)
                refuse_foreign(self.spec, facts)
                refuse_other_target(self.spec, facts)
            except GitOpsRunError as error:
                self._refusals.append(error)
                raise
        self.declare(self.spec)

    async def _refuse_second(self, error: GuardError) -> None:
        """Name who made the namespace that was in the way."""
        facts = await self.facts()
        if facts.has_session:
            refuse_foreign(self.spec, facts)
            raise other_stack(self.spec.name, facts) from error
