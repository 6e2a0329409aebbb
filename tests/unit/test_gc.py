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

from gitops_run.adapters.cluster import control
from gitops_run.adapters.cluster.connection import Connection
from gitops_run.api import collector, requests, sessions
from gitops_run.api.caller import Caller
from gitops_run.errors import BackendError, GitOpsRunError, GuardError, NotFound, TransientError
from gitops_run.flows import lifecycle
from gitops_run.flows.gc import Done, act
from gitops_run.model.flux.conditions import SourceStatus
from gitops_run.model.flux.requests import Request
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
from gitops_run.model.stack.events import PendingObject, StackLock
from gitops_run.model.state.envelope import EventStream, Stamp
from gitops_run.model.state.record import Record
from gitops_run.model.state.saves import Answer
from gitops_run.model.state.session_state import SessionState, Writer
from gitops_run.model.state.summary import Summary
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
        (whole(session(IDLE_ALONE)), 0.95, [Kind.IDLING]),
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


def test_the_lock_of_a_run_that_has_ended_is_found_whether_its_session_exists_or_not() -> None:
    lock = StackLock(user="jane", host="laptop", pid=4711, since="2026-11-23T19:10:00Z", path="/lock.json")
    listing = Listing(uid="uid", states=[whole(session(LIMITS))], locks=[("web", lock), ("old", lock)])
    locked = collect(listing, CREATED)
    assert [(one.kind, one.session, one.lock) for one in locked] == [
        (Kind.LOCK, "web", lock),
        (Kind.LOCK, "old", lock),
    ]
    assert "4711" in locked[0].reason


@dataclass
class Port:
    """Do what is asked, but for what fails."""

    fails: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    did: list[str] = field(default_factory=list)

    async def discard(self, finding: Finding) -> bool:
        return await self._do("discard", finding)

    async def suspend(self, finding: Finding) -> bool:
        return await self._do("suspend", finding)

    async def warn(self, finding: Finding) -> bool:
        return await self._do("warn", finding)

    async def answer(self, finding: Finding) -> bool:
        return await self._do("answer", finding)

    async def end(self, finding: Finding) -> bool:
        return await self._do("end", finding)

    async def remove(self, finding: Finding) -> bool:
        return await self._do("remove", finding)

    async def unlock(self, finding: Finding) -> bool:
        return await self._do("unlock", finding)

    async def _do(self, what: str, finding: Finding) -> bool:
        if finding.session in self.fails:
            raise GuardError("it is somebody else's")
        if finding.session in self.changed:
            return False
        self.did.append(f"{what} {finding.session}")
        return True


def test_one_failure_ends_none_of_the_rest() -> None:
    def of(kind: Kind, name: str) -> Finding:
        return Finding(kind=kind, session=name, namespace="", reason="", action="")

    findings = [
        of(Kind.EXPIRED, "bad"),
        of(Kind.EXPIRED, "a"),
        of(Kind.IDLE, "b"),
        of(Kind.EXPIRING, "c"),
        of(Kind.IDLING, "c2"),
        of(Kind.BUCKET, "d"),
        of(Kind.INCOMPLETE, "e"),
        of(Kind.ORPHAN, "f"),
        of(Kind.IDLE, "busy again"),
        of(Kind.REQUESTED, "g"),
        of(Kind.LOCK, "h"),
    ]
    port, told = Port(fails=frozenset({"bad"}), changed=frozenset({"busy again"})), list[Done]()
    done = anyio.run(act, findings, port, told.append)
    assert port.did == [
        "end a",
        "suspend b",
        *("warn c", "warn c2", "discard d", "end e", "remove f", "answer g", "unlock h"),
    ]
    assert [one.finding.session for one in done if one.error] == ["bad"]
    assert [one.finding.session for one in done if not one.is_done and not one.error] == ["busy again"]
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
    assert anyio.run(collecting(seen, hours=11).end, finding) is is_ended
    assert ended == ([f"run-web: {finding.reason}"] if is_ended else [])


