"""One suite for each port of the save loop, run over the fake of tests/fakes.py and over the real thing.

What the loop's tests take for granted of a fake is asserted here of both.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import anyio
import pytest
import yaml

from gitops_run.adapters.cluster.connection import connect
from gitops_run.adapters.cluster.health import ClusterHealth
from gitops_run.adapters.cluster.lease import Holder, SessionLease, boottime
from gitops_run.adapters.files import WorkTree
from gitops_run.adapters.files.history import SessionHistory
from gitops_run.adapters.render.kubectl import Kustomize
from gitops_run.adapters.store.admin import StoreAdmin
from gitops_run.adapters.store.objects import BucketStore, always
from gitops_run.errors import LockedError, NotFound, ungrouped
from gitops_run.flows.health import HealthWatch
from gitops_run.flows.ports import Files, History, Lease, Renderer, Store
from gitops_run.model.health.rules import READY
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.store.objects import StoredObject
from gitops_run.model.text.problem import Problem
from gitops_run.sandbox.state import Sandbox
from tests import fakes
from tests.contract.conftest import StoreAccounts

pytestmark = pytest.mark.anyio

PATIENCE_S = 60
BOTH = ("fake", "real")
T = TypeVar("T")
Opened = AbstractAsyncContextManager[T]


def config_map(name: str) -> bytes:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n".encode()


def test_every_fake_is_held_to_the_real_thing_by_a_suite() -> None:
    source = Path(fakes.__file__).read_text()
    suites = "".join(
        Path(__file__).with_name(name).read_text() for name in ("test_ports.py", "test_flux_port.py")
    )
    assert set(re.findall(r"^class (Fake\w+)", source, re.MULTILINE)) == set(
        re.findall(r"\bfakes\.(Fake\w+)", suites)
    )


# The store


@pytest.fixture(params=BOTH)
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "fake":
        return fakes.FakeStore()
    accounts: StoreAccounts = request.getfixturevalue("accounts")
    names: Callable[[], str] = request.getfixturevalue("new_name")
    admin_store: StoreAdmin = request.getfixturevalue("admin_store")
    name = names()
    admin_store.make(name)
    return BucketStore(accounts.admin, name)


async def test_a_store_lists_what_was_put_by_key_with_md5_and_size(store: Store) -> None:
    contents = {"src/b": b"two", "src/a": b"1", "other": b""}
    etags = await store.put_many(contents, always)
    assert etags == {key: fakes.md5(content) for key, content in contents.items()}
    objects = tuple(
        StoredObject(key=key, etag=etags[key], size=len(contents[key])) for key in ("other", "src/a", "src/b")
    )
    assert await store.list() == objects
    assert await store.list("src/") == objects[1:]


async def test_a_store_replaces_an_object_only_over_the_etag_that_was_named(store: Store) -> None:
    etags = await store.put_many({"a": b"1", "b": b"1"}, always)
    over = {"a": etags["a"], "b": fakes.md5(b"another"), "gone": etags["a"]}
    written = await store.put_many(dict.fromkeys(over, b"2"), always, over)
    assert written == {"a": fakes.md5(b"2")}
    assert {found.key: found.etag for found in await store.list()} == {"a": fakes.md5(b"2"), "b": etags["b"]}


async def test_a_store_says_whether_it_heeds_conditions_and_changes_nothing(store: Store) -> None:
    await store.put_many({"a": b"1"}, always)
    before = await store.list()
    assert await store.heeds_conditions("a", b"1", always)
    assert await store.list() == before


async def test_a_store_deletes_and_what_is_gone_already_is_no_error(store: Store) -> None:
    await store.put_many({"a": b"1", "b": b"1"}, always)
    await store.delete(["a", "never-there"], always)
    assert [found.key for found in await store.list()] == ["b"]


async def test_a_store_writes_nothing_that_its_permit_refuses(store: Store) -> None:
    async def refuse() -> None:
        raise LockedError("taken over")

    await store.put_many({"a": b"1"}, always)
    before = await store.list()
    with pytest.raises(LockedError):
        await store.put_many({"a": b"2", "b": b"2"}, refuse)
    with pytest.raises(LockedError):
        await store.delete(["a"], refuse)
    assert await store.list() == before


# The lease


class Leases:
    """Who may write to one session. hold: makes a holder's lease by a name."""

    def __init__(self, hold: Callable[[str], Lease]) -> None:
        self.hold = hold


