"""The suites of the ports Flux and ClusterLook, over their fakes and over the sandbox's Flux and API server.

tests/contract/test_ports.py has those of the other ports.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass

import anyio
import pytest
import yaml

from gitops_run.adapters.cluster.connection import connect
from gitops_run.adapters.cluster.discovery import Discovery
from gitops_run.adapters.cluster.dry_run import ClusterDryRun
from gitops_run.adapters.cluster.flux import watch_flux
from gitops_run.adapters.store.admin import StoreAdmin
from gitops_run.adapters.store.objects import BucketStore, always
from gitops_run.api.requests import SyncCarrier
from gitops_run.errors import GitOpsRunError, GuardError, LockedError
from gitops_run.flows.ports import ClusterLook, Flux, Store
from gitops_run.flows.requests import Carrier
from gitops_run.model.flux.requests import Request, Verb
from gitops_run.model.manifests import session as manifests
from gitops_run.model.names import SessionName
from gitops_run.model.objects.dry_run import Look
from gitops_run.model.objects.identity import ObjectRef, parse_document
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.spec import ClusterPin, S3Store, SessionSpec
from gitops_run.model.store.keys import KeyPair
from gitops_run.model.store.objects import flux_revision
from gitops_run.sandbox.state import Sandbox
from tests import fake_cluster_checks, fakes
from tests.contract.conftest import StoreAccounts

pytestmark = pytest.mark.anyio

PATIENCE_S = 60
BOTH = ("fake", "real")
NO_NAME = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NOT_A_NAME}\n"
"""What the API server refuses."""

Opened = AbstractAsyncContextManager["FluxWorld"]


def config_map(name: str) -> bytes:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n".encode()


@dataclass
class FluxWorld:
    """A session's Flux objects and the store that they read."""

    flux: Flux
    store: Store

    async def put(self, files: dict[str, bytes]) -> str:
        """Have the store hold these files of the target; return the revision that they make."""
        all_files = {"app/kept.yaml": config_map("kept.yaml"), **files}
        wanted = {f"src/{path}": content for path, content in all_files.items()}
        await self.store.put_many(wanted, always)
        unwanted = [found.key for found in await self.store.list() if found.key not in wanted]
        await self.store.delete(unwanted, always)
        return flux_revision(await self.store.list())

    async def until(self, holds: Callable[[], bool]) -> None:
        with anyio.fail_after(PATIENCE_S):
            while not holds():
                await self.flux.news()

    async def fetched(self, token: str) -> None:
        await self.flux.request_fetch(token)
        await self.until(lambda: self.flux.source.handled == token)

    def applied_names(self) -> set[str]:
        return {entry.split("_")[1] for entry in self.flux.applier.inventory}


@pytest.fixture
def real_session(
    request: pytest.FixtureRequest, sandbox: Sandbox, accounts: StoreAccounts, admin_store: StoreAdmin
) -> Iterator[SessionSpec]:
    """A session without its stack: what Flux needs of it, made with kubectl."""
    kubectl: Callable[..., str] = request.getfixturevalue("kubectl")
    key = KeyPair(access_key=accounts.admin.access_key, secret_key=accounts.admin.secret_key)
    at = accounts.admin
    namespace: str = request.getfixturevalue("namespace")
    spec = SessionSpec(
        name=SessionName.parse("ports"),
        namespace=namespace,
        owner="nobody",
        target="app",
        root="root",
        created="2026-11-26T00:00:00Z",
        cluster=ClusterPin(
            kubeconfig=str(sandbox.kubeconfig),
            context=sandbox.context,
            uid=kubectl("get", "namespace", namespace, "-o", "jsonpath={.metadata.uid}"),
        ),
        store=S3Store(endpoint=at.endpoint, region=at.region, ca=at.ca_cert, admin=key),
    )
    admin_store.make(spec.bucket)
    parts = [
        manifests.service_account(spec),
        manifests.account_role(spec),
        manifests.account_binding(spec),
        manifests.reader_secret(spec, key, at.ca_cert),
        manifests.source_bucket(spec),
        manifests.applier(spec),
    ]
    kubectl("apply", "-f", "-", documents=yaml.safe_dump_all(parts))
    yield spec
    kubectl("delete", "kustomization,bucket", "--all", "-n", spec.namespace, "--timeout=50s")
    admin_store.empty(spec.bucket)
    admin_store.remove(spec.bucket)