@pytest.mark.parametrize(
    ("here", "how"),
    [
        ({("run-web", "web")}, "by its stack"),
        ({("team-a", "web"), ("run-web", "api")}, "by its labels"),
    ],
)
def test_gc_ends_by_its_stack_only_the_session_that_the_stack_is_of(
    monkeypatch: pytest.MonkeyPatch, here: set[tuple[str, str]], how: str
) -> None:
    did: list[str] = []

    async def read_state(*_: object) -> SessionState:
        return whole(session(TTL_ALONE))

    async def ending_by_stack(key: SessionKey, cluster: str, *_: object) -> str:
        return f"{cluster} {key.namespace}/{key.name}"

    async def down(request: str, _: Caller) -> None:
        assert request == "uid run-web/web"
        did.append("by its stack")

    async def down_from_cluster(*_: object) -> None:
        did.append("by its labels")

    for module, name, stand_in in (
        (collector, "read_state", read_state),
        (sessions, "ending_by_stack", ending_by_stack),
        (sessions, "down", down),
        (sessions, "down_from_cluster", down_from_cluster),
    ):
        monkeypatch.setattr(module, name, stand_in)
    seen = [whole(session(TTL_ALONE))]
    (finding,) = found(*seen, hours=11)
    assert anyio.run(replace(collecting(seen, hours=11), stacks=frozenset(here)).end, finding)
    assert did == [how]


def collecting(seen: Sequence[SessionState], hours: float = 0) -> collector.Collector:
    values = {"context": "kind-a", "kubeconfig": "/k"}
    return collector.Collector(
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
        now=lambda: CREATED + timedelta(hours=hours),
    )


def asked(
    verb: str,
    *,
    is_synced: bool = False,
    answers: Sequence[str] = (),
    newest: str = "",
    base: SessionState | None = None,
) -> SessionState:
    """A session of which something is asked. answers, newest: the ids that its record and its row answer."""
    request = Request(id="r1", verb=verb, who="dev@example.com", when="then", why="demo")
    said = [answer_to_id(one) for one in answers]
    return replace(
        base or session(LIMITS),
        source=SourceStatus(request=request),
        synced_by=Writer(holder="dev@laptop/1", since="", is_live=is_synced),
        record=Record(answers=tuple(said)),
        summary=Summary(answer=answer_to_id(newest)) if newest else None,
    )


def answer_to_id(request: str) -> Answer:
    return Answer(request=request, verb="", who="", at="", is_accepted=True)


@pytest.mark.parametrize(
    ("state", "reasons"),
    [
        (asked("suspend"), ["dev@example.com asks to suspend it: demo"]),
        (asked("suspend", is_synced=True), []),
        (asked("end", is_synced=True), ["dev@example.com asks to end it: demo"]),
        (asked("suspend", answers=["r1", "r2"]), []),
        (asked("suspend", newest="r1"), []),
        (asked("suspend", newest="r0", answers=["r0"]), ["dev@example.com asks to suspend it: demo"]),
    ],
)
def test_what_no_live_sync_answers_is_the_collectors_and_so_is_every_end(
    state: SessionState, reasons: list[str]
) -> None:
    assert [one.reason for one in found(state)] == reasons


def test_a_request_comes_before_what_is_due_since_it_may_make_that_out_of_date() -> None:
    state = asked("extend", base=session(TTL_ALONE))
    assert [one.kind for one in found(state, hours=11)] == [Kind.REQUESTED, Kind.EXPIRED]


@dataclass
class Asker:
    """The cluster of a collector: what was carried out, ended and answered there."""

    state: SessionState
    has_policies: bool | None = True
    error: GitOpsRunError | None = None
    did: list[str] = field(default_factory=list)

    def answers(self, monkeypatch: pytest.MonkeyPatch) -> bool:
        async def read_state(*_: object) -> SessionState:
            return self.state

        async def has_policies(_: Connection) -> bool | None:
            return self.has_policies

        async def carry_out(_: Connection, __: SessionState, request: Request) -> None:
            if self.error:
                raise self.error
            self.did.append(request.verb)

        async def record_answer(
            _: Connection, __: SessionState, request: Request, refusal: str, ___: datetime
        ) -> None:
            self.did.append(f"refuse {request.id}: {refusal[:20]}" if refusal else f"answer {request.id}")

        async def down(_: SessionRequest, __: Caller, stone: Tombstone) -> None:
            self.did.append(f"end: {stone.reason}")

        async def withdraw(*_: object) -> None:
            self.did.append("withdraw")

        monkeypatch.setattr(control, "withdraw", withdraw)
        monkeypatch.setattr(collector, "read_state", read_state)
        monkeypatch.setattr(collector, "has_policies", has_policies)
        monkeypatch.setattr(requests, "carry_out", carry_out)
        monkeypatch.setattr(requests, "record_answer", record_answer)
        monkeypatch.setattr(sessions, "down_from_cluster", down)
        (finding,) = found(self.state)
        return anyio.run(collecting([self.state]).answer, finding)


