"""What keeps an owner within a session: on which Flux one may be made, and what is told of the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gitops_run.errors import GuardError
from gitops_run.flows import lifecycle
from gitops_run.model.names import SessionName
from gitops_run.model.rights.lockdown import Controller, locked_down
from gitops_run.model.session.bounds import refuse_unlocked, warnings
from gitops_run.model.session.hindrance import Hindrance
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.receipt import ReceiptLine
from gitops_run.model.session.request import SessionRequest
from gitops_run.model.session.settings import Origin, Source, resolve
from gitops_run.model.session.spec import (
    ClusterFacts,
    ClusterPin,
    HelmApplier,
    InClusterStore,
    KustomizeApplier,
    SessionSpec,
)
from gitops_run.model.session.tombstone import Tombstone
from gitops_run.model.stack.events import KnownResources, PendingObject, StackEvent, StackNotice, StackOutcome

MAKER, OWNER = "maker@example.com", "dev@example.com"
KUSTOMIZE, HELM = "kustomize-controller", "helm-controller"
SPEC = SessionSpec(
    name=SessionName("web"),
    namespace="run-web",
    owner=OWNER,
    target=".",
    root="web",
    created="2026-01-01T00:00:00Z",
    cluster=ClusterPin(kubeconfig="/k", context="kind-dev", uid="uid"),
    store=InClusterStore(namespace="run-web", region="us-east-1", image="registry/versitygw:v1"),
)
CHART = replace(SPEC, applier=HelmApplier(release_name="web"))


def controller(name: str, *arguments: str) -> Controller:
    return Controller(name=name, arguments=arguments)


LOCKED = tuple(controller(name, *locked_down(name, (), "")) for name in (KUSTOMIZE, HELM))
FACTS = ClusterFacts(uid="uid", user=MAKER, controllers=LOCKED, has_policies=True)


def refused(spec: SessionSpec, facts: ClusterFacts) -> GuardError:
    with pytest.raises(GuardError) as caught:
        refuse_unlocked(spec, facts, is_allowed=False)
    return caught.value


def test_a_flux_that_is_locked_down_is_taken_and_nothing_is_told() -> None:
    refuse_unlocked(SPEC, FACTS, is_allowed=False)
    assert warnings(SPEC, FACTS) == ()


@pytest.mark.parametrize(
    "flag", ["--no-cross-namespace-refs", "--no-remote-bases", "--default-service-account"]
)
def test_a_flux_without_one_flag_of_the_lockdown_is_refused_by_its_name(flag: str) -> None:
    kept = [one for one in LOCKED[0].arguments if not one.startswith(flag)]
    facts = replace(FACTS, controllers=(controller(KUSTOMIZE, *kept), LOCKED[1]))
    error = refused(SPEC, facts)
    assert f"{KUSTOMIZE} lacks {flag}." in error.message
    assert "--allow-unlocked-flux" in error.hint


def test_one_unlocked_installation_of_two_is_refused() -> None:
    assert KUSTOMIZE in refused(SPEC, replace(FACTS, controllers=(*LOCKED, controller(KUSTOMIZE)))).message


def test_a_flux_that_can_not_be_checked_is_refused_as_such() -> None:
    error = refused(SPEC, replace(FACTS, controllers=()))
    assert error.message.startswith("it can't be determined whether this cluster's Flux is locked down")


def test_a_chart_needs_a_helm_controller_that_can_be_checked_and_a_directory_does_not() -> None:
    facts = replace(FACTS, controllers=LOCKED[:1])
    refuse_unlocked(SPEC, facts, is_allowed=False)
    assert HELM in refused(CHART, facts).message


def test_a_refusal_explains_the_policies_where_they_are_not_known_to_be_there() -> None:
    unlocked = replace(FACTS, controllers=(controller(KUSTOMIZE),))
    for unknown in (False, None):
        assert "gitops-run platform up" in refused(SPEC, replace(unlocked, has_policies=unknown)).message
    assert "gitops-run platform up" not in refused(SPEC, unlocked).message


def test_what_the_setting_allows_is_made_and_told() -> None:
    facts = replace(FACTS, controllers=(controller(KUSTOMIZE),))
    refuse_unlocked(SPEC, facts, is_allowed=True)
    (told,) = warnings(SPEC, facts)
    assert "not locked down" in told


def test_a_session_that_exists_is_brought_up_to_date_on_an_unlocked_flux_and_that_is_told() -> None:
    facts = replace(FACTS, controllers=(), owner=OWNER, target=".")
    refuse_unlocked(SPEC, facts, is_allowed=False)
    (told,) = warnings(SPEC, facts)
    assert "can't be determined" in told


def test_a_session_for_somebody_else_tells_what_the_missing_policies_would_add() -> None:
    (told,) = warnings(SPEC, replace(FACTS, has_policies=False))
    assert f"are not in force here. Without them, {OWNER} may change every field" in told
    assert warnings(SPEC, replace(FACTS, has_policies=False, user=OWNER)) == ()


def test_policies_that_may_not_be_read_are_told_as_such() -> None:
    (told,) = warnings(SPEC, replace(FACTS, has_policies=None))
    assert "may not be read here" in told


def test_it_is_told_that_the_owner_can_read_the_age_key() -> None:
    spec = replace(SPEC, applier=KustomizeApplier(decryption_key="AGE-SECRET-KEY-1"))
    (told,) = warnings(spec, FACTS)
    assert f"{OWNER} can read the age key" in told
    assert "AGE-SECRET" not in told


@dataclass
class FakeStacks:
    """Stacks that remember whether anything was asked of them."""

    calls: list[str] = field(default_factory=list)

    async def up(
        self, name: str, config: Mapping[str, str], program: Callable[[], None], tell: Any
    ) -> StackOutcome:
        self.calls.append("up")
        return StackOutcome(outputs={}, changed=1, has_pending=False)

    async def destroy(self, name: str, tell: Any) -> StackOutcome:
        self.calls.append("destroy")
        return StackOutcome(outputs={}, changed=1, has_pending=False)

    async def drop_cluster(self, name: str) -> None:
        self.calls.append("drop")

    async def forget(self, name: str) -> None:
        self.calls.append("forget")

    async def known(self, name: str, tell: Any) -> KnownResources | None:
        return None

    async def discard(self, name: str) -> None:
        self.calls.append("discard")

    async def pending_creates(self, name: str) -> tuple[PendingObject, ...]:
        return ()

    async def clear_pending(self, name: str) -> None:
        self.calls.append("clear")


@dataclass
class FakeCluster:
    """A cluster that tells the same of itself each time, and in which nothing is left."""

    told: ClusterFacts

    async def facts(self) -> ClusterFacts:
        return self.told

    async def drain(self) -> None:
        pass

    async def hindrances(self) -> tuple[Hindrance, ...]:
        return ()

    async def remains(self) -> tuple[ReceiptLine, ...]:
        return ()

    async def remains_elsewhere(self) -> tuple[ReceiptLine, ...]:
        return ()

    async def labelled(self) -> tuple[PendingObject, ...]:
        return ()

    async def remove(self, leftovers: Sequence[PendingObject]) -> None:
        """There is nothing."""

    async def leave_word(self, stone: Tombstone) -> None:
        """Nobody reads it."""

    async def forget_word(self) -> None:
        """There is none."""


def ports(stacks: FakeStacks, facts: ClusterFacts) -> lifecycle.Ports:
    return lifecycle.Ports(
        stacks=stacks,  # type: ignore[arg-type]  # without what only a takeover asks
        cluster=FakeCluster(facts),
        open_store=lambda _: nullcontext(None),  # type: ignore[arg-type]
        open_keys=lambda _: nullcontext(None),  # type: ignore[arg-type]
        declare=lambda _: None,
    )


def request(**values: object) -> SessionRequest:
    said = {"context": "kind-dev", "kubeconfig": "/k", "target": ".", "store": "in-cluster", **values}
    settings = resolve([Source(origin=Origin.FLAG, values=said)])
    return SessionRequest(key=SessionKey.of(SPEC.name, settings), settings=settings, ca="", now="now")


def test_nothing_is_made_on_a_flux_that_is_refused() -> None:
    stacks = FakeStacks()
    with pytest.raises(GuardError, match="not locked down"):
        asyncio.run(
            lifecycle.up(
                request(), ports(stacks, replace(FACTS, controllers=(controller(KUSTOMIZE),))), print
            )
        )
    assert stacks.calls == []


def test_what_is_not_protected_is_told_once_before_anything_is_made() -> None:
    told: list[StackEvent] = []
    facts = replace(FACTS, controllers=(controller(KUSTOMIZE),))
    stacks = FakeStacks()
    asyncio.run(lifecycle.up(request(allowUnlockedFlux=True), ports(stacks, facts), told.append))
    assert [type(event) for event in told] == [StackNotice]
    assert stacks.calls == ["up"]


def test_a_session_ends_whatever_its_flux_is_and_whatever_its_owner_wrote_of_its_target() -> None:
    stacks = FakeStacks()
    facts = replace(FACTS, controllers=(), has_policies=None, owner=MAKER, target="another")
    asyncio.run(lifecycle.down(request(), ports(stacks, facts), print))
    assert "destroy" in stacks.calls
