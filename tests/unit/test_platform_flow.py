"""A platform's beginning and end, on small fakes: what is asked, refused and cleaned up, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gitops_run.errors import BackendError, GitOpsRunError, GuardError, NotFound, TransientError
from gitops_run.flows.platform import PlatformPorts, down, down_without_cluster, up
from gitops_run.model.platform.facts import PlatformFacts
from gitops_run.model.platform.platform import PlatformSettings, PlatformSpec, resolve_platform
from gitops_run.model.session.settings import Origin, Source
from gitops_run.model.stack.events import KnownResources, PendingObject, StackEvent, StackOutcome
from tests.unit.flux_release import release

EMPTY = PlatformFacts(uid="uid")
UP = PlatformFacts(
    uid="uid",
    kinds=("source.toolkit.fluxcd.io/v1 Bucket",),
    flux_stack="kind-dev",
    stacks=("kind-dev",),
)
LOST = PendingObject(api_version="v1", kind="Namespace", namespace="", name="flux-system")
DONE = StackOutcome(outputs={}, changed=1, has_pending=False)


@dataclass
class FakeStacks:
    """Stacks that remember what they were told. failures: what the next runs raise, first one first."""

    failures: list[GitOpsRunError] = field(default_factory=list)
    pending: tuple[PendingObject, ...] = ()
    calls: list[str] = field(default_factory=list)
    config: dict[str, str] = field(default_factory=dict)

    async def up(
        self, name: str, config: Mapping[str, str], program: Callable[[], None], tell: Any
    ) -> StackOutcome:
        self.calls.append("up")
        self.config = dict(config)
        if self.failures:
            raise self.failures.pop(0)
        program()
        return DONE

    async def destroy(self, name: str, tell: Any) -> StackOutcome:
        self.calls.append("destroy")
        if self.failures:
            raise self.failures.pop(0)
        return DONE

    async def drop_cluster(self, name: str) -> None:
        self.calls.append("drop")

    async def forget(self, name: str) -> None:
        self.calls.append("forget")

    async def known(self, name: str, tell: Any) -> KnownResources | None:
        return None

    async def discard(self, name: str) -> None:
        self.calls.append("discard")

    async def pending_creates(self, name: str) -> tuple[PendingObject, ...]:
        return self.pending

    async def clear_pending(self, name: str) -> None:
        self.calls.append("clear")


@dataclass
class FakeCluster:
    """A cluster that tells one state after the other, the last one for good."""

    states: list[PlatformFacts]
    removed: list[PendingObject] = field(default_factory=list)

    async def facts(self) -> PlatformFacts:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    async def remove(self, stack: str, leftovers: Sequence[PendingObject]) -> None:
        self.removed += leftovers


@dataclass
class Stage:
    """Everything that a flow meets."""

    cluster: FakeCluster
    stacks: FakeStacks = field(default_factory=FakeStacks)
    read: list[str] = field(default_factory=list)
    declared: list[PlatformSpec] = field(default_factory=list)
    told: list[StackEvent] = field(default_factory=list)

    def ports(self) -> PlatformPorts:
        async def read(place: str) -> tuple[dict[str, Any], ...]:
            self.read.append(place)
            return tuple(release())

        return PlatformPorts(
            stacks=self.stacks,  # type: ignore[arg-type]  # a platform has no outputs
            cluster=self.cluster,
            read_manifests=read,
            declare=self.declared.append,
        )

    def ups(self) -> PlatformSpec:
        return asyncio.run(up("kind-dev", settings(), self.ports(), self.told.append))

    def downs(self) -> PlatformFacts:
        return asyncio.run(down("kind-dev", settings(), self.ports(), self.told.append))


def settings(**values: object) -> PlatformSettings:
    known = {"context": "kind-dev", "kubeconfig": "/k", **values}
    return resolve_platform([Source(origin=Origin.FLAG, values=known)])


def test_flux_is_installed_where_there_is_none_and_the_cluster_is_pinned() -> None:
    stage = Stage(FakeCluster([EMPTY]))
    stage.ups()
    assert [one["kind"] for one in stage.declared[0].flux].count("Deployment") == 3
    assert stage.stacks.config["cluster"] == "uid"


def test_manifests_are_not_even_read_where_flux_is_found() -> None:
    kinds = (
        *UP.kinds,
        "kustomize.toolkit.fluxcd.io/v1 Kustomization",
        "helm.toolkit.fluxcd.io/v2 HelmRelease",
    )
    stage = Stage(FakeCluster([PlatformFacts(uid="uid", version="v2.8.0", kinds=kinds)]))
    stage.ups()
    assert stage.read == []
    assert "found" in str(stage.told)


def test_what_a_killed_run_left_is_removed_and_made_anew() -> None:
    stage = Stage(FakeCluster([EMPTY]), FakeStacks([GuardError("it exists")], (LOST,)))
    stage.ups()
    assert stage.cluster.removed == [LOST]
    assert stage.stacks.calls == ["up", "clear", "up"]


def test_what_was_lost_is_looked_for_before_it_is_made_anew() -> None:
    stage = Stage(FakeCluster([UP]))
    stage.ups()
    assert stage.stacks.calls == ["clear", "up"]


def test_what_a_killed_engine_still_made_after_the_first_cleaning_is_cleaned_up_too() -> None:
    exists: list[GitOpsRunError] = [GuardError("it exists"), GuardError("it exists")]
    stage = Stage(FakeCluster([EMPTY]), FakeStacks(exists, (LOST,)))
    stage.ups()
    assert stage.stacks.calls == ["up", "clear", "up", "clear", "up"]


def test_down_refuses_where_sessions_may_not_be_read() -> None:
    stage = Stage(FakeCluster([replace(UP, unread=("Buckets",))]))
    with pytest.raises(BackendError, match="you may not read Buckets"):
        stage.downs()
    assert stage.stacks.calls == []


def test_what_a_killed_run_left_undecided_is_removed_before_its_state_forgets_it() -> None:
    stage = Stage(FakeCluster([UP]), FakeStacks(pending=(LOST,)))
    stage.ups()
    assert stage.cluster.removed == [LOST]
    assert stage.stacks.calls == ["clear", "up"]


def test_what_somebody_else_made_stays_and_is_told() -> None:
    stage = Stage(FakeCluster([EMPTY]), FakeStacks([GuardError("it exists")]))
    with pytest.raises(GuardError, match="it exists"):
        stage.ups()
    assert stage.cluster.removed == []


def test_a_context_that_nobody_allowed_is_never_asked() -> None:
    stage = Stage(FakeCluster([]))
    with pytest.raises(GuardError, match="production"):
        asyncio.run(up("production", settings(context="production"), stage.ports(), stage.told.append))


def test_a_platform_with_a_session_is_not_touched() -> None:
    stage = Stage(FakeCluster([replace(UP, sessions=("run-web/web",))]))
    with pytest.raises(GuardError, match="run-web/web"):
        stage.downs()
    assert stage.stacks.calls == []


def test_after_down_the_cluster_is_asked_again() -> None:
    stage = Stage(FakeCluster([UP, UP]))
    with pytest.raises(BackendError, match="some of its objects remain"):
        stage.downs()
    assert Stage(FakeCluster([UP, EMPTY])).downs() == EMPTY


def test_a_platform_whose_cluster_is_gone_is_forgotten_without_asking_it() -> None:
    stage = Stage(FakeCluster([]))
    asyncio.run(down_without_cluster("kind-dev", stage.ports(), stage.told.append))
    assert stage.stacks.calls == ["drop", "destroy", "forget"]


def test_a_platform_that_was_never_made_is_not_found() -> None:
    stage = Stage(FakeCluster([EMPTY]), FakeStacks([NotFound("no stack")]))
    with pytest.raises(NotFound, match="no platform of the stack kind-dev"):
        stage.downs()


def test_a_cluster_that_is_away_changes_nothing_and_the_hint_says_what_to_do_where_it_is_gone() -> None:
    class Away(FakeCluster):
        async def facts(self) -> PlatformFacts:
            raise TransientError("no answer", hint="check it")

    stage = Stage(Away([]))
    with pytest.raises(TransientError) as failed:
        stage.downs()
    assert "gitops-run platform down --cluster-gone" in failed.value.hint
    assert stage.stacks.calls == []
