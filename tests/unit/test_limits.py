"""TTL and idle limit: durations, what a platform allows, and what is due of a session at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_run.errors import GuardError, NotFound, UsageError
from gitops_run.flows.expiry import warn_of_end
from gitops_run.model.flux.conditions import SourceStatus
from gitops_run.model.session.limits import (
    NO_END,
    NO_RULES,
    Duration,
    Lifetime,
    Limits,
    TimeRules,
    choose_limits,
    read_lifetime,
    read_rules,
    refuse_ended,
    refuse_limits,
    rule_annotations,
    time_annotations,
    write_time,
)
from gitops_run.model.state.due import Action, due, extended, time_left
from gitops_run.model.state.events import Event, SessionExpiring, SessionIdle
from gitops_run.model.state.saves import Outcome
from gitops_run.model.state.session_state import Phase, Place, SessionState, TargetState, phase
from gitops_run.model.state.summary import SaveSummary, Summary
from tests.virtual_time import scenario

CREATED = datetime(2026, 11, 26, 8, 0, 0, tzinfo=UTC)
TEN_HOURS = Duration.parse("10h")
LIMITS = Limits(ttl=TEN_HOURS, idle=Duration.parse("1h"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90m", 5400), ("8h", 28_800), ("3d", 259_200), ("1h30m", 5400), ("1d1s", 86_401), ("20s", 20)],
)
def test_a_duration_is_read_as_people_write_it(text: str, seconds: int) -> None:
    assert Duration.parse(text).seconds == seconds


@pytest.mark.parametrize(
    "text", ["", "0s", "-1h", "8", "h", "1m1h", "1.5h", "8 h", "never", "08h", "1H", "1٣h"]
)
def test_what_is_no_duration_is_refused_with_a_form_that_is_one(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        Duration.parse(text)
    assert "90m, 8h, 3d" in refused.value.hint


@settings(max_examples=25)
@given(st.integers(min_value=1, max_value=9_999 * 86_400))
def test_a_duration_is_the_same_after_it_was_written(seconds: int) -> None:
    duration = Duration(seconds)
    assert Duration.parse(str(duration)) == duration
    assert Duration.parse(duration.for_cel) == duration
    assert "d" not in duration.for_cel


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5s"), (61, "1m1s"), (90_061, "1d1h"), (86_400, "1d"), (3_605, "1h")]
)
def test_a_duration_is_written_roughly_with_two_units(seconds: int, text: str) -> None:
    assert Duration(seconds).rough == text


def test_limits_are_the_same_after_they_were_annotations() -> None:
    said = time_annotations(LIMITS, write_time(CREATED))
    assert read_lifetime(said) == Lifetime(limits=LIMITS, expires="2026-11-26T18:00:00Z")
    assert time_annotations(Limits(), write_time(CREATED)) == {}
    assert read_lifetime({}) == NO_END


def test_annotations_that_can_not_be_read_limit_nothing() -> None:
    broken = read_lifetime({"gitops-run.dev/ttl": "soon", "gitops-run.dev/expires": "tomorrow"})
    assert broken.ends_at is None
    assert broken.warns_at is None


RULES = TimeRules(ttl=Duration.parse("8h"), max_ttl=Duration.parse("3d"), max_idle=Duration.parse("2h"))


@pytest.mark.parametrize(
    ("ttl", "idle", "rules", "expected"),
    [
        (None, None, NO_RULES, Limits()),
        ("10h", "1h", NO_RULES, LIMITS),
        (None, None, RULES, Limits(ttl=RULES.ttl, idle=RULES.max_idle)),
        ("10h", None, RULES, Limits(ttl=TEN_HOURS, idle=RULES.max_idle)),
        ("never", "never", RULES, Limits()),
    ],
)
def test_a_session_that_says_nothing_gets_the_platforms_default_or_its_maximum(
    ttl: str | None, idle: str | None, rules: TimeRules, expected: Limits
) -> None:
    assert choose_limits(ttl, idle, rules) == expected


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        (Limits(ttl=Duration.parse("73h"), idle=RULES.max_idle), "sessionMaxTtl"),
        (Limits(idle=RULES.max_idle), "sessionMaxTtl"),
        (Limits(ttl=RULES.max_ttl), "sessionMaxIdleLimit"),
        (Limits(ttl=RULES.max_ttl, idle=Duration.parse("121m")), "sessionMaxIdleLimit"),
    ],
)
def test_limits_beyond_the_platforms_are_refused_with_the_name_of_the_rule(limits: Limits, rule: str) -> None:
    with pytest.raises(GuardError, match=rule):
        refuse_limits(limits, RULES)


def test_limits_within_the_platforms_are_allowed() -> None:
    refuse_limits(Limits(ttl=RULES.max_ttl, idle=RULES.max_idle), RULES)
    refuse_limits(Limits(), NO_RULES)


def test_rules_are_the_same_after_they_were_annotations() -> None:
    assert read_rules(rule_annotations(RULES)) == RULES
    assert read_rules({}) == NO_RULES


def test_a_session_whose_time_is_over_is_not_brought_up() -> None:
    refuse_ended("web", CREATED + timedelta(seconds=1), write_time(CREATED))
    refuse_ended("web", None, write_time(CREATED))
    with pytest.raises(GuardError) as refused:
        refuse_ended("web", CREATED, write_time(CREATED))
    assert "gitops-run extend NAME" in refused.value.hint


def session(
    limits: Limits = LIMITS, *, extended_to: str = "", saved: str = "", target: TargetState | None = None
) -> SessionState:
    place = Place(
        root="app",
        targets=(".",),
        created=write_time(CREATED),
        store="s3",
        lifetime=replace(read_lifetime(time_annotations(limits, write_time(CREATED))), extended=extended_to),
    )
    last = SaveSummary(run=1, number=1, at=saved, outcome=Outcome.BROKEN, took_ms=1, files=1)
    return SessionState(
        namespace="run-web",
        name="web",
        place=place,
        summary=Summary(last=last) if saved else None,
        targets=(target or TargetState(target=".", object="Kustomization web"),),
    )


SUSPENDED = TargetState(target=".", object="Kustomization web", is_suspended=True)
RESUMED = TargetState(target=".", object="Kustomization web", resumed_at="2026-11-26T12:00:00Z")
TTL_ALONE, IDLE_ALONE = Limits(ttl=TEN_HOURS), Limits(idle=Duration.parse("1h"))


@pytest.mark.parametrize(
    ("state", "hours", "expected"),
    [
        (session(Limits()), 9_999, ()),
        (SessionState(namespace="run-web", name="web"), 9_999, ()),
        (session(TTL_ALONE), 8.9, ()),
        (session(TTL_ALONE), 9, (Action.WARN,)),
        (session(TTL_ALONE), 10, (Action.END,)),
        (session(TTL_ALONE, extended_to="2026-11-26T20:00:00Z"), 10.9, ()),
        (session(TTL_ALONE, extended_to="2026-11-26T20:00:00Z"), 11, (Action.WARN,)),
        (session(TTL_ALONE, extended_to="2026-11-26T20:00:00Z"), 12, (Action.END,)),
        (session(TTL_ALONE, extended_to="2026-11-26T09:00:00Z"), 8, ()),
        (session(TTL_ALONE, extended_to="later"), 10, (Action.END,)),
        (session(IDLE_ALONE), 0.89, ()),
        (session(IDLE_ALONE), 0.9, (Action.WARN_IDLE,)),
        (session(IDLE_ALONE), 1, (Action.SUSPEND,)),
        (session(IDLE_ALONE, saved="2026-11-26T09:30:00.123+00:00"), 2.5, (Action.WARN_IDLE,)),
        (session(IDLE_ALONE, saved="2026-11-26T09:30:00Z"), 2.5, (Action.SUSPEND,)),
        (session(IDLE_ALONE, target=SUSPENDED), 99, ()),
        (session(IDLE_ALONE, target=RESUMED), 4.8, ()),
        (session(IDLE_ALONE, target=RESUMED), 5, (Action.SUSPEND,)),
        (session(LIMITS, saved="2026-11-26T16:30:00Z"), 9.4, (Action.WARN_IDLE, Action.WARN)),
        (session(LIMITS), 9.5, (Action.SUSPEND, Action.WARN)),
        (session(LIMITS), 10, (Action.END,)),
        (session(LIMITS, target=SUSPENDED), 10, (Action.END,)),
    ],
)
def test_what_is_due_follows_from_ttl_saves_and_the_last_resume(
    state: SessionState, hours: float, expected: tuple[Action, ...]
) -> None:
    assert tuple(one.action for one in due(state, CREATED + timedelta(hours=hours))) == expected


@pytest.mark.parametrize(
    ("target", "hours", "expected"),
    [
        (None, 8.9, Phase.NEW),
        (None, 9, Phase.EXPIRING),
        (None, 10, Phase.EXPIRED),
        (SUSPENDED, 9, Phase.SUSPENDED),
        (SUSPENDED, 10, Phase.EXPIRED),
    ],
)
def test_a_session_is_expiring_in_the_last_tenth_of_its_ttl_and_expired_after_it(
    target: TargetState | None, hours: float, expected: Phase
) -> None:
    state = replace(session(TTL_ALONE, target=target), source=SourceStatus())
    assert phase(state, CREATED + timedelta(hours=hours)) is expected


def test_what_is_left_is_counted_to_the_end_and_to_the_suspension() -> None:
    left = time_left(session(saved="2026-11-26T08:30:00Z"), CREATED + timedelta(hours=1))
    assert left is not None
    assert (left.ttl, left.left_s, left.expires) == ("10h", 9 * 3600, "2026-11-26T18:00:00Z")
    assert (left.idle_limit, left.idle_left_s, left.idle_until) == ("1h", 1800, "2026-11-26T09:30:00Z")
    assert not left.is_extended
    assert time_left(session(Limits()), CREATED) is None


@pytest.mark.parametrize(
    ("hours", "by", "expected"),
    [
        (1, None, "2026-11-27T04:00:00Z"),
        (1, "4h", "2026-11-26T22:00:00Z"),
        (30, "4h", "2026-11-27T18:00:00Z"),
    ],
)
def test_a_session_is_extended_from_its_end_or_from_now_where_that_is_over(
    hours: int, by: str | None, expected: str
) -> None:
    duration = Duration.parse(by) if by else None
    found = extended(session(), duration, CREATED + timedelta(hours=hours), NO_RULES)
    assert write_time(found) == expected


def test_an_extension_beyond_the_platforms_maximum_is_refused_and_the_hint_is_within_it() -> None:
    with pytest.raises(GuardError, match="sessionMaxTtl") as refused:
        extended(session(), Duration.parse("63h"), CREATED, RULES)
    assert "gitops-run extend NAME 2d14h" in refused.value.hint
    assert write_time(extended(session(), Duration.parse("62h"), CREATED, RULES)) == "2026-11-29T08:00:00Z"


def test_a_session_without_a_ttl_is_not_extended() -> None:
    with pytest.raises(UsageError, match="has no TTL"):
        extended(session(IDLE_ALONE), None, CREATED, NO_RULES)


class Watched:
    """A session's limits, which a test changes."""

    def __init__(self, lifetime: Lifetime, idle_at: datetime | None = None) -> None:
        self.lifetime = lifetime
        self.idle_end = idle_at
        self.is_gone = False
        self._news = anyio.Event()

    async def changed(self) -> None:
        await self._news.wait()
        if self.is_gone:
            raise NotFound("it is gone")

    def idle_at(self, last_save: str) -> datetime | None:
        return self.idle_end

    def change(self, lifetime: Lifetime, *, is_gone: bool = False) -> None:
        self.lifetime, self.is_gone = lifetime, is_gone
        self._news.set()
        self._news = anyio.Event()