@pytest.fixture(params=BOTH)
def flux(request: pytest.FixtureRequest) -> Opened:
    if request.param == "fake":
        return fake_flux()
    accounts: StoreAccounts = request.getfixturevalue("accounts")
    return real_flux(request.getfixturevalue("real_session"), accounts)


@asynccontextmanager
async def fake_flux() -> AsyncIterator[FluxWorld]:
    store = fakes.FakeStore()
    cluster = fakes.FakeCluster(store, refuses=NO_NAME)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cluster.run)
        yield FluxWorld(fakes.FakeFlux(cluster), store)
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def real_flux(spec: SessionSpec, accounts: StoreAccounts) -> AsyncIterator[FluxWorld]:
    pin = spec.cluster
    key = SessionKey(kubeconfig=pin.kubeconfig, context=pin.context, namespace=spec.namespace, name=spec.name)
    async with connect(pin.kubeconfig, pin.context) as connection, watch_flux(connection, key) as flux:
        yield FluxWorld(flux, BucketStore(accounts.admin, spec.bucket))


async def test_flux_fetches_what_is_stored_when_asked_and_then_applies_it(flux: Opened) -> None:
    async with flux as world:
        revision = await world.put({"app/a.yaml": config_map("a.yaml")})
        await world.fetched("one")
        assert (world.flux.source.revision, world.flux.source.ready) == (revision, "True")
        await world.until(lambda: world.flux.applier.applied == revision)
        assert (world.flux.applier.attempted, world.flux.applier.ready) == (revision, "True")
        assert world.applied_names() == {"a.yaml", "kept.yaml"}


async def test_flux_prunes_what_left_the_store(flux: Opened) -> None:
    async with flux as world:
        first = await world.put({"app/a.yaml": config_map("a.yaml")})
        await world.fetched("one")
        await world.until(lambda: world.flux.applier.applied == first)
        second = await world.put({})
        await world.fetched("two")
        await world.until(lambda: world.flux.applier.applied == second)
        assert world.applied_names() == {"kept.yaml"}


async def test_flux_reports_what_it_can_not_apply_and_keeps_what_it_applied(flux: Opened) -> None:
    async with flux as world:
        good = await world.put({})
        await world.fetched("one")
        await world.until(lambda: world.flux.applier.applied == good)
        bad = await world.put({"app/a.yaml": NO_NAME})
        await world.fetched("two")
        await world.until(lambda: world.flux.applier.attempted == bad and not world.flux.applier.is_at_work)
        assert (world.flux.applier.ready, world.flux.applier.reason) == ("False", "ReconciliationFailed")
        assert world.flux.applier.applied == good
        assert world.applied_names() == {"kept.yaml"}


async def test_flux_applies_again_when_asked(flux: Opened) -> None:
    async with flux as world:
        revision = await world.put({})
        await world.fetched("one")
        await world.until(lambda: world.flux.applier.applied == revision)
        await world.flux.request_apply("again")
        await world.until(lambda: world.flux.applier.handled == "again")
        assert world.flux.applier.applied == revision


async def test_flux_fetches_nothing_behind_a_fence_and_all_of_it_after_the_release(
    flux: Opened,
) -> None:
    async with flux as world:
        before = await world.put({})
        await world.fetched("one")
        await world.flux.fence("mine", always)
        source = world.flux.source
        assert (source.is_suspended, source.fence, source.revision) == (True, "mine", before)
        after = await world.put({"app/a.yaml": config_map("a.yaml")})
        await world.fetched("two")
        assert world.flux.source.revision == before
        await world.flux.release("mine", "three")
        await world.until(lambda: world.flux.source.handled == "three")
        source = world.flux.source
        assert (source.is_suspended, source.fence, source.revision) == (False, "", after)


async def test_flux_releases_nobody_else_s_fence(flux: Opened) -> None:
    async with flux as world:
        await world.put({})
        await world.flux.fence("another's", always)
        with pytest.raises(GuardError):
            await world.flux.release("mine", "one")
        await world.until(lambda: world.flux.source.fence == "another's")
        assert world.flux.source.is_suspended


async def test_flux_is_not_fenced_where_the_permit_is_refused(flux: Opened) -> None:
    async def refuse() -> None:
        raise LockedError("taken over")

    async with flux as world:
        with pytest.raises(LockedError):
            await world.flux.fence("mine", refuse)
        assert not world.flux.source.is_suspended