@pytest.fixture(params=BOTH)
def leases(request: pytest.FixtureRequest) -> Opened[Leases]:
    if request.param == "fake":
        shared = fakes.FakeLeases()
        return nullcontext(Leases(lambda name: fakes.FakeLease(shared, name, duration_s=3.0, margin_s=1.2)))
    return real_leases(request.getfixturevalue("sandbox"), request.getfixturevalue("namespace"))


@asynccontextmanager
async def real_leases(sandbox: Sandbox, namespace: str) -> AsyncIterator[Leases]:
    """Leases of three seconds, by a clock that runs ten times as fast."""
    async with connect(str(sandbox.kubeconfig), sandbox.context) as connection:

        def hold(name: str) -> Lease:
            holder = Holder(f"{name}@elsewhere/1/x")
            return SessionLease(connection, namespace, "web", holder=holder, now=lambda: boottime() * 10)

        yield Leases(hold)


async def test_a_lease_is_held_by_one_until_it_is_released(leases: Opened[Leases]) -> None:
    async with leases as made:
        mine, others = made.hold("me"), made.hold("other")
        await mine.take(print)
        await mine.ensure()
        with pytest.raises(LockedError):
            await others.take(print)
        assert await mine.release()
        await others.take(print)
        await others.ensure()


async def test_a_lease_that_is_taken_over_is_lost_for_good(leases: Opened[Leases]) -> None:
    async with leases as made:
        mine, others = made.hold("me"), made.hold("other")
        await mine.take(print)
        assert not mine.is_lost
        await others.take(print, take_over=True)
        await others.ensure()
        for _ in range(2):
            with pytest.raises(LockedError):
                await mine.ensure()
        assert (mine.is_lost, others.is_lost) == (True, False)


async def test_a_lease_is_kept_until_it_is_taken_over(leases: Opened[Leases]) -> None:
    async with leases as made:
        mine, others = made.hold("me"), made.hold("other")
        await mine.take(print)
        with anyio.fail_after(PATIENCE_S), pytest.raises(LockedError):
            await keep_until_taken(mine, others)
        assert mine.is_lost


async def keep_until_taken(mine: Lease, others: Lease) -> None:
    async def take() -> None:
        await others.take(print, take_over=True)

    with ungrouped():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            await mine.keep()


# The root


@dataclass
class Root:
    """A root, and how its files are edited."""

    files: Files
    write: Callable[[str, bytes], object]
    delete: Callable[[str], object]

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
        """Watch, and give a function that waits until a path is reported."""
        give, take = anyio.create_memory_object_stream[frozenset[str]](100)

        async def watch() -> None:
            async for batch in self.files.batches():
                await give.send(batch)

        async def until(path: str) -> None:
            while path not in await take.receive():
                pass

        await self.files.snapshot()
        async with anyio.create_task_group() as tasks, give, take:
            tasks.start_soon(watch)
            with anyio.fail_after(PATIENCE_S):
                yield until
            tasks.cancel_scope.cancel()


@pytest.fixture(params=BOTH)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Root:
    return fake_root() if request.param == "fake" else real_root(tmp_path)


def fake_root() -> Root:
    files = fakes.FakeFiles()
    return Root(files, files.write, files.delete)


def real_root(folder: Path) -> Root:
    root = folder / "root"
    (root / "app").mkdir(parents=True)
    return Root(
        WorkTree(root, folder / "stage"),
        lambda path, content: (root / path).write_bytes(content),
        lambda path: (root / path).unlink(),
    )


async def test_a_snapshot_holds_the_files_of_the_root(root: Root) -> None:
    root.write("app/a.yaml", b"one")
    root.write("b.yaml", b"three")
    snapshot = await root.files.snapshot()
    assert {path: entry.size for path, entry in snapshot.tree.files.items()} == {"app/a.yaml": 3, "b.yaml": 5}
    assert snapshot.read_bytes("app/a.yaml") == b"one"
    assert snapshot.read_text("b.yaml") == "three"
    assert snapshot.read_text("never-there") is None
    assert (snapshot.problems, snapshot.remarks) == ((), ())


async def test_the_etag_of_a_stored_file_is_its_digest_in_a_snapshot(root: Root) -> None:
    root.write("app/a.yaml", b"one")
    assert (await root.files.snapshot()).tree.digests == {"app/a.yaml": fakes.md5(b"one")}


async def test_a_snapshot_stays_as_it_was_taken(root: Root) -> None:
    root.write("app/a.yaml", b"one")
    before = await root.files.snapshot()
    root.write("app/a.yaml", b"two")
    assert before.read_bytes("app/a.yaml") == b"one"
    after = await root.files.snapshot(frozenset({"app/a.yaml"}))
    assert after.read_bytes("app/a.yaml") == b"two"


