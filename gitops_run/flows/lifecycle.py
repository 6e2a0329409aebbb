"""A session's beginning and end: guard, look, declare; destroy, look again.

This module decides nothing about Pulumi, the cluster or the store: they stand behind ports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial
from typing import Protocol

from anyio import to_thread

from gitops_run.errors import BackendError, NotFound, TransientError, UsageError
from gitops_run.flows.declaration import Declaration
from gitops_run.flows.leftovers import Leftovers, StacksPort, Tell
from gitops_run.flows.stuck import explained
from gitops_run.model.names import SessionName
from gitops_run.model.session.bounds import warnings
from gitops_run.model.session.hindrance import Hindrance
from gitops_run.model.session.isolation import CLUSTER
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.receipt import Receipt, ReceiptLine
from gitops_run.model.session.refusals import other_stack, refuse_other_target
from gitops_run.model.session.request import SessionRequest, admitted, described, refuse_context
from gitops_run.model.session.settings import to_stack_config
from gitops_run.model.session.spec import (
    AwsStore,
    ClusterFacts,
    S3Store,
    SessionSpec,
    Store,
    parse_s3_store,
)
from gitops_run.model.session.tombstone import Tombstone
from gitops_run.model.stack.events import PendingObject, StackNotice
from gitops_run.model.store.failures import cannot_make_keys
from gitops_run.model.store.keys import MadeKeys
from gitops_run.model.store.objects import StoreAccess


class ClusterPort(Protocol):
    """Ask the cluster of one session, and clean it of leftovers."""

    async def facts(self) -> ClusterFacts:
        """Ask what a session needs to know."""

    async def remains(self) -> tuple[ReceiptLine, ...]:
        """Ask for everything that a session has."""

    async def remains_elsewhere(self) -> tuple[ReceiptLine, ...]:
        """Ask for everything that a session with isolation cluster has outside of its namespace."""

    async def labelled(self) -> tuple[PendingObject, ...]:
        """List what has the session's label, in the order in which it is made."""

    async def remove(self, leftovers: Sequence[PendingObject]) -> None:
        """Delete what is the session's of these."""

    async def leave_word(self, stone: Tombstone) -> None:
        """Leave a tombstone, which outlives the session's namespace."""

    async def forget_word(self) -> None:
        """Remove the tombstone, if there is one."""

    async def drain(self) -> None:
        """Stop the session's writer, and resume what was suspended."""

    async def hindrances(self) -> tuple[Hindrance, ...]:
        """Find what holds the session's end up."""


class StorePort(Protocol):
    """Look after the buckets of one store; sync."""

    def exists(self, bucket: str) -> bool:
        """Ask whether a bucket is there."""

    def is_empty(self, bucket: str) -> bool:
        """Ask whether it holds nothing."""

    def close(self, bucket: str) -> None:
        """Let nobody write to it any more but who made it."""

    def empty(self, bucket: str) -> None:
        """Remove what it holds."""

    def remove(self, bucket: str) -> None:
        """Remove it."""


class KeysPort(Protocol):
    """Look after the accounts of one store; sync."""

    def names(self) -> frozenset[str] | None:
        """List their access keys; None where the store doesn't make any.

        Raises UsageError where the key that asks may not administer accounts.
        """

    def remove(self, access_key: str) -> None:
        """Remove one."""