@pytest.mark.parametrize(
    ("asker", "did"),
    [
        (Asker(asked("suspend")), ["suspend", "answer r1"]),
        (Asker(asked("end")), ["end: dev@example.com asks to end it: demo"]),
        (Asker(asked("end", is_synced=True)), ["end: dev@example.com asks to end it: demo"]),
        (Asker(asked("undo"), error=NotFound("nobody syncs")), ["refuse r1: nobody syncs"]),
        (Asker(asked("extend"), error=BackendError("a policy")), ["refuse r1: a policy"]),
        (Asker(asked("suspend"), has_policies=False), ["refuse r1: the platform's admis"]),
        (Asker(asked("end"), has_policies=None), ["refuse r1: the platform's admis"]),
    ],
)
def test_the_collector_carries_out_what_is_asked_and_answers_only_where_nobody_syncs(
    monkeypatch: pytest.MonkeyPatch, asker: Asker, did: list[str]
) -> None:
    assert asker.answers(monkeypatch)
    assert asker.did == did


@pytest.mark.parametrize(
    ("warned", "is_synced", "written"),
    [
        ("", False, ["2026-11-26T18:00:00Z"]),
        ("2026-11-26T18:00:00Z", False, []),
        ("2026-11-25T18:00:00Z", False, ["2026-11-26T18:00:00Z"]),
        ("", True, []),
    ],
)
def test_gc_warns_once_of_each_end_where_no_live_sync_does(
    monkeypatch: pytest.MonkeyPatch, warned: str, written: list[str], *, is_synced: bool
) -> None:
    writer = Writer(holder="dev@laptop/1", since="", is_live=is_synced)
    state = replace(whole(session(TTL_ALONE)), record=Record(warned=warned), synced_by=writer)
    got: list[str] = []

    async def read_state(*_: object) -> SessionState:
        return state

    async def write_record(_: Connection, __: SessionState, record: Record) -> None:
        got.append(record.warned)

    monkeypatch.setattr(collector, "read_state", read_state)
    monkeypatch.setattr(requests, "write_record", write_record)
    (finding,) = found(state, hours=9.5)
    assert anyio.run(collecting([state], hours=9.5).warn, finding)
    assert got == written


@pytest.mark.parametrize(("warned", "written"), [("", 1), ("2026-11-26T09:00:00Z", 0)])
def test_gc_warns_once_before_it_suspends_an_idle_session_that_nobody_syncs(
    monkeypatch: pytest.MonkeyPatch, warned: str, written: int
) -> None:
    state = replace(whole(session(IDLE_ALONE)), record=Record(warned="of a TTL", warned_idle=warned))
    got: list[Record] = []

    async def read_state(*_: object) -> SessionState:
        return state

    async def write_record(_: Connection, __: SessionState, record: Record) -> None:
        got.append(record)

    monkeypatch.setattr(collector, "read_state", read_state)
    monkeypatch.setattr(requests, "write_record", write_record)
    (finding,) = found(state, hours=0.95)
    assert anyio.run(collecting([state], hours=0.95).warn, finding)
    assert got == [Record(warned="of a TTL", warned_idle="2026-11-26T09:00:00Z")] * written


def test_the_end_of_a_session_that_is_synced_is_withdrawn_where_nothing_proves_who_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asker = Asker(asked("end", is_synced=True), has_policies=False)
    with pytest.raises(GuardError, match="admission policies"):
        asker.answers(monkeypatch)
    assert asker.did == ["withdraw"]


def test_a_request_that_fails_for_a_while_is_left_for_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asker = Asker(asked("suspend"), error=TransientError("the cluster is away"))
    with pytest.raises(TransientError):
        asker.answers(monkeypatch)
    assert asker.did == []


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