async def test_edits_and_deletions_are_seen_by_path(root: Root) -> None:
    root.write("app/a.yaml", b"one")
    async with root.watched() as until:
        is_seen = False
        while not is_seen:  # an edit before the watch is set is not reported by it
            root.write("app/b.yaml", b"new")
            with anyio.move_on_after(0.5):
                await until("app/b.yaml")
                is_seen = True
        root.delete("app/a.yaml")
        await until("app/a.yaml")
    after = await root.files.snapshot(frozenset({"app/a.yaml", "app/b.yaml"}))
    assert set(after.tree.files) == {"app/b.yaml"}


# The renderer


@dataclass
class Rendering:
    root: Root
    renderer: Renderer


@pytest.fixture(params=BOTH)
def rendering(request: pytest.FixtureRequest, tmp_path: Path) -> Rendering:
    if request.param == "fake":
        return Rendering(fake_root(), fakes.FakeRenderer())
    return Rendering(real_root(tmp_path), Kustomize("ns", tmp_path / "work"))


async def test_a_target_renders_to_the_objects_of_its_own_files(rendering: Rendering) -> None:
    for path, name in (("app/a.yaml", "a.yaml"), ("app/b.yaml", "b.yaml"), ("elsewhere.yaml", "c")):
        rendering.root.write(path, config_map(name))
    rendered = await rendering.renderer.render(await rendering.root.files.snapshot(), "app")
    assert isinstance(rendered, str)
    metadata = [document["metadata"] for document in yaml.safe_load_all(rendered)]
    assert [(one["name"], one["namespace"]) for one in metadata] == [("a.yaml", "ns"), ("b.yaml", "ns")]


async def test_a_file_that_does_not_parse_is_named(rendering: Rendering) -> None:
    rendering.root.write("app/a.yaml", config_map("a.yaml"))
    rendering.root.write("app/b.yaml", fakes.BROKEN)
    problem = await rendering.renderer.render(await rendering.root.files.snapshot(), "app")
    assert isinstance(problem, Problem)
    assert problem.path == "app/b.yaml"


# The history

TREE = {"app/a.yaml": b"one", "b.yaml": b"two"}


@pytest.fixture(params=BOTH)
def past(request: pytest.FixtureRequest, tmp_path: Path) -> History:
    if request.param == "fake":
        return fakes.FakeHistory()
    return SessionHistory(tmp_path / "history", tmp_path / "work")


async def test_a_recorded_snapshot_can_be_laid_out_again(past: History) -> None:
    revision = fakes.revision_of(TREE)
    snapshot = fakes.FakeSnapshot(TREE)
    await past.keep(snapshot)
    assert await past.record(snapshot, revision)
    found = await past.snapshot(revision)
    assert found.tree == snapshot.tree
    assert fakes.contents(found) == TREE
    assert found.taken


async def test_what_was_kept_but_never_recorded_is_not_found(past: History) -> None:
    await past.keep(fakes.FakeSnapshot(TREE))
    with pytest.raises(NotFound):
        await past.snapshot(fakes.revision_of(TREE))


# Health


@pytest.fixture(params=BOTH)
def health(request: pytest.FixtureRequest) -> Opened[tuple[HealthWatch, ObjectRef]]:
    """What watches health, and an object that is ready."""
    if request.param == "fake":
        return nullcontext((fakes.FakeHealth(), ready("ns")))
    namespace: str = request.getfixturevalue("namespace")
    kubectl: Callable[..., str] = request.getfixturevalue("kubectl")
    kubectl("create", "service", "clusterip", "web", "--tcp=80", "-n", namespace)
    return real_health(request.getfixturevalue("sandbox"), namespace)


@asynccontextmanager
async def real_health(sandbox: Sandbox, namespace: str) -> AsyncIterator[tuple[HealthWatch, ObjectRef]]:
    async with connect(str(sandbox.kubeconfig), sandbox.context) as connection:
        yield ClusterHealth(connection, namespace), ready(namespace)


def ready(namespace: str) -> ObjectRef:
    return ObjectRef(group="", kind="Service", namespace=namespace, name="web")


async def test_the_health_of_every_object_comes_at_first(
    health: Opened[tuple[HealthWatch, ObjectRef]],
) -> None:
    async with health as (watch, ref):
        changes = watch.changes((ref,))
        with anyio.fail_after(PATIENCE_S):
            async with aclosing(changes):  # type: ignore[type-var]  # each is a generator
                assert await anext(changes) == {ref: READY}
