"""Events, the record they fold into, and the state that everyone reads."""

from __future__ import annotations

import functools
import itertools
import json
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_run.model.flux.conditions import ApplierStatus, SourceStatus
from gitops_run.model.flux.helm_release import HelmValues
from gitops_run.model.objects.change import Change, FieldChange
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.state.document import to_document
from gitops_run.model.state.envelope import Envelope, EventStream, Stamp, from_json, to_json
from gitops_run.model.state.events import (
    Event,
    HealthChanged,
    NamedNamespace,
    SaveApplied,
    SaveBroken,
    SaveFailed,
    SaveHealthy,
    SavePushed,
    SaveSuperseded,
    SaveUnchanged,
    SaveUndecided,
    ServiceFailed,
    SnapshotKept,
    SyncStarted,
    TreeIsLive,
    WorkTreeSeen,
)
from gitops_run.model.state.record import SAVES_MAX, Record, begin_run, fold
from gitops_run.model.state.saves import Outcome
from gitops_run.model.state.session_state import (
    EMPTY_REVISION,
    ApplierSeen,
    Fact,
    LeaseSeen,
    NamespaceSeen,
    OwnerSeen,
    Phase,
    Place,
    RecordSeen,
    SessionState,
    SourceSeen,
    SummarySeen,
    Writer,
    phase,
    reduce,
)
from gitops_run.model.state.summary import summarize
from gitops_run.model.state.texts import (
    RECORD_BYTES_MAX,
    SUMMARY_BYTES_MAX,
    parse_record,
    parse_summary,
    record_text,
    summary_text,
)
from gitops_run.model.text.problem import Problem

WEB = ObjectRef(group="apps", kind="Deployment", namespace="run-web", name="web")
REVISION = "sha256:" + "a" * 64
PLACE = Place(root="app", targets=("deploy",), created="", store="s3")
NOW = datetime(2026, 11, 26, tzinfo=UTC)
few = settings(max_examples=25, deadline=None)

TEXTS = st.text(max_size=8) | st.just("\x00\x1b✓𝄞" * 300)
REFS = st.sampled_from([WEB, ObjectRef(group="", kind="Secret", namespace="", name="s")])
FIELDS = st.builds(FieldChange, path=TEXTS, before=TEXTS, after=TEXTS)
CHANGES = st.builds(
    Change,
    ref=REFS,
    action=st.sampled_from(["create", "change", "delete", "recreate", "replace"]),
    fields=st.lists(FIELDS, max_size=6).map(tuple),
)
PROBLEMS = st.builds(Problem, message=TEXTS, path=TEXTS, line=st.none() | st.just(3), hint=TEXTS)
PLACES = st.builds(NamedNamespace, path=TEXTS, line=st.just(1), kind=TEXTS, name=TEXTS, named=TEXTS)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: st.integers(0, 3),
    bool: st.booleans(),
    ObjectRef: REFS,
    dict[str, int]: st.dictionaries(st.sampled_from(["rendered", "applied", "x"]), st.integers(0, 10**6)),
    tuple[str, ...]: st.lists(TEXTS, max_size=30).map(tuple),
    tuple[Problem, ...]: st.lists(PROBLEMS, max_size=7).map(tuple),
    tuple[Change, ...]: st.lists(CHANGES, max_size=30).map(tuple),
    tuple[NamedNamespace, ...]: st.lists(PLACES, max_size=2).map(tuple),
}


def events_of(kind: type) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{name: VALUES[hint] for name, hint in get_type_hints(kind).items()})


EVENTS = st.one_of(*(events_of(kind) for kind in get_args(Event)))


def envelopes(events: list[Event]) -> list[Envelope]:
    stamp = Stamp("web", lambda: "2026-11-26T00:00:00Z")
    return [stamp(event) for event in events]


def folded(*events: Event, since: Record | None = None) -> Record:
    return functools.reduce(fold, envelopes(list(events)), since or Record())


