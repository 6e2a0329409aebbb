"""What the sessions of a team may have together."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_run.errors import GuardError, UsageError
from gitops_run.model.manifests import session as manifests
from gitops_run.model.manifests.bounds import bounds_objects
from gitops_run.model.platform.platform import resolve_platform
from gitops_run.model.session.isolation import IsolationRules, read_rules, rule_annotations
from gitops_run.model.session.settings import Origin, Source
from gitops_run.model.session.teams import TeamSession, parse_team_quotas, refuse_team
from tests.unit.test_lifecycle_keys import NEW, World, request, up

TEAMS = parse_team_quotas(["payments/cpu=10", "payments/memory=20Gi", "search/pods=5"])
RULES = IsolationRules(teams=TEAMS)
CANONICAL = {"requests.cpu": "2500m", "requests.memory": "4Gi"}
OTHER = TeamSession(team="payments", namespace="run-other", hard=CANONICAL)


def world(*sessions: TeamSession) -> World:
    return World(facts=replace(NEW, rules=RULES, team_sessions=sessions))


def asked(team: str = "payments", **hard: str) -> TeamSession:
    return TeamSession(team=team, namespace="run-web", hard={f"requests.{key}": hard[key] for key in hard})


def test_a_session_counts_for_its_team_alone_and_not_twice() -> None:
    refuse_team(asked(cpu="7500m", memory="16Gi"), TEAMS, [OTHER])
    of_another_team = replace(OTHER, team="search")
    itself = replace(OTHER, namespace="run-web")
    refuse_team(asked(cpu="10", memory="20Gi"), TEAMS, [of_another_team, itself])


def test_what_the_team_would_have_too_much_of_is_refused_with_the_rule_and_the_sums() -> None:
    with pytest.raises(GuardError, match="rule teamQuota") as refused:
        refuse_team(asked(cpu="1", memory="17Gi"), TEAMS, [OTHER])
    assert (
        "memory=20Gi in all: its other sessions have 4Gi, and this one asks for 17Gi" in refused.value.message
    )


@pytest.mark.parametrize("sessions", [[replace(OTHER, hard={})], []])
def test_what_has_no_limit_is_more_than_any_quota(sessions: list[TeamSession]) -> None:
    with pytest.raises(GuardError, match="unlimited"):
        refuse_team(asked(memory="1Gi", **({"cpu": "1"} if sessions else {})), TEAMS, sessions)


@pytest.mark.parametrize(
    ("team", "said"), [("", "expects each session to name its team"), ("ads", "team ads")]
)
def test_a_session_names_one_of_the_platform_s_teams(team: str, said: str) -> None:
    with pytest.raises(GuardError, match=said) as refused:
        refuse_team(asked(team), TEAMS, [])
    assert refused.value.hint == "choose team payments or search"
    refuse_team(asked(team), {}, [])


def test_sums_that_this_user_may_not_see_are_no_permission() -> None:
    with pytest.raises(GuardError, match="you may not see"):
        refuse_team(asked(cpu="1", memory="1Gi"), TEAMS, None)


@settings(max_examples=25)
@given(st.lists(st.integers(min_value=1, max_value=20), min_size=1, max_size=5))
def test_sessions_are_refused_exactly_from_the_first_that_is_too_much(pods: list[int]) -> None:
    most = parse_team_quotas(["a/pods=20"])
    there: list[TeamSession] = []
    for number, wanted in enumerate(pods):
        one = TeamSession(team="a", namespace=f"run-{number}", hard={"pods": str(wanted)})
        taken = sum(int(other.hard["pods"]) for other in there)
        try:
            refuse_team(one, most, there)
        except GuardError:
            assert taken + wanted > 20
        else:
            assert taken + wanted <= 20
            there.append(one)


def test_a_refused_session_is_refused_before_anything_is_made() -> None:
    full = world(OTHER)
    with pytest.raises(GuardError, match="teamQuota"):
        up(full, request(None, team="payments", quota=["cpu=8"]))
    assert full.declared == []


def test_the_team_stands_on_the_namespace_and_the_quota_by_which_it_is_counted() -> None:
    spec = up(world(OTHER), request(None, team="payments", quota=["cpu=7", "memory=1Gi"]))
    quota = next(one for one in bounds_objects(spec) if one["kind"] == "ResourceQuota")
    labels = [one["metadata"]["labels"] for one in (manifests.namespace(spec, "s"), quota)]
    assert [one["gitops-run.dev/team"] for one in labels] == ["payments", "payments"]
    alone = up(World(), request(None))
    assert "gitops-run.dev/team" not in manifests.namespace(alone, "s")["metadata"]["labels"]


def test_the_rule_is_the_same_after_it_was_an_annotation() -> None:
    assert read_rules(rule_annotations(RULES)) == RULES


@pytest.mark.parametrize("text", ["cpu=4", "payments/cpu=x", "Payments/cpu=4", "/cpu=4", "payments/gpu=4"])
def test_what_is_no_quota_of_a_team_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="payments/cpu=32"):
        resolve_platform([Source(origin=Origin.FLAG, values={"teamQuota": text})])