async def test_flux_wakes_who_waits_for_a_change(flux: Opened) -> None:
    async with flux as world, anyio.create_task_group() as tasks:
        await world.put({})
        tasks.start_soon(world.flux.request_fetch, "one")
        with anyio.fail_after(PATIENCE_S):
            while world.flux.source.handled != "one":
                await world.flux.changed()


# What preflight asks of the cluster


@dataclass
class Looking:
    """A look at a namespace that has the ConfigMap "there", with the key live."""

    look: ClusterLook
    namespace: str

    async def at(self, name: str, *, has_dry_run: bool = True) -> Look:
        """Look at a ConfigMap with the key wanted."""
        head = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {self.namespace}}}\n"
        (item,) = parse_document(f"{head}data: {{wanted: '1'}}\n")
        (found,) = await self.look.look([item], has_dry_run=has_dry_run)
        return found


@pytest.fixture(params=BOTH)
def looking(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Looking]:
    if request.param == "fake":
        cluster = fake_cluster_checks.FakeCluster()
        there = ObjectRef(group="", kind="ConfigMap", namespace="ns", name="there")
        cluster.has(there, data={"live": "1"})
        return nullcontext(Looking(cluster, "ns"))
    spec: SessionSpec = request.getfixturevalue("real_session")
    kubectl: Callable[..., str] = request.getfixturevalue("kubectl")
    kubectl("create", "configmap", "there", "--from-literal=live=1", "-n", spec.namespace)
    return real_looking(spec)


@asynccontextmanager
async def real_looking(spec: SessionSpec) -> AsyncIterator[Looking]:
    pin = spec.cluster
    async with connect(pin.kubeconfig, pin.context) as connection:
        dry_run = ClusterDryRun(connection, spec.namespace, Discovery(connection), "kustomize-controller")
        yield Looking(dry_run, spec.namespace)


async def test_a_look_at_a_new_object_shows_what_it_would_become(
    looking: AbstractAsyncContextManager[Looking],
) -> None:
    async with looking as world:
        found = await world.at("new")
    assert (found.live, found.findings, found.resource) == (None, (), "configmaps")
    assert found.result is not None
    assert found.result["data"] == {"wanted": "1"}


async def test_a_look_at_a_live_object_merges_what_is_applied_and_changes_nothing(
    looking: AbstractAsyncContextManager[Looking],
) -> None:
    async with looking as world:
        for _ in range(2):
            found = await world.at("there")
            assert found.live is not None
            assert found.live["data"] == {"live": "1"}
            assert found.result is not None
            assert found.result["data"] == {"live": "1", "wanted": "1"}


async def test_a_look_without_a_dry_run_shows_only_what_is_live(
    looking: AbstractAsyncContextManager[Looking],
) -> None:
    async with looking as world:
        found, absent = [await world.at(name, has_dry_run=False) for name in ("there", "new")]
    assert found.live is not None
    assert found.live["data"] == {"live": "1"}
    assert (found.result, absent.live, absent.result) == (None, None, None)


# Requests


@pytest.fixture(params=BOTH)
def carrier(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Carrier]:
    if request.param == "fake":
        return nullcontext(fakes.FakeCarrier())
    return real_carrier(request.getfixturevalue("real_session"))


@asynccontextmanager
async def real_carrier(spec: SessionSpec) -> AsyncIterator[Carrier]:
    pin = spec.cluster
    key = SessionKey(kubeconfig=pin.kubeconfig, context=pin.context, namespace=spec.namespace, name=spec.name)
    async with connect(pin.kubeconfig, pin.context) as connection:
        yield SyncCarrier(connection=connection, key=key, answered=frozenset())


def asked(verb: Verb, argument: str = "") -> Request:
    return Request(id="1", verb=verb, argument=argument, who="ann", when="2026-11-26T00:00:00Z", why="demo")


async def test_what_is_asked_of_the_objects_is_carried_out(
    carrier: AbstractAsyncContextManager[Carrier],
) -> None:
    async with carrier as carries:
        assert not carries.answered
        assert await carries.carry_out(asked(Verb.SUSPEND))
        assert await carries.carry_out(asked(Verb.RESUME))


async def test_what_cannot_be_carried_out_is_refused(carrier: AbstractAsyncContextManager[Carrier]) -> None:
    async with carrier as carries:
        with pytest.raises(GitOpsRunError):
            await carries.carry_out(asked(Verb.EXTEND, "refused"))