def pushed(number: int = 1, *changes: Change) -> SavePushed:
    return SavePushed(
        save=number, puts=("a",), deletes=(), revision=REVISION, is_fenced=False, times_ms={}, changes=changes
    )


def applied(number: int = 1, ms: int = 300, **more: Any) -> SaveApplied:
    return SaveApplied(
        save=number, paths=("a",), revision=REVISION, objects=2, times_ms={"applied": ms}, **more
    )


def broken(number: int = 1) -> SaveBroken:
    problem = Problem(message="not valid YAML", path="app.yaml", line=3)
    return SaveBroken(save=number, paths=("app.yaml",), problems=(problem,))


def failed(number: int = 1) -> SaveFailed:
    return SaveFailed(
        save=number, paths=(), revision=REVISION, reason="BuildFailed", message="no", hint="", times_ms={}
    )


def outcomes(record: Record) -> list[tuple[int, Outcome]]:
    return [(save.number, save.outcome) for save in record.saves]


@few
@given(EVENTS)
def test_an_event_comes_back_from_its_json(event: Event) -> None:
    (envelope,) = envelopes([event])
    assert from_json(json.loads(json.dumps(to_json(envelope)))) == envelope


@few
@given(EVENTS)
def test_a_field_of_a_newer_version_is_left_out(event: Event) -> None:
    (envelope,) = envelopes([event])
    assert from_json(to_json(envelope) | {"colour": "blue"}) == envelope


def test_an_event_of_a_newer_version_is_none_and_what_is_no_event_is_refused() -> None:
    head = {"v": 1, "seq": 1, "ts": "", "session": "web"}
    assert from_json({**head, "type": "save_teleported"}) is None
    refused: tuple[object, ...] = ({}, [], "x", {**head, "type": "save_superseded", "save": "one"})
    for text in refused:
        with pytest.raises(ValueError, match="not an event"):
            from_json(text)


def test_an_object_is_written_for_people_too_and_read_from_its_reference_alone() -> None:
    document = to_json(envelopes([HealthChanged(ref=WEB, health="failed")])[0])
    assert document["object"] == "Deployment run-web/web"
    assert from_json(document | {"object": "Secret elsewhere/x"}) == from_json(document)


def test_a_stream_stamps_each_event_once_for_everybody_who_listens() -> None:
    first: list[Envelope] = []
    late: list[Envelope] = []
    stream = EventStream(Stamp("web", lambda: "now"), first.append)
    stream.emit(broken())
    stream.listen(late.append)
    stream.emit(SaveUnchanged(save=1))
    assert [envelope.seq for envelope in first] == [1, 2]
    assert late == first[1:]


@few
@given(st.lists(EVENTS, max_size=30), st.randoms(use_true_random=False))
def test_folding_is_total_and_what_is_late_or_repeated_changes_nothing(
    events: list[Event], random: Any
) -> None:
    stream = envelopes(events)
    record = functools.reduce(fold, stream, Record())
    again = random.sample(stream, len(stream)) * 2
    assert functools.reduce(fold, again, record) == record


@few
@given(st.lists(EVENTS, max_size=40))
def test_state_and_record_stay_within_their_sizes_and_come_back_from_their_texts(events: list[Event]) -> None:
    record = folded(*events)
    summary, whole = summary_text(summarize(record)), record_text(record)
    assert len(summary.encode()) <= SUMMARY_BYTES_MAX
    assert len(whole.encode()) <= RECORD_BYTES_MAX
    assert parse_summary(summary) is not None
    found = parse_record(whole)
    assert found is not None
    assert found.seq == record.seq


@pytest.mark.parametrize("text", ["", "{", "[]", '{"saves": 3}', '{"v": "one"}', "[" * 100_000])
def test_what_is_no_record_is_none(text: str) -> None:
    assert parse_record(text) is None