class Undecided(Enum):
    """Describe what a store may still have of a session: nothing, an empty bucket, or all of it."""

    NOTHING = auto()
    EMPTY = auto()
    ALL = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Hold the doors of both flows. declare: the Pulumi program of one session."""

    stacks: StacksPort
    cluster: ClusterPort
    open_store: Callable[[StoreAccess], AbstractContextManager[StorePort]]
    open_keys: Callable[[StoreAccess], AbstractContextManager[KeysPort]]
    declare: Callable[[SessionSpec], None]


async def up(request: SessionRequest, ports: Ports, tell: Tell) -> SessionSpec:
    """Make a session, or bring it up to its settings, and return what it is made of.

    Raises GuardError on a context that nobody allowed, a session of someone else or of another stack, a Flux
    that isn't locked down, or keys that open the buckets of other sessions.
    """
    spec, facts = await _look(request, ports)
    if not facts.is_of_other_stack(spec.name):
        refuse_other_target(spec, facts)  # of the tool's own session, that says more than where its stack is
    if facts.has_session:
        await _refuse_other_stack(spec.name, facts, ports, tell)
    spec = admitted(spec, request, facts)
    if facts.is_ended:
        with suppress(NotFound):  # the state isn't here: the word that gc left stays for its stack
            await _clear_state(request, facts, ports, tell)
    if not facts.target:
        await to_thread.run_sync(_require_keys, spec, ports)
    for text in warnings(spec, facts):
        tell(StackNotice(text=text))
    config = to_stack_config(replace(request.settings, owner=spec.owner, cluster=spec.cluster.uid))
    declaration = Declaration(
        spec=spec,
        stacks=ports.stacks,
        facts=ports.cluster.facts,
        declare=ports.declare,
        leftovers=_leftovers(spec, ports, tell),
        tell=tell,
        is_new=not facts.has_session,
    )
    outcome = await declaration.run(config)
    if not outcome.changed and not facts.is_whole:
        tell(StackNotice(text="a part of the session is gone that its stack knows: looking at each again"))
        await ports.stacks.clear_pending(spec.name.text)
        outcome = await declaration.run(config)
    if outcome.has_pending:
        await ports.stacks.clear_pending(spec.name.text)
    return spec


async def down(request: SessionRequest, ports: Ports, tell: Tell) -> Receipt:
    """Take a session away, and ask the cluster and the store whether it is gone.

    Raises GuardError on a session of someone else or of another stack, BackendError where something stayed or
    nobody could look.
    """
    try:
        spec, facts = await _look(request, ports)
    except TransientError as error:
        gone = "gitops-run down NAME --cluster-gone"
        raise TransientError(error.message, hint=f"{error.hint}; if it is gone for good: {gone}") from error
    if facts.is_ended:
        cleared = await _clear_state(request, facts, ports, tell)
        lines = (*await _remains(spec, ports), *cleared.lines)
        return _proven(request.key, Receipt(lines=lines))
    if facts.is_of_other_stack(spec.name):
        await _refuse_other_stack(spec.name, facts, ports, tell)
    is_continued = await ports.stacks.known(spec.name.text, tell) is not None
    try:
        async with explained(spec.name.text, ports.cluster.hindrances, tell):
            outcome = await ports.stacks.destroy(spec.name.text, tell)
    except NotFound:
        await ports.stacks.forget(spec.name.text)  # the file of a stack that was never made
        if facts.has_session:
            raise other_stack(spec.name, facts) from None
        raise
    if outcome.has_pending:
        await _leftovers(spec, ports, tell).clean_up()
    if is_continued:
        await _remove_labelled(ports)
    await ports.stacks.forget(spec.name.text)
    if facts.ended:  # gc was interrupted while it ended the session
        await ports.cluster.forget_word()
    left = Undecided.ALL if is_continued else Undecided.EMPTY if outcome.has_pending else Undecided.NOTHING
    return _proven(request.key, await _look_again(spec, ports, left))


async def down_from_cluster(
    request: SessionRequest, ports: Ports, tell: Tell, stone: Tombstone | None = None
) -> Receipt:
    """Take a session away whose state is lost: by its labels in the cluster, and by its names in the store.

    stone: word for a stack whose state is out of reach here, left before anything goes. Raises as down.
    """
    spec, _ = await _look(request, ports)
    if stone is not None:
        await ports.cluster.leave_word(stone)
    await ports.cluster.drain()
    async with explained(spec.name.text, ports.cluster.hindrances, tell):
        for found in await _remove_labelled(ports):
            tell(StackNotice(text=f"delete {found.kind} {found.name}"))
    receipt = await _look_again(spec, ports, Undecided.ALL)
    if stone is None:
        await ports.stacks.discard(spec.name.text)
    return _proven(request.key, receipt)


async def _remove_labelled(ports: Ports) -> tuple[PendingObject, ...]:
    found = await ports.cluster.labelled()
    await ports.cluster.remove(found)
    return found


async def _clear_state(request: SessionRequest, facts: ClusterFacts, ports: Ports, tell: Tell) -> Receipt:
    """Clear what a stack still says of a session that gc has ended, and then the word that gc left.

    Raises NotFound where the stack's state isn't here, and as down_without_cluster.
    """
    tell(StackNotice(text=str(facts.ended)))
    receipt = await down_without_cluster(request, ports, tell)
    tell(StackNotice(text="what its stack still had of it is removed"))
    await ports.cluster.forget_word()
    return receipt


async def down_without_cluster(request: SessionRequest, ports: Ports, tell: Tell) -> Receipt:
    """Take away what a session has outside of its cluster, which is gone for good. Asks no cluster.

    Raises BackendError where something stayed in the store.
    """
    settings, name = request.settings, request.key.name
    store = parse_s3_store(settings, request.ca) if settings.store == "s3" else None
    told = await ports.stacks.outputs(name.text, tell)
    bucket = told.get("bucket") or (name.bucket(settings.cluster) if settings.cluster else "")
    await ports.stacks.drop_cluster(name.text)
    outcome = await ports.stacks.destroy(name.text, tell)
    await ports.stacks.forget(name.text)
    if store is None or not bucket:
        return Receipt(lines=())
    left = Undecided.EMPTY if outcome.has_pending else Undecided.NOTHING
    look = partial(_look_into_store, store, bucket, ports, left)
    return _proven(request.key, Receipt(lines=await to_thread.run_sync(look)))


def _proven(key: SessionKey, receipt: Receipt) -> Receipt:
    if receipt.left:
        raise BackendError(
            f"session {key.name} is down, but these remain: {', '.join(receipt.left)}",
            hint="find out what blocks the deletion, and remove it by hand",
        )
    if receipt.unseen:
        raise BackendError(
            f"session {key.name} is down, but you may not check whether these are gone: "
            + ", ".join(receipt.unseen),
            hint=f"ask somebody with more rights to run: kubectl get namespace {key.namespace}",
        )
    return receipt


async def _look_again(spec: SessionSpec, ports: Ports, left: Undecided) -> Receipt:
    """Ask the cluster and the store what is left. Raises BackendError where one of them fails now."""
    try:
        lines = await _remains(spec, ports)
        stored = await to_thread.run_sync(partial(_look_into_store, spec.store, spec.bucket, ports, left))
    except BackendError as error:
        raise BackendError(
            f"session {spec.name} is down, but it could not be checked whether these remain: "
            + error.message,
            hint=error.hint,
        ) from error
    return Receipt(lines=(*lines, *stored))


async def _remains(spec: SessionSpec, ports: Ports) -> tuple[ReceiptLine, ...]:
    within = await ports.cluster.remains()
    return (*within, *await ports.cluster.remains_elsewhere()) if spec.isolation == CLUSTER else within


async def _look(request: SessionRequest, ports: Ports) -> tuple[SessionSpec, ClusterFacts]:
    """Look at the cluster before anything is touched there."""
    refuse_context(request)
    facts = await ports.cluster.facts()
    return described(request, facts), facts


async def _refuse_other_stack(name: SessionName, facts: ClusterFacts, ports: Ports, tell: Tell) -> None:
    """Refuse a session whose stack isn't here, before a stack of its name is made. Raises GuardError.

    A stack without outputs was interrupted before it was done, where the session is its own.
    """
    try:
        told = await ports.stacks.outputs(name.text, tell)
    except NotFound:
        raise other_stack(name, facts) from None
    if not told and facts.is_of_other_stack(name):
        raise other_stack(name, facts)


def _require_keys(spec: SessionSpec, ports: Ports) -> None:
    """Ask the store whether it makes keys, before anything is made. Raises UsageError where it doesn't."""
    if not isinstance(spec.store, S3Store) or spec.store.keys:
        return
    with ports.open_keys(spec.store.access) as keys:
        if keys.names() is None:
            raise cannot_make_keys(spec.store.access)