def clock() -> Callable[[], datetime]:
    began = anyio.current_time()
    return lambda: CREATED + timedelta(seconds=anyio.current_time() - began)


@scenario
async def test_the_loop_warns_once_of_each_end_and_stops_with_the_session() -> None:
    lifetime = read_lifetime(time_annotations(TTL_ALONE, write_time(CREATED)))
    flux, told = Watched(lifetime), list[Event]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(warn_of_end, flux, str, told.append, clock())
        await anyio.sleep(9 * 3600 - 1)
        assert not told
        await anyio.sleep(1800)
        assert [type(event) for event in told] == [SessionExpiring]
        flux.change(replace(lifetime, extended="2026-11-26T20:00:00Z"))
        await anyio.sleep(2 * 3600)
        flux.change(lifetime, is_gone=True)
    ends = [event.expires for event in told if isinstance(event, SessionExpiring)]
    assert ends == ["2026-11-26T18:00:00Z", "2026-11-26T20:00:00Z"]


@scenario
async def test_the_loop_warns_once_before_each_suspension_of_an_idle_session() -> None:
    """A tenth of the idle limit of 1 h is 6 min."""
    lifetime = read_lifetime(time_annotations(IDLE_ALONE, write_time(CREATED)))
    first = CREATED + timedelta(hours=1)
    flux, told = Watched(lifetime, first), list[Event]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(warn_of_end, flux, str, told.append, clock())
        await anyio.sleep(54 * 60 - 1)
        assert not told
        await anyio.sleep(2 * 60)
        flux.idle_end = first + timedelta(hours=1)  # a save
        await anyio.sleep(3600)
        flux.idle_end = None  # suspended
        await anyio.sleep(3600)
        flux.change(lifetime, is_gone=True)
    assert [event.until for event in told if isinstance(event, SessionIdle)] == [
        "2026-11-26T09:00:00Z",
        "2026-11-26T10:00:00Z",
    ]
    assert all("gitops-run resume NAME" in event.hint for event in told if isinstance(event, SessionIdle))
