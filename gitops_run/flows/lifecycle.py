"""A session's beginning and end: guard, look, declare; destroy, look again.

Decides nothing about Pulumi, the cluster or the store: they stand behind ports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from anyio import to_thread

from gitops_run.errors import BackendError, NotFound
from gitops_run.flows.leftovers import Leftovers, StacksPort, Tell
from gitops_run.model import contexts
from gitops_run.model.bounds import refuse_unlocked, warnings
from gitops_run.model.receipt import Receipt, ReceiptLine
from gitops_run.model.session import SessionName
from gitops_run.model.session_spec import (
    ClusterFacts,
    S3Store,
    SessionSpec,
    parse_spec,
    refuse_foreign,
    refuse_other_target,
    with_decryption_key,
)
from gitops_run.model.settings import Settings, to_stack_config
from gitops_run.model.stack_events import PendingObject, StackNotice, StackOutcome
from gitops_run.model.store import StoreAccess


class ClusterPort(Protocol):
    """Ask one cluster, and clean it of leftovers."""

    async def facts(self, name: SessionName, namespace: str) -> ClusterFacts:
        """Ask what a session needs to know."""

    async def remains(self, name: SessionName, namespace: str) -> tuple[ReceiptLine, ...]:
        """Ask for everything that a session has."""

    async def remove(self, name: SessionName, leftovers: Sequence[PendingObject]) -> None:
        """Delete what is the session's of these."""


class StorePort(Protocol):
    """Look after the buckets of one store; sync."""

    def exists(self, bucket: str) -> bool:
        """Ask whether a bucket is there."""

    def is_empty(self, bucket: str) -> bool:
        """Ask whether it holds nothing."""

    def remove(self, bucket: str) -> None:
        """Remove it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Hold the doors of both flows. declare: the Pulumi program of one session."""

    stacks: StacksPort
    cluster: ClusterPort
    open_store: Callable[[StoreAccess], AbstractContextManager[StorePort]]
    declare: Callable[[SessionSpec], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Ask for one session's beginning or end.

    settings: with kubeconfig and context. ca: what caFile holds. now: RFC 3339, when it is asked.
    decryption_key: what decryptionKeyFile holds; needed to make a session, not to end one.
    """

    name: SessionName
    settings: Settings
    ca: str
    now: str
    decryption_key: str = field(default="", repr=False)


async def up(request: Request, ports: Ports, tell: Tell) -> SessionSpec:
    """Make a session, or bring it up to its settings, and return what it is made of.

    Raises GuardError on a context that nobody allowed, a session of someone else, or a Flux that isn't locked
    down.
    """
    spec, facts = await _look(request, ports)
    refuse_other_target(spec, facts)
    refuse_unlocked(spec, facts, is_allowed=request.settings.allow_unlocked_flux)
    for text in warnings(spec, facts):
        tell(StackNotice(text=text))
    config = to_stack_config(replace(request.settings, owner=spec.owner, cluster=spec.cluster.uid))

    async def declare() -> StackOutcome:
        return await ports.stacks.up(spec.name.text, config, lambda: ports.declare(spec), tell)

    outcome = await _leftovers(spec, ports, tell).declare(declare)
    if outcome.has_pending:
        await ports.stacks.clear_pending(spec.name.text)
    return spec


async def down(request: Request, ports: Ports, tell: Tell) -> Receipt:
    """Take a session away, and ask the cluster and the store whether it is gone.

    Raises GuardError on a session of someone else, BackendError where something stayed.
    """
    spec, _ = await _look(request, ports)
    try:
        outcome = await ports.stacks.destroy(spec.name.text, tell)
    except NotFound:
        await ports.stacks.forget(spec.name.text)  # the file of a stack that was never made
        raise
    if outcome.has_pending:
        await _leftovers(spec, ports, tell).clean_up()
    await ports.stacks.forget(spec.name.text)
    lines = await ports.cluster.remains(spec.name, spec.namespace)
    bucket = await to_thread.run_sync(
        partial(_look_for_bucket, spec, ports, is_undecided=outcome.has_pending)
    )
    receipt = Receipt(lines=(*lines, *bucket))
    if receipt.left:
        raise BackendError(
            f"session {spec.name} is down, and this is still there: {', '.join(receipt.left)}",
            hint="see what holds it, and remove it by hand",
        )
    return receipt


async def down_without_cluster(request: Request, ports: Ports, tell: Tell) -> None:
    """Take away what a session has outside of its cluster, which is gone for good. Asks no cluster."""
    await ports.stacks.drop_cluster(request.name.text)
    await ports.stacks.destroy(request.name.text, tell)
    await ports.stacks.forget(request.name.text)


async def _look(request: Request, ports: Ports) -> tuple[SessionSpec, ClusterFacts]:
    """Look at the cluster before anything is touched there."""
    settings = request.settings
    contexts.guard(settings.require("context"), settings.allow_contexts)
    facts = await ports.cluster.facts(request.name, settings.namespace or request.name.namespace)
    spec = parse_spec(request.name, settings, facts, ca=request.ca, created=request.now)
    refuse_foreign(spec, facts)
    return with_decryption_key(spec, request.decryption_key), facts


def _leftovers(spec: SessionSpec, ports: Ports, tell: Tell) -> Leftovers:
    async def remove(objects: Sequence[PendingObject]) -> None:
        await ports.cluster.remove(spec.name, objects)

    return Leftovers(stack=spec.name.text, stacks=ports.stacks, remove=remove, tell=tell)


def _look_for_bucket(spec: SessionSpec, ports: Ports, *, is_undecided: bool) -> tuple[ReceiptLine, ...]:
    """Ask the store, and remove the empty bucket that a killed run may have left there.

    On AWS the keys went with the bucket, and Pulumi has waited for both.
    """
    if not isinstance(spec.store, S3Store):
        return ()
    with ports.open_store(spec.store.access(spec.store.admin)) as store:
        is_there = store.exists(spec.bucket)
        if is_there and is_undecided and store.is_empty(spec.bucket):
            store.remove(spec.bucket)
            is_there = False
    return (ReceiptLine(what=f"S3 bucket {spec.bucket}", is_gone=not is_there),)
