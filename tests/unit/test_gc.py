"""What gc finds and does, and how a stack learns that its session was ended without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import anyio
import pytest

from gitops_run.adapters.cluster.connection import Connection
from gitops_run.api import collector, sessions
from gitops_run.api.caller import Caller
from gitops_run.errors import GuardError, NotFound
from gitops_run.flows import lifecycle
from gitops_run.flows.gc import Done, act
from gitops_run.model.flux.conditions import SourceStatus
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.limits import write_time
from gitops_run.model.session.request import SessionRequest
from gitops_run.model.session.settings import Origin, Source, resolve
from gitops_run.model.session.tombstone import (
    Tombstone,
    read_tombstone,
    tombstone_manifest,
    tombstone_name,
)
from gitops_run.model.stack.collection import Finding, Kind, Listing, collect
from gitops_run.model.stack.events import PendingObject
from gitops_run.model.state.envelope import EventStream, Stamp
from gitops_run.model.state.session_state import SessionState
from tests.unit.test_lifecycle_keys import BUCKET, KNOWN, NEW, World, request, up
from tests.unit.test_limits import CREATED, IDLE_ALONE, LIMITS, TTL_ALONE, session

STONE = Tombstone(
    session="web", namespace="run-web", by="gc@example.com", at="2026-11-26T18:00:00Z", reason="its TTL ended"
)
NAMESPACE = PendingObject(api_version="v1", kind="Namespace", namespace="", name="run-web")
HALF = SessionState(namespace="run-web", name="web", namespace_created=write_time(CREATED))


def lease(namespace: str = "run-web", name: str = "web") -> PendingObject:
    return PendingObject(api_version="coordination.k8s.io/v1", kind="Lease", namespace=namespace, name=name)


def whole(state: SessionState) -> SessionState:
    return replace(state, source=SourceStatus())


def found(
    *states: SessionState,
    hours: float = 0,
    labelled: Mapping[str, Sequence[PendingObject]] | None = None,
    tombstones: Sequence[Tombstone] = (),
    stored: Sequence[str] = (),
) -> tuple[Finding, ...]:
    listing = Listing(uid="uid", states=states, labelled=labelled or {}, tombstones=tombstones, stored=stored)
    return collect(listing, CREATED + timedelta(hours=hours))


@pytest.mark.parametrize(
    ("state", "hours", "kinds"),
    [
        (whole(session(LIMITS)), 0.5, []),
        (whole(session(IDLE_ALONE)), 2, [Kind.IDLE]),
        (whole(session(TTL_ALONE)), 9, [Kind.EXPIRING]),
        (whole(session(TTL_ALONE)), 11, [Kind.EXPIRED]),
        (HALF, 0.9, []),
        (HALF, 1, [Kind.INCOMPLETE]),
    ],
)
def test_gc_finds_what_is_due_and_what_was_given_up(
    state: SessionState, hours: float, kinds: list[Kind]
) -> None:
    assert [one.kind for one in found(state, hours=hours)] == kinds


def test_a_session_that_gc_was_ending_when_it_was_interrupted_is_ended_at_once() -> None:
    (one,) = found(HALF, tombstones=[STONE])
    assert (one.kind, one.action) == (Kind.INCOMPLETE, "end it")


def test_an_object_with_the_label_of_a_session_that_is_gone_is_an_orphan() -> None:
    web = whole(session(LIMITS))
    here, elsewhere, gone = lease(), lease(namespace="shop"), lease(namespace="run-old", name="old")
    orphans = found(web, labelled={"web": [here, elsewhere], "old": [gone]})
    assert [(one.session, one.namespace, one.objects) for one in orphans] == [
        ("old", "run-old", (gone,)),
        ("web", "shop", (elsewhere,)),
    ]


def test_objects_of_a_session_that_is_being_created_are_no_orphans() -> None:
    assert found(HALF, labelled={"web": [lease()]}) == ()


def test_buckets_and_keys_of_this_clusters_ended_sessions_are_found_and_of_no_other_cluster() -> None:
    old = SessionName.parse("old").bucket("uid")
    stored = [
        SessionName.parse("web").bucket("uid"),
        old,
        f"{old}-reader",
        SessionName.parse("old").bucket("another cluster"),
        "somebody-elses",
        "gitops-run-UPPER-12345678",
    ]
    listed = found(whole(session(LIMITS)), stored=stored)
    assert [one.reason.split()[1] for one in listed] == [old, f"{old}-reader"]
    assert {one.kind for one in listed} == {Kind.BUCKET}


@dataclass
class Port:
    """Do what is asked, but for what fails."""

    fails: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    did: list[str] = field(default_factory=list)

    async def suspend(self, finding: Finding) -> bool:
        return await self._do("suspend", finding)

    async def end(self, finding: Finding) -> bool:
        return await self._do("end", finding)

    async def remove(self, finding: Finding) -> bool:
        return await self._do("remove", finding)

    async def _do(self, what: str, finding: Finding) -> bool:
        if finding.session in self.fails:
            raise GuardError("it is somebody else's")
        if finding.session in self.changed:
            return False
        self.did.append(f"{what} {finding.session}")
        return True


def test_one_failure_ends_none_of_the_rest_and_what_is_listed_alone_is_not_touched() -> None:
    def of(kind: Kind, name: str) -> Finding:
        return Finding(kind=kind, session=name, namespace="", reason="", action="")

    findings = [
        of(Kind.EXPIRED, "bad"),
        of(Kind.EXPIRED, "a"),
        of(Kind.IDLE, "b"),
        of(Kind.EXPIRING, "c"),
        of(Kind.BUCKET, "d"),
        of(Kind.INCOMPLETE, "e"),
        of(Kind.ORPHAN, "f"),
        of(Kind.IDLE, "busy again"),
    ]
    port, told = Port(fails=frozenset({"bad"}), changed=frozenset({"busy again"})), list[Done]()
    done = anyio.run(act, findings, port, told.append)
    assert port.did == ["end a", "suspend b", "end e", "remove f"]
    assert [one.finding.session for one in done if one.error] == ["bad"]
    assert [one.finding.session for one in done if not one.is_done and not one.error] == [
        "c",
        "d",
        "busy again",
    ]
    assert list(done) == told


@pytest.mark.parametrize(
    ("now", "is_ended"),
    [
        (session(TTL_ALONE), True),
        (session(TTL_ALONE, extended_to="2099-01-01T00:00:00Z"), False),
        (None, False),
    ],
)
def test_gc_looks_again_and_leaves_a_session_that_was_extended_or_ended_meanwhile(
    monkeypatch: pytest.MonkeyPatch, now: SessionState | None, *, is_ended: bool
) -> None:
    ended: list[str] = []

    async def read_state(_: Connection, key: SessionKey) -> SessionState:
        if now is None:
            raise NotFound("it is gone")
        return replace(whole(now), namespace=key.namespace)

    async def down(request: SessionRequest, _: Caller, stone: Tombstone) -> None:
        ended.append(f"{request.key.namespace}: {stone.reason}")

    monkeypatch.setattr(collector, "read_state", read_state)
    monkeypatch.setattr(sessions, "down_from_cluster", down)
    seen = [whole(session(TTL_ALONE))]
    (finding,) = found(*seen, hours=11)
    values = {"context": "kind-a", "kubeconfig": "/k"}
    collecting = collector.Collector(
        connection=cast(Connection, None),
        listing=Listing(uid="uid", states=seen),
        settings=resolve([Source(origin=Origin.FLAG, values=values)]),
        caller=Caller(
            environment={},
            here=Path(),
            events=EventStream(Stamp("", lambda: "")),
            report=print,
            tell=print,
            confirm=refuse,
            unfinished=lambda _: nullcontext(),
        ),
        user="gc@example.com",
        stacks=frozenset(),
        now=lambda: CREATED + timedelta(hours=11),
    )
    assert anyio.run(collecting.end, finding) is is_ended
    assert ended == ([f"run-web: {finding.reason}"] if is_ended else [])


async def refuse(_: str) -> bool:
    return False


def test_a_tombstone_is_the_same_after_it_was_in_the_cluster() -> None:
    manifest = tombstone_manifest(STONE)
    assert read_tombstone(manifest) == STONE
    assert manifest["metadata"]["name"] == tombstone_name("run-web")
    assert read_tombstone({}) is None
    assert read_tombstone({"metadata": {"labels": None}, "data": {"session": "web"}}) is None


ENDED = replace(NEW, ended=STONE)


def test_up_clears_what_the_stack_says_of_a_session_that_gc_ended_and_makes_it_again() -> None:
    world = World(facts=ENDED, buckets={BUCKET})
    up(world, request())
    assert world.calls == ["drop", "destroy", "forget", "forget word", "up"]


def test_down_clears_what_the_stack_says_of_a_session_that_gc_ended() -> None:
    world = World(facts=ENDED)
    receipt = anyio.run(lifecycle.down, request(), world.ports, print)
    assert not receipt.left
    assert world.calls == ["drop", "destroy", "forget", "forget word"]


def test_the_word_stays_for_its_stack_where_somebody_else_makes_the_session() -> None:
    world = World(facts=ENDED, has_stack=False)
    up(world, request())
    assert world.calls == ["up"]
    with pytest.raises(NotFound):
        anyio.run(lifecycle.down, request(), world.ports, print)


def test_nothing_is_cleared_of_a_session_that_exists_whatever_a_tombstone_says() -> None:
    world = World(facts=replace(KNOWN, ended=STONE))
    up(world, request())
    assert world.calls == ["up"]


def test_down_clears_the_word_of_a_gc_that_was_interrupted() -> None:
    world = World(facts=replace(KNOWN, ended=STONE))
    anyio.run(lifecycle.down, request(), world.ports, print)
    assert world.calls == ["destroy", "forget", "forget word"]


def test_a_session_that_is_ended_without_its_stack_leaves_word_before_anything_goes() -> None:
    world = World(facts=KNOWN, labelled=(NAMESPACE,), buckets={BUCKET})
    receipt = anyio.run(lifecycle.down_from_cluster, request(), world.ports, print, STONE)
    assert not receipt.left
    assert world.calls == ["leave word", "remove run-web", "close"]
    assert world.buckets == set()


def test_the_time_that_gc_decides_by_is_the_one_it_was_given() -> None:
    moment: datetime = CREATED + timedelta(hours=10)
    listing = Listing(uid="uid", states=[whole(session(TTL_ALONE))])
    assert [one.kind for one in collect(listing, moment)] == [Kind.EXPIRED]
    assert [one.kind for one in collect(listing, moment - timedelta(seconds=1))] == [Kind.EXPIRING]