def test_the_oldest_details_are_left_out_first() -> None:
    changes = [
        Change(
            ref=WEB,
            action="change",
            fields=(FieldChange(path="p" * 200, before="b" * 80, after="c" * 80),) * 4,
        )
    ] * 20
    record = folded(*(event for n in range(1, 21) for event in (pushed(n, *changes), applied(n))))
    found = parse_record(record_text(record))
    assert found is not None
    has_details = [bool(save.changes) for save in found.saves]
    assert len(has_details) == SAVES_MAX
    assert has_details == sorted(has_details)
    assert has_details[-1]
    assert not has_details[0]


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ([pushed()], Outcome.PUSHED),
        ([pushed(), applied()], Outcome.APPLIED),
        ([pushed(), failed()], Outcome.FAILED),
        ([pushed(), failed(), applied()], Outcome.APPLIED),
        ([pushed(), applied(), failed()], Outcome.APPLIED),
        ([pushed(), SaveSuperseded(save=1, by=2), applied()], Outcome.SUPERSEDED),
        ([pushed(), SaveSuperseded(save=1, by=2), failed()], Outcome.SUPERSEDED),
        (
            [pushed(), SaveUndecided(save=1, revision=REVISION, waited_for="x", seconds=1), applied()],
            Outcome.APPLIED,
        ),
        ([broken(), applied()], Outcome.BROKEN),
        ([broken(), SaveUnchanged(save=1)], Outcome.WITHDRAWN),
        ([broken(), TreeIsLive(revision=REVISION)], Outcome.WITHDRAWN),
    ],
)
def test_a_verdict_follows_only_what_it_may_follow(events: list[Event], outcome: Outcome) -> None:
    assert outcomes(folded(*events)) == [(1, outcome)]


def test_a_verdict_on_a_save_that_nobody_pushed_changes_nothing() -> None:
    assert folded(applied(), failed(), SaveHealthy(save=1, revision="", times_ms={})).saves == ()


def test_saves_of_another_sync_are_other_saves() -> None:
    record = folded(pushed(), applied(), since=begin_run(folded(pushed(), applied())))
    assert [(save.run, save.number) for save in record.saves] == [(0, 1), (1, 1)]


def test_a_broken_save_of_an_earlier_sync_is_withdrawn_where_the_files_are_live() -> None:
    later = begin_run(folded(broken()))
    assert folded(TreeIsLive(revision=REVISION), since=later).last is None


def test_an_unhealthy_object_is_listed_until_it_is_ready_or_deleted() -> None:
    sick = HealthChanged(ref=WEB, health="failed", message="no image")
    assert [one.ref for one in folded(sick, sick).unhealthy] == [WEB]
    assert folded(sick, HealthChanged(ref=WEB, health="ready")).unhealthy == ()
    gone = folded(sick, pushed(1, Change(ref=WEB, action="delete")), applied())
    assert (gone.unhealthy, gone.unhealthy_count) == ((), 0)


def test_a_mended_save_is_nobody_s_measure() -> None:
    assert folded(pushed(), failed(), applied(ms=90_000), pushed(2), applied(2, ms=300)).recent_ms == (300,)


def test_what_the_loop_waits_for_is_told_until_it_goes_on() -> None:
    waiting = ServiceFailed(message="the store is away", hint="", seconds=1)
    assert folded(waiting).trouble == "the store is away"
    assert folded(waiting, pushed()).trouble == ""


def test_what_is_kept_and_where_the_files_stand_is_told() -> None:
    seen = WorkTreeSeen(branch="main", commit="abc", is_dirty=True)
    record = folded(
        SnapshotKept(revision=REVISION, taken="t"), SnapshotKept(revision=REVISION, taken="u"), seen
    )
    assert [(one.revision, one.taken) for one in record.kept] == [(REVISION, "u")]
    assert (record.branch, record.commit, record.is_dirty) == ("main", "abc", True)


@few
@given(st.lists(EVENTS, max_size=10), st.integers(0, 5))
def test_any_state_has_a_phase_and_a_json(events: list[Event], version: int) -> None:
    state = functools.reduce(
        reduce, [*facts(version), *envelopes(events)], SessionState(name="web", namespace="n")
    )
    json.dumps(to_document(state, NOW))
    assert phase(state, NOW) in Phase