def _leftovers(spec: SessionSpec, ports: Ports, tell: Tell) -> Leftovers:
    async def remove(objects: Sequence[PendingObject]) -> None:
        await ports.cluster.remove(objects)

    async def remove_bucket() -> None:
        look = partial(_look_into_store, spec.store, spec.bucket, ports, Undecided.ALL)
        await to_thread.run_sync(look)

    return Leftovers(
        stack=spec.name.text,
        stacks=ports.stacks,
        remove=remove,
        tell=tell,
        labelled=ports.cluster.labelled,
        remove_bucket=remove_bucket,
    )


def _look_into_store(store: Store, bucket: str, ports: Ports, left: Undecided) -> tuple[ReceiptLine, ...]:
    """Ask the store for the bucket and its keys, and remove what the state may not have known of.

    On AWS the keys went with the bucket, and Pulumi has waited for both, unless its state was lost.
    """
    if not isinstance(store, S3Store):
        is_unknown = isinstance(store, AwsStore) and left is Undecided.ALL
        what, why = f"bucket {bucket} and its users on AWS", "its state was lost: check for them there"
        return (ReceiptLine(what=what, is_gone=False, unseen=why),) if is_unknown else ()
    with ports.open_store(store.access) as buckets:
        is_there = buckets.exists(bucket)
        if is_there and left is Undecided.ALL:
            buckets.close(bucket)
            buckets.empty(bucket)
        if is_there and left is not Undecided.NOTHING and buckets.is_empty(bucket):
            buckets.remove(bucket)
            is_there = buckets.exists(bucket)
    line = ReceiptLine(what=f"S3 bucket {bucket}", is_gone=not is_there)
    with ports.open_keys(store.access) as keys:
        return (line, *_look_for_keys(keys, MadeKeys.of(bucket).both, is_unused=not is_there))


def _look_for_keys(keys: KeysPort, made: tuple[str, ...], *, is_unused: bool) -> tuple[ReceiptLine, ...]:
    """Ask for the accounts that bear the bucket's name, and remove what is left of them without a bucket.

    A key that may not administer accounts has made none: the session's keys came from a person.
    """
    try:
        names = keys.names()
    except UsageError:
        return ()
    if names is None:
        return ()
    for left in names & set(made) if is_unused else ():
        keys.remove(left)
        names = keys.names() or frozenset()
    return tuple(ReceiptLine(what=f"S3 key {name}", is_gone=name not in names) for name in made)
