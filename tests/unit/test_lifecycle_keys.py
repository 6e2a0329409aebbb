"""A session's keys at its beginning and its end, on small fakes: what is refused, asked and cleaned up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import pytest
from anyio import to_thread

from gitops_run.errors import BackendError, GuardError, NotFound, UsageError
from gitops_run.flows import lifecycle
from gitops_run.model.names import SessionName
from gitops_run.model.session.hindrance import Hindrance
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.receipt import ReceiptLine
from gitops_run.model.session.request import SessionRequest
from gitops_run.model.session.settings import Origin, Source, resolve
from gitops_run.model.session.spec import ClusterFacts, SessionSpec
from gitops_run.model.session.tombstone import Tombstone
from gitops_run.model.stack.events import KnownResources, PendingObject, ResourceStep, StackOutcome
from gitops_run.model.store.keys import MadeKeys
from gitops_run.model.store.objects import StoreAccess

NAME = SessionName.parse("web")
BUCKET = NAME.bucket("uid")
KEYS = MadeKeys.of(BUCKET).both
NEW = ClusterFacts(uid="uid", user="jane")
KNOWN = replace(NEW, owner="jane", target="deploy")
BASE: dict[str, object] = {
    "target": "deploy",
    "context": "kind-a",
    "kubeconfig": "/k",
    "endpoint": "https://s3:9000",
    "accessKey": "ADMIN",
    "secretKey": "hunter1",
    "allowUnlockedFlux": True,
}
GIVEN: dict[str, object] = {
    "readerAccessKey": "R",
    "readerSecretKey": "r",
    "writerAccessKey": "W",
    "writerSecretKey": "w",
}


@dataclass
class World:
    """A cluster, a store and the stacks of somebody. accounts: None where the store makes none.

    known: of a state that was continued from a copy. labelled: what the cluster has with the session's label.
    full: buckets that hold objects. refusals: how often a stack finds something in its way. has_stack:
    whether the session's stack is in the backend. changes: of each up. then: the facts once the stack
    is being made. created: the kinds of what is created before something is in the way.
    """

    facts: ClusterFacts = NEW
    accounts: set[str] | None = field(default_factory=set)
    stuck: frozenset[str] = frozenset()
    buckets: set[str] = field(default_factory=set)
    has_pending: bool = False
    may_administer: bool = True
    known: KnownResources | None = None
    labelled: tuple[PendingObject, ...] = ()
    full: set[str] = field(default_factory=set)
    refusals: int = 0
    declared: list[SessionSpec] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    has_stack: bool = True
    changes: int = 1
    then: ClusterFacts | None = None
    created: tuple[str, ...] = ()

    def refuse_missing(self) -> None:
        if not self.has_stack:
            raise NotFound("there is no stack")

    @property
    def ports(self) -> lifecycle.Ports:
        return lifecycle.Ports(
            stacks=Stacks(self),
            cluster=Cluster(self),
            open_store=self.opened(Buckets(self)),
            open_keys=self.opened(Accounts(self)),
            declare=self.declared.append,
        )

    def opened(self, door: Any) -> Any:
        @contextmanager
        def open_door(access: StoreAccess) -> Iterator[Any]:
            assert access.access_key == "ADMIN"
            yield door

        return open_door


@dataclass
class Stacks:
    world: World

    async def up(
        self, name: str, config: Mapping[str, str], program: Callable[[], None], tell: Any
    ) -> StackOutcome:
        self.world.calls.append("up")
        self.world.facts = self.world.then or self.world.facts
        if self.world.refusals:
            self.world.refusals -= 1
            for kind in self.world.created:
                tell(ResourceStep(resource=kind, kind=kind, operation="create", phase="done"))
            raise GuardError("exists already")
        await to_thread.run_sync(program)
        return StackOutcome(outputs={}, changed=self.world.changes, has_pending=False)

    async def destroy(self, name: str, tell: Any) -> StackOutcome:
        self.world.refuse_missing()
        self.world.calls.append("destroy")
        return StackOutcome(outputs={}, changed=1, has_pending=self.world.has_pending)

    async def drop_cluster(self, name: str) -> None:
        self.world.refuse_missing()
        self.world.calls.append("drop")

    async def forget(self, name: str) -> None:
        self.world.calls.append("forget")

    async def outputs(self, name: str, tell: Any) -> dict[str, str]:
        self.world.refuse_missing()
        return {}

    async def forget_unmade(self, name: str) -> None:
        self.world.calls.append("forget unmade")

    async def known(self, name: str, tell: Any) -> KnownResources | None:
        return self.world.known

    async def discard(self, name: str) -> None:
        self.world.calls.append("discard")

    async def pending_creates(self, name: str) -> tuple[PendingObject, ...]:
        return ()

    async def clear_pending(self, name: str) -> None:
        self.world.calls.append("clear")


@dataclass
class Cluster:
    world: World

    async def facts(self) -> ClusterFacts:
        return self.world.facts

    async def drain(self) -> None:
        pass

    async def hindrances(self) -> tuple[Hindrance, ...]:
        return ()

    async def remains(self) -> tuple[ReceiptLine, ...]:
        return ()

    async def remains_elsewhere(self) -> tuple[ReceiptLine, ...]:
        self.world.calls.append("elsewhere")
        return ()

    async def labelled(self) -> tuple[PendingObject, ...]:
        return self.world.labelled

    async def remove(self, leftovers: Sequence[PendingObject]) -> None:
        self.world.calls += [f"remove {leftover.name}" for leftover in leftovers]
        self.world.labelled = tuple(one for one in self.world.labelled if one not in leftovers)

    async def leave_word(self, stone: Tombstone) -> None:
        self.world.calls.append("leave word")

    async def forget_word(self) -> None:
        self.world.calls.append("forget word")


@dataclass
class Buckets:
    world: World

    def exists(self, bucket: str) -> bool:
        return bucket in self.world.buckets

    def is_empty(self, bucket: str) -> bool:
        return bucket not in self.world.full

    def close(self, bucket: str) -> None:
        self.world.calls.append("close")

    def empty(self, bucket: str) -> None:
        self.world.full.discard(bucket)

    def remove(self, bucket: str) -> None:
        assert self.is_empty(bucket)
        self.world.buckets.remove(bucket)


@dataclass
class Accounts:
    world: World

    def names(self) -> frozenset[str] | None:
        if not self.world.may_administer:
            raise UsageError("denied")
        return None if self.world.accounts is None else frozenset(self.world.accounts)

    def remove(self, access_key: str) -> None:
        assert self.world.accounts is not None
        self.world.accounts -= {access_key} - self.world.stuck


def request(elsewhere: Mapping[str, str] | None = None, **stack: object) -> SessionRequest:
    settings = resolve([Source(origin=Origin.STACK, values={**BASE, **stack})])
    return SessionRequest(
        key=SessionKey.of(NAME, settings), settings=settings, ca="", now="now", keys_elsewhere=elsewhere or {}
    )


def up(world: World, asked: SessionRequest) -> SessionSpec:
    return anyio.run(lifecycle.up, asked, world.ports, print)


def test_shared_keys_are_refused_before_anything_is_made() -> None:
    world = World()
    with pytest.raises(GuardError, match="every other session's bucket"):
        up(world, request({"W": "the settings file"}, **GIVEN))
    assert world.calls == []


@pytest.mark.parametrize(
    ("is_whole", "changes", "calls"),
    [(True, 0, ["up"]), (False, 1, ["up"]), (False, 0, ["up", "clear", "up"])],
)
def test_what_somebody_deleted_of_a_session_is_looked_for_where_its_stack_knows_better(
    calls: list[str], changes: int, *, is_whole: bool
) -> None:
    world = World(facts=replace(KNOWN, is_whole=is_whole), changes=changes)
    up(world, request())
    assert world.calls == calls


def test_a_store_that_makes_no_keys_is_refused_before_anything_is_made() -> None:
    world = World(accounts=None)
    with pytest.raises(UsageError, match="no admin API") as refused:
        up(world, request())
    assert "--keys-file" in refused.value.hint
    assert world.calls == []


def test_a_store_that_makes_no_keys_is_fine_for_keys_of_this_session_alone() -> None:
    assert up(World(accounts=None), request(**GIVEN)).store == up(World(), request(**GIVEN)).store


def test_a_session_with_shared_keys_can_be_ended_as_it_is() -> None:
    world = World(facts=KNOWN)
    receipt = anyio.run(lifecycle.down, request({"W": "the settings file"}, **GIVEN), world.ports, print)
    assert not receipt.left


def test_the_receipt_names_both_keys() -> None:
    receipt = anyio.run(lifecycle.down, request(), World(facts=KNOWN).ports, print)
    assert {line.what for line in receipt.lines} == {f"S3 bucket {BUCKET}", *(f"S3 key {k}" for k in KEYS)}


def test_keys_that_the_stack_knew_nothing_of_are_removed_at_the_end_and_others_stay() -> None:
    world = World(facts=KNOWN, accounts={*KEYS, "other"})
    receipt = anyio.run(lifecycle.down, request(), world.ports, print)
    assert not receipt.left
    assert world.accounts == {"other"}


def test_a_key_that_can_not_be_removed_is_reported_as_left() -> None:
    world = World(facts=KNOWN, accounts={*KEYS}, stuck=frozenset(KEYS[:1]))
    with pytest.raises(BackendError, match=f"these remain: S3 key {KEYS[0]}"):
        anyio.run(lifecycle.down, request(), world.ports, print)


def test_keys_of_a_bucket_that_is_still_there_stay() -> None:
    world = World(facts=KNOWN, accounts={*KEYS}, buckets={BUCKET})
    with pytest.raises(BackendError, match=f"S3 bucket {BUCKET}, S3 key"):
        anyio.run(lifecycle.down, request(), world.ports, print)
    assert world.accounts == {*KEYS}


def test_where_the_cluster_is_gone_the_store_is_asked_all_the_same() -> None:
    world = World(accounts={*KEYS}, buckets={BUCKET}, has_pending=True)
    asked = request(cluster="uid")
    receipt = anyio.run(lifecycle.down_without_cluster, asked, world.ports, print)
    assert len(receipt.lines) == 3
    assert not receipt.left
    assert world.accounts == set()
    assert world.buckets == set()


def test_a_store_without_accounts_has_no_keys_to_ask_for() -> None:
    receipt = anyio.run(lifecycle.down, request(), World(facts=KNOWN, accounts=None).ports, print)
    assert [line.what for line in receipt.lines] == [f"S3 bucket {BUCKET}"]


def test_a_session_whose_keys_a_person_made_ends_where_nobody_may_ask_for_accounts() -> None:
    world = World(facts=KNOWN, may_administer=False)
    receipt = anyio.run(lifecycle.down, request(**GIVEN), world.ports, print)
    assert [line.what for line in receipt.lines] == [f"S3 bucket {BUCKET}"]