def facts(version: int) -> list[Fact]:
    status = ApplierStatus(path="./src/deploy", applied=REVISION, attempted=REVISION, ready="True")
    writer = Writer(holder="me@laptop/1/x", since="", is_live=True)
    return [
        NamespaceSeen(version=version, name="web", created="2026-11-26T00:00:00Z"),
        SourceSeen(version=version, name="web", source=SourceStatus(revision=REVISION), place=PLACE),
        OwnerSeen(version=version, owner="dev"),
        ApplierSeen(
            version=version,
            applier="Kustomization web",
            target="deploy",
            status=status,
            helm=HelmValues(release_name="r"),
        ),
        LeaseSeen(version=version, writer=writer),
        SummarySeen(version=version, summary=summarize(folded(pushed(version), applied(version)))),
        RecordSeen(version=version, record=folded(pushed(version), applied(version))),
    ]


@few
@given(st.permutations(list(itertools.chain(*(facts(version) for version in (1, 2, 3))))))
def test_facts_of_the_cluster_come_to_the_same_in_any_order(order: list[Fact]) -> None:
    empty = SessionState(name="web", namespace="run-web")
    newest = functools.reduce(reduce, facts(3), empty)
    assert functools.reduce(reduce, [*order, *order], empty) == newest


def test_a_renewed_lease_is_no_other_state() -> None:
    state = functools.reduce(reduce, facts(1), SessionState(name="web", namespace="run-web"))
    renewed = LeaseSeen(version=9, writer=state.synced_by)
    assert reduce(state, renewed) == state


LIVE = functools.reduce(reduce, facts(1), SessionState(name="web", namespace="run-web"))


def flux_says(**status: Any) -> ApplierSeen:
    """What Flux says later on."""
    return ApplierSeen(version=2, applier="Kustomization web", status=ApplierStatus(**status))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([], Phase.INCOMPLETE),
        ([SourceSeen(version=1, source=SourceStatus(), place=PLACE)], Phase.NEW),
        ([SourceSeen(version=1, source=SourceStatus(revision=EMPTY_REVISION), place=PLACE)], Phase.NEW),
        ([SourceSeen(version=1, source=SourceStatus(revision=REVISION), place=PLACE)], Phase.PROGRESSING),
        (facts(1), Phase.APPLIED),
        ([*facts(1), SourceSeen(version=2, source=SourceStatus(revision="sha256:b"))], Phase.PROGRESSING),
        (
            [*facts(1), flux_says(is_suspended=True)],
            Phase.SUSPENDED,
        ),
        (
            [
                *facts(1),
                flux_says(attempted="x", ready="False"),
            ],
            Phase.FAILED,
        ),
        ([*facts(1), SummarySeen(version=2, summary=summarize(folded(broken())))], Phase.BROKEN),
        (
            [
                *facts(1),
                SummarySeen(
                    version=2,
                    summary=summarize(
                        folded(pushed(), applied(), SaveHealthy(save=1, revision="", times_ms={}))
                    ),
                ),
            ],
            Phase.LIVE,
        ),
        (
            [
                *facts(1),
                SummarySeen(version=2, summary=summarize(folded(HealthChanged(ref=WEB, health="failed")))),
            ],
            Phase.FAILED,
        ),
        (
            [
                *facts(1),
                SummarySeen(
                    version=2, summary=summarize(folded(HealthChanged(ref=WEB, health="progressing")))
                ),
            ],
            Phase.PROGRESSING,
        ),
    ],
)
def test_a_session_s_phase_is_what_needs_a_person_first(facts: list[Fact], expected: Phase) -> None:
    assert phase(functools.reduce(reduce, facts, SessionState(name="web", namespace="run-web"))) is expected


def test_a_sync_says_since_when_and_for_which_targets() -> None:
    record = folded(SyncStarted(namespace="run-web", context="kind", root="/home/me/app", target="deploy"))
    assert (record.since, record.targets) == ("2026-11-26T00:00:00Z", ("deploy",))
    assert "/home/me" not in record_text(record)
