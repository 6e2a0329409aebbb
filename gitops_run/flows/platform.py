"""A platform's beginning and end: guard, look, declare; refuse while it is in use, destroy, look again.

Decides nothing about Pulumi or the cluster: they stand behind ports.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from gitops_run.errors import BackendError, GuardError, LockedError, NotFound
from gitops_run.flows.lifecycle import StacksPort, Tell
from gitops_run.model import contexts
from gitops_run.model.manifests import Manifest
from gitops_run.model.platform import (
    PlatformFacts,
    PlatformSettings,
    PlatformSpec,
    describe_flux,
    has_lost,
    make_spec,
    needs_manifests,
    refuse_foreign_platform,
    refuse_in_use,
    refuse_other_cluster,
    refuse_unread,
    to_platform_config,
)
from gitops_run.model.stack_events import PendingObject, StackNotice, StackOutcome

CLEANINGS: Final = 3
"""How often a killed run's remains are cleared out of the way."""


class PlatformClusterPort(Protocol):
    """Ask one cluster about its platform, and clean it of leftovers."""

    async def facts(self) -> PlatformFacts:
        """Ask for everything."""

    async def remove(self, stack: str, leftovers: Sequence[PendingObject]) -> None:
        """Delete what is the stack's of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformPorts:
    """Hold the doors of both flows. declare: the Pulumi program of one platform."""

    stacks: StacksPort
    cluster: PlatformClusterPort
    read_manifests: Callable[[str], Awaitable[tuple[Manifest, ...]]]
    declare: Callable[[PlatformSpec], None]


async def up(stack: str, settings: PlatformSettings, ports: PlatformPorts, tell: Tell) -> PlatformSpec:
    """Make a cluster's platform, or bring it up to its settings.

    Raises GuardError on a context that nobody allowed or another stack's platform, UsageError on a Flux that
    is found and doesn't do.
    """
    contexts.guard(settings.require("context"), settings.allow_contexts)
    facts = await ports.cluster.facts()
    is_ours = needs_manifests(stack, settings, facts)
    documents = await ports.read_manifests(settings.manifests) if is_ours else ()
    spec = make_spec(stack, settings, facts, documents)
    if not is_ours:
        tell(StackNotice(text=describe_flux(facts)))
    if has_lost(facts, stack) and not await _clean_up(stack, ports, tell):
        tell(StackNotice(text="something of this platform is gone: it is made anew"))
        await ports.stacks.clear_pending(stack)
    outcome = await _declare(spec, settings, ports, tell)
    if outcome.has_pending:
        await ports.stacks.clear_pending(stack)
    return spec


async def _declare(
    spec: PlatformSpec, settings: PlatformSettings, ports: PlatformPorts, tell: Tell
) -> StackOutcome:
    """Declare a platform, again where a killed run's remains were in the way.

    More than once: what the killed engine had asked for may still come for a moment.
    """
    stack, config = spec.stack, to_platform_config(replace(settings, cluster=spec.cluster.uid))
    for _ in range(CLEANINGS):
        try:
            return await ports.stacks.up(stack, config, lambda: ports.declare(spec), tell)
        except LockedError:
            raise
        except GuardError as error:
            if not await _clean_up(stack, ports, tell):
                raise GuardError(
                    error.message, hint="use the backend and passphrase that this platform was made with"
                ) from error
    return await ports.stacks.up(stack, config, lambda: ports.declare(spec), tell)


async def down(stack: str, settings: PlatformSettings, ports: PlatformPorts, tell: Tell) -> PlatformFacts:
    """Take away what the stack made, and return what the cluster says afterwards.

    Raises GuardError while sessions live, or anything else uses the Flux that would go.
    """
    contexts.guard(settings.require("context"), settings.allow_contexts)
    facts = await ports.cluster.facts()
    refuse_other_cluster(settings, facts)
    refuse_foreign_platform(facts, stack)
    refuse_unread(facts)
    refuse_in_use(facts, has_flux=facts.flux_stack == stack)
    try:
        outcome = await ports.stacks.destroy(stack, tell)
    except NotFound as error:
        await ports.stacks.forget(stack)  # the file of a stack that was never made
        raise NotFound(
            f"there is no platform of the stack {stack} in this backend",
            hint="to see what the cluster has: gitops-run platform status",
        ) from error
    if outcome.has_pending:
        await _clean_up(stack, ports, tell)
    await ports.stacks.forget(stack)
    left = await ports.cluster.facts()
    if stack in left.stacks:
        raise BackendError(
            f"the platform {stack} is down, and something that it made is still there",
            hint="to see what: gitops-run platform status",
        )
    return left


async def down_without_cluster(stack: str, ports: PlatformPorts, tell: Tell) -> None:
    """Forget a platform whose cluster is gone for good. Asks no cluster. Raises NotFound."""
    try:
        await ports.stacks.drop_cluster(stack)
        await ports.stacks.destroy(stack, tell)
    except NotFound:
        await ports.stacks.forget(stack)  # the file of a stack whose state is lost
        raise
    await ports.stacks.forget(stack)


async def _clean_up(stack: str, ports: PlatformPorts, tell: Tell) -> bool:
    """Remove what a killed run was creating, so that it can be created; say whether there was any."""
    leftovers = await ports.stacks.pending_creates(stack)
    if not leftovers:
        return False
    await ports.cluster.remove(stack, leftovers)
    await ports.stacks.clear_pending(stack)
    named = ", ".join(f"{leftover.kind} {leftover.name}" for leftover in leftovers)
    tell(StackNotice(text=f"cleaned up what an interrupted run left undecided: {named}"))
    return True
