"""A session that another stack made, or whose stack is in another backend: refused, and nothing is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gitops_run.errors import GuardError, NotFound
from gitops_run.flows import lifecycle
from gitops_run.model.names import SessionName
from gitops_run.model.session.hindrance import Hindrance
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.receipt import ReceiptLine
from gitops_run.model.session.request import SessionRequest
from gitops_run.model.session.settings import Origin, Source, resolve
from gitops_run.model.session.spec import ClusterFacts
from gitops_run.model.stack.events import PendingObject, StackOutcome
from tests.unit.test_lifecycle_keys import KNOWN, NEW, World, request, up

DONE = StackOutcome(outputs={}, changed=0, has_pending=False)
TOLD = {"namespace": "run-web"}


@dataclass
class FakeStacks:
    """A backend. told: what its stack tells, None where it has none."""

    told: dict[str, str] | None
    calls: list[str] = field(default_factory=list)

    async def outputs(self, name: str, tell: Any) -> dict[str, str]:
        if self.told is None:
            raise NotFound(name)
        return self.told

    async def up(
        self, name: str, config: Mapping[str, str], program: Callable[[], None], tell: Any
    ) -> StackOutcome:
        self.calls.append("up")
        return DONE

    async def destroy(self, name: str, tell: Any) -> StackOutcome:
        if self.told is None:
            raise NotFound(name)
        self.calls.append("destroy")
        return DONE

    async def known(self, name: str, tell: Any) -> None:
        """Its state was never cut off."""

    async def forget(self, name: str) -> None:
        """It knows nothing."""


@dataclass
class FakeCluster:
    stack: str
    target: str = "app"

    async def facts(self) -> ClusterFacts:
        return ClusterFacts(uid="uid", user="jane", target=self.target, stack=self.stack)

    async def labelled(self) -> tuple[PendingObject, ...]:
        return ()

    async def drain(self) -> None:
        pass

    async def hindrances(self) -> tuple[Hindrance, ...]:
        return ()

    async def remains(self) -> tuple[ReceiptLine, ...]:
        return ()


Flow = Callable[..., Any]


def _run(flow: Flow, stacks: FakeStacks, cluster: FakeCluster) -> None:
    said = {"context": "kind-dev", "kubeconfig": "/k", "target": "app", "store": "in-cluster"}
    settings = resolve([Source(origin=Origin.FLAG, values={**said, "allowUnlockedFlux": True})])
    ports = lifecycle.Ports(
        stacks=stacks,  # type: ignore[arg-type]
        cluster=cluster,  # type: ignore[arg-type]
        open_store=lambda _: nullcontext(None),  # type: ignore[arg-type]
        open_keys=lambda _: nullcontext(None),  # type: ignore[arg-type]
        declare=lambda _: None,
    )
    key = SessionKey.of(SessionName.parse("web"), settings)
    request = SessionRequest(key=key, settings=settings, ca="", now="now")
    asyncio.run(flow(request, ports, print))


@pytest.mark.parametrize("flow", [lifecycle.up, lifecycle.down])
@pytest.mark.parametrize("told", [None, {}])
def test_a_session_that_another_stack_made_is_refused_with_the_name_of_that_stack(
    flow: Flow, told: dict[str, str] | None
) -> None:
    stacks = FakeStacks(told)
    with pytest.raises(GuardError, match="created by stack all of project fleet"):
        _run(flow, stacks, FakeCluster("fleet/all"))
    assert stacks.calls == []


@pytest.mark.parametrize("flow", [lifecycle.up, lifecycle.down])
@pytest.mark.parametrize("stack", ["", "gitops-run/web"])
def test_a_session_without_a_stack_in_this_backend_is_refused(flow: Flow, stack: str) -> None:
    stacks = FakeStacks(None)
    with pytest.raises(GuardError, match="its stack is not in the current backend"):
        _run(flow, stacks, FakeCluster(stack))
    assert stacks.calls == []


def test_a_session_that_another_stack_has_half_made_is_refused() -> None:
    stacks = FakeStacks(None)
    with pytest.raises(GuardError, match="created by stack all of project fleet"):
        _run(lifecycle.up, stacks, FakeCluster("fleet/all", target=""))
    assert stacks.calls == []


@pytest.mark.parametrize(("flow", "call"), [(lifecycle.up, "up"), (lifecycle.down, "destroy")])
@pytest.mark.parametrize(
    ("stack", "told"), [("gitops-run/web", {}), ("gitops-run/web", TOLD), ("", TOLD), ("fleet/all", TOLD)]
)
def test_a_session_whose_stack_is_here_goes_on(
    flow: Flow, call: str, stack: str, told: dict[str, str]
) -> None:
    stacks = FakeStacks(told)
    _run(flow, stacks, FakeCluster(stack))
    assert stacks.calls == [call]


def test_a_session_that_is_not_there_yet_is_made() -> None:
    stacks = FakeStacks(None)
    _run(lifecycle.up, stacks, FakeCluster("", target=""))
    assert stacks.calls == ["up"]


@pytest.mark.parametrize(
    ("then", "said"),
    [
        (replace(KNOWN, owner="joe"), "belongs to joe, not to jane"),
        (replace(NEW, stack="gitops-run/web"), "its stack is not in the current backend"),
        (replace(NEW, stack="fleet/all"), "created by stack all of project fleet"),
    ],
)
def test_who_is_second_at_the_same_moment_is_refused_and_leaves_no_stack(
    then: ClusterFacts, said: str
) -> None:
    world = World(refusals=1, then=then)
    with pytest.raises(GuardError, match=said):
        up(world, request())
    assert world.calls == ["up", "forget unmade"]


@pytest.mark.parametrize(
    ("world", "forgets"),
    [
        (World(refusals=1, then=KNOWN, created=("Namespace",)), []),
        (World(refusals=1, facts=KNOWN), []),
        (World(refusals=1), ["forget unmade"]),
    ],
    ids=["its namespace is ours", "it was there before", "there is none"],
)
def test_what_is_in_the_way_of_one_s_own_session_is_reported_as_it_is(
    world: World, forgets: list[str]
) -> None:
    with pytest.raises(GuardError, match="exists already"):
        up(world, request())
    assert world.calls == ["up", *forgets]


@pytest.mark.parametrize(
    ("then", "said"),
    [
        (replace(KNOWN, owner="joe"), "belongs to joe, not to jane"),
        (replace(KNOWN, target="elsewhere"), "applies elsewhere, not deploy"),
    ],
)
def test_a_session_that_is_made_before_the_stack_s_lock_is_free_is_looked_at_again(
    then: ClusterFacts, said: str
) -> None:
    world = World(then=then)
    with pytest.raises(GuardError, match=said):
        up(world, request())
    assert world.declared == []


def test_a_session_of_one_s_own_that_is_made_before_the_stack_s_lock_is_free_goes_on() -> None:
    world = World(then=KNOWN)
    up(world, request())
    assert len(world.declared) == 1
