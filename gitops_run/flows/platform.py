"""A platform's beginning and end: guard, look, declare; refuse while it is in use, destroy, look again.

This module decides nothing about Pulumi or the cluster: they stand behind ports.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from gitops_run.errors import BackendError, NotFound, TransientError
from gitops_run.flows.leftovers import Leftovers, StacksPort, Tell
from gitops_run.model.manifests.session import Manifest
from gitops_run.model.platform.facts import PlatformFacts
from gitops_run.model.platform.platform import (
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
from gitops_run.model.session import contexts
from gitops_run.model.stack.events import PendingObject, StackNotice, StackOutcome


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
    leftovers = _leftovers(stack, ports, tell)
    if has_lost(facts, stack) and not await leftovers.clean_up():
        tell(StackNotice(text="something of this platform is missing: it is recreated"))
        await ports.stacks.clear_pending(stack)
    config = to_platform_config(replace(settings, cluster=spec.cluster.uid))

    async def declare() -> StackOutcome:
        return await ports.stacks.up(stack, config, lambda: ports.declare(spec), tell)

    outcome = await leftovers.declare(declare)
    if outcome.has_pending:
        await ports.stacks.clear_pending(stack)
    return spec


async def down(stack: str, settings: PlatformSettings, ports: PlatformPorts, tell: Tell) -> PlatformFacts:
    """Take away what the stack made, and return what the cluster says afterwards.

    Raises GuardError while sessions live, or anything else uses the Flux that would go.
    """
    contexts.guard(settings.require("context"), settings.allow_contexts)
    try:
        facts = await ports.cluster.facts()
    except TransientError as error:
        gone = "gitops-run platform down --cluster-gone"
        raise TransientError(error.message, hint=f"{error.hint}; if it is gone for good: {gone}") from error
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
        await _leftovers(stack, ports, tell).clean_up()
    await ports.stacks.forget(stack)
    left = await ports.cluster.facts()
    if stack in left.stacks:
        raise BackendError(
            f"the platform {stack} is down, but some of its objects remain",
            hint="to see them: gitops-run platform status",
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


def _leftovers(stack: str, ports: PlatformPorts, tell: Tell) -> Leftovers:
    async def remove(objects: Sequence[PendingObject]) -> None:
        await ports.cluster.remove(stack, objects)

    return Leftovers(stack=stack, stacks=ports.stacks, remove=remove, tell=tell)
