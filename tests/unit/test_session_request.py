"""What is refused before a session is made, in which order, by `pulumi up` typed by hand and by the tool."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from gitops_run.declare import spec as by_hand
from gitops_run.errors import GitOpsRunError
from gitops_run.flows import lifecycle
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.request import SessionRequest
from gitops_run.model.session.settings import Origin, Source, resolve
from gitops_run.model.session.spec import ClusterFacts
from tests.unit.test_lifecycle_keys import BASE, GIVEN, NAME, World

WRONG: dict[str, tuple[dict[str, object], dict[str, object], str]] = {
    "context": ({"context": "far"}, {}, "context 'far'"),
    "cluster": ({"cluster": "another"}, {}, "was created in another cluster"),
    "owner": ({}, {"owner": "joe", "target": "deploy"}, "belongs to joe"),
    "target": ({"target": "other"}, {"target": "deploy"}, "applies deploy, not other"),
    "pod security": ({"podSecurity": "baseline"}, {"pod_security": "restricted"}, "podSecurity baseline"),
    "flux": ({"allowUnlockedFlux": False}, {}, "locked down"),
    "keys": ({"writerSecretKey": None}, {}, "writerSecretKey"),
}
"""Settings and facts that are refused, first what is refused first, and a part of the error's text."""


def refusal_by_hand(monkeypatch: pytest.MonkeyPatch, source: Source, facts: ClusterFacts) -> str:
    async def read_facts(_: SessionKey) -> ClusterFacts:
        return facts

    monkeypatch.setattr(by_hand, "read_facts", read_facts)
    with pytest.raises(GitOpsRunError) as refused:
        by_hand.spec_of(NAME, [source])
    return refused.value.message


def refusal_by_the_tool(source: Source, facts: ClusterFacts) -> str:
    settings = resolve([source])
    request = SessionRequest(key=SessionKey.of(NAME, settings), settings=settings, ca="", now="now")
    world = World(facts=facts)
    with pytest.raises(GitOpsRunError) as refused:
        anyio.run(lifecycle.up, request, world.ports, print)
    assert world.calls == []
    return refused.value.message


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Make a session where these things are wrong, both ways."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def refusals(*wrong: str) -> tuple[str, str]:
        values: dict[str, object] = {**BASE, **GIVEN}
        told: dict[str, object] = {"uid": "uid", "user": "jane"}
        for name in wrong:
            values |= WRONG[name][0]
            told |= WRONG[name][1]
        source = Source(
            origin=Origin.FLAG, values={key: one for key, one in values.items() if one is not None}
        )
        facts = ClusterFacts(**told)  # type: ignore[arg-type]
        return refusal_by_hand(monkeypatch, source, facts), refusal_by_the_tool(source, facts)

    return refusals


@pytest.mark.parametrize("wrong", WRONG)
def test_pulumi_up_and_the_tool_refuse_the_same(wrong: str, refusals: Callable[..., tuple[str, str]]) -> None:
    by_hand, by_the_tool = refusals(wrong)
    assert by_hand == by_the_tool
    assert WRONG[wrong][2] in by_hand


@pytest.mark.parametrize(("first", "second"), list(pairwise(WRONG)))
def test_of_two_things_that_are_wrong_both_name_the_same_first(
    first: str, second: str, refusals: Callable[..., tuple[str, str]]
) -> None:
    by_hand, by_the_tool = refusals(first, second)
    assert by_hand == by_the_tool
    assert WRONG[first][2] in by_hand
