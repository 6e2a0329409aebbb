"""What a step of a save costs grows with the number of objects, and not faster.

Counted are the calls of functions, which are the same on every machine. Kustomize itself is not among them:
it compares each object with each other one.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import FrameType

import anyio
import pytest

from gitops_run.adapters.files import WorkTree
from gitops_run.adapters.files.history import SessionHistory
from gitops_run.cli.render import PLAIN_MARKS, lines
from gitops_run.flows.follow import Save
from gitops_run.flows.health import HealthFollower
from gitops_run.flows.judgement import Live, Preflight
from gitops_run.flows.preflight import Inspector
from gitops_run.flows.push import Pusher
from gitops_run.model.health.pod_troubles import Surroundings, explained_health
from gitops_run.model.health.rules import Health, HealthState
from gitops_run.model.objects.change import Change
from gitops_run.model.objects.dry_run import Finding, Obstacle
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.objects.substitution import Variables
from gitops_run.model.state.envelope import Envelope, to_json
from gitops_run.model.state.events import SavePushed
from gitops_run.model.store.objects import StoredObject
from gitops_run.model.store.permit import Permit
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.flux_generator import generated_kustomization, with_namespace
from gitops_run.model.tree.kustomize import generated_resources
from gitops_run.model.tree.places import Sources, locate, locate_last, locate_text
from gitops_run.model.tree.snapshot import Snapshot
from gitops_run.model.tree.tree import diff
from tests.fake_cluster_checks import FakeCluster, inspector
from tests.fakes import FakeCluster as FakeControllers
from tests.fakes import FakeFlux, FakeLease, FakeLeases, FakeStore, counting_tokens, md5
from tests.work_trees import write

FEW, MANY = 30, 120
SLACK = 1.15
"""What sorting and a few steps that do not depend on the number add to the ratio of the two."""

Work = Callable[[], object]


def settings(number: int, value: str = "0") -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c{number}\ndata:\n  k: '{value}'\n"


class AsItIs:
    """A renderer for files that are rendered already."""

    async def render(self, snapshot: Snapshot, target: str) -> str | Problem:
        del target
        texts = (snapshot.read_bytes(path).decode() for path in snapshot.tree.files if path.startswith("c"))
        return "---\n".join(texts)


class Root:
    """A root with a file for each object, and what a sync has of it."""

    def __init__(self, folder: Path, objects: int, value: str = "0") -> None:
        self.root = folder / "root"
        for number in range(objects):
            write(self.root, f"c{number}.yaml", settings(number, value))
        names = "".join(f"- c{number}.yaml\n" for number in range(objects))
        write(self.root, "kustomization.yaml", f"resources:\n{names}")
        self.tree = WorkTree(self.root, folder / "stage")
        self.inventory = tuple(ref(number).inventory_id for number in range(objects))

    def snapshot(self, *touched: str) -> Snapshot:
        return anyio.run(self.tree.snapshot, frozenset(touched))

    def edit(self) -> Snapshot:
        write(self.root, "c0.yaml", settings(0, "another"))
        return self.snapshot("c0.yaml")


def ref(number: int) -> ObjectRef:
    return ObjectRef(group="", kind="ConfigMap", namespace="ns", name=f"c{number}")


def inspect(by: Inspector, snapshot: Snapshot, live: Live) -> Preflight:
    return anyio.run(by.inspect, snapshot, live, lambda _: None)


def first_scan(folder: Path, objects: int) -> Work:
    return Root(folder, objects).snapshot


def scan_of_one_edit(folder: Path, objects: int) -> Work:
    root = Root(folder, objects)
    root.snapshot()
    return root.edit


def first_inspection(folder: Path, objects: int) -> Work:
    root, by = Root(folder, objects), inspector(AsItIs())
    snapshot = root.snapshot()
    return lambda: inspect(by, snapshot, Live(digests={}, inventory=()))


def inspection_of_one_edit(folder: Path, objects: int) -> Work:
    root, by = Root(folder, objects), inspector(AsItIs())
    digests = inspect(by, root.snapshot(), Live(digests={}, inventory=())).digests
    snapshot = root.edit()
    return lambda: inspect(by, snapshot, Live(digests=digests, inventory=root.inventory))


def inspection_that_refuses_everything(folder: Path, objects: int) -> Work:
    finding = Finding(obstacle=Obstacle.CONTENT, message="wrong", field="data.k")
    cluster = FakeCluster(refuses={f"c{number}": (finding,) for number in range(objects)})
    snapshot, by = Root(folder, objects).snapshot(), inspector(AsItIs(), cluster)
    return lambda: inspect(by, snapshot, Live(digests={}, inventory=()))


def inspection_of_variables_that_nobody_set(folder: Path, objects: int) -> Work:
    snapshot = Root(folder, objects, "${NAME}").snapshot()
    by = inspector(AsItIs(), variables=Variables(values={"OTHER": "1"}))
    return lambda: inspect(by, snapshot, Live(digests={}, inventory=()))


def places_of_prefixed_objects(folder: Path, objects: int) -> Work:
    del folder
    files = tuple((f"c{number}.yaml", settings(number)) for number in range(objects))
    rendered = [
        ObjectRef(group="", kind="ConfigMap", namespace="ns", name=f"prefix-c{number}-suffix")
        for number in range(objects)
    ]

    def find_all() -> None:
        sources = Sources(files=files)
        for one in rendered:
            locate(one, sources, "data.k")
            locate_last(one, sources)
            locate_text(one, sources, "k:")

    return find_all


class InstantStore:
    """A bucket that answers at once."""

    def __init__(self) -> None:
        self._etags: dict[str, str] = {}

    def admitting(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def list(self, prefix: str = "") -> tuple[StoredObject, ...]:
        del prefix
        return tuple(StoredObject(key=key, etag=etag, size=0) for key, etag in self._etags.items())

    async def put_many(
        self, objects: Mapping[str, bytes], permit: Permit, over: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        del permit
        etags = {key: md5(content) for key, content in objects.items()}
        self._etags |= etags
        return etags

    async def heeds_conditions(self, key: str, content: bytes, permit: Permit) -> bool:
        del key, content, permit
        return True

    async def delete(self, keys: Iterable[str], permit: Permit) -> None:
        del permit
        for key in keys:
            del self._etags[key]


class ObedientFlux(FakeFlux):
    """A Flux that is fenced at once."""

    async def fence(self, mark: str, permit: Permit) -> None:
        del mark, permit

    async def release(self, mark: str, token: str) -> None:
        del mark, token


def two_pushes(folder: Path, objects: int) -> Work:
    root = Root(folder, objects)
    store, tokens = InstantStore(), counting_tokens()
    lease = FakeLease(FakeLeases("me"), "me", _valid_until=math.inf)
    flux = ObedientFlux(FakeControllers(FakeStore()))
    pusher = Pusher(store, flux, lease, lambda _: None, tokens)

    async def push(snapshot: Snapshot) -> None:
        save = Save(number=1, started=0.0, plan=pusher.plan(snapshot.tree))
        await pusher.push(snapshot, save)

    def push_both() -> None:
        anyio.run(push, root.snapshot())
        anyio.run(push, root.edit())

    return push_both


def records_of_two_saves(folder: Path, objects: int) -> Work:
    root = Root(folder, objects)
    snapshots = [root.snapshot()]

    def keep_and_record() -> None:
        past = SessionHistory(folder / "history", folder / "work")
        for number, snapshot in enumerate((*snapshots, root.edit())):
            anyio.run(past.keep, snapshot)
            anyio.run(past.record, snapshot, f"sha256:{number:064d}")

    return keep_and_record


def plan_that_turns_files_into_folders(folder: Path, objects: int) -> Work:
    del folder
    old = {f"f{number}": "1" for number in range(objects)}
    new = {f"f{number}/inside": "1" for number in range(objects)}
    return lambda: diff(old, new).shadowing


def health_of_a_save_after_another(folder: Path, objects: int) -> Work:
    del folder
    inventory = tuple(f"ns_d{number}_apps_Deployment" for number in range(objects))
    waiting = Health(state=HealthState.FAILED, message="no image")

    async def follow_two() -> None:
        follower = HealthFollower(AllAre(waiting), lambda _: None)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follower.run)
            follower.applied(Save(1, 0.0), "one", inventory)
            await anyio.wait_all_tasks_blocked()
            follower.applied(Save(2, 0.0), "two", inventory)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()

    return lambda: anyio.run(follow_two)


def judgement_of_workloads_that_wait(folder: Path, objects: int) -> Work:
    del folder
    names = [f"d{number}" for number in range(objects)]
    deployments = [
        {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": name, "uid": name}}
        for name in names
    ]
    owned = [
        {"metadata": {"name": f"r-{name}", "uid": f"r-{name}", "ownerReferences": [{"uid": name}]}}
        for name in names
    ]
    pods = [
        {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": f"p-{name}", "uid": f"p-{name}", "ownerReferences": [{"uid": f"r-{name}"}]},
        }
        for name in names
    ]
    events = [
        {"involvedObject": {"uid": f"p-{name}"}, "reason": "Unhealthy", "message": "no"} for name in names
    ]

    def judge() -> list[Health]:
        around = Surroundings(pods=tuple(pods), replica_sets=tuple(owned), events=tuple(events))
        return [explained_health(live, around) for live in deployments]

    return judge


def kustomization_as_flux_writes_it(folder: Path, objects: int) -> Work:
    del folder
    paths = [f"app/team{number % 7}/c{number}.yaml" for number in range(objects)]

    def write_it() -> bytes:
        return with_namespace(generated_kustomization(generated_resources(paths, "app")), "ns")

    return write_it


def lines_of_events(folder: Path, objects: int) -> Work:
    del folder
    names = tuple(f"c{number}.yaml" for number in range(objects))
    changes = tuple(
        Change(ref=ObjectRef(group="", kind="ConfigMap", namespace="", name=name), action="create")
        for name in names
    )
    pushed = SavePushed(
        save=1, puts=names, deletes=(), revision="r", is_fenced=True, times_ms={}, changes=changes
    )
    return lambda: (lines(pushed, PLAIN_MARKS), to_json(Envelope(seq=1, ts="", session="web", event=pushed)))


class AllAre:
    """A cluster where all objects fare alike."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def changes(self, objects: tuple[ObjectRef, ...]) -> AsyncIterator[Mapping[ObjectRef, Health]]:
        yield dict.fromkeys(objects, self._health)
        await anyio.sleep_forever()


STEPS = (
    first_scan,
    scan_of_one_edit,
    first_inspection,
    inspection_of_one_edit,
    inspection_that_refuses_everything,
    inspection_of_variables_that_nobody_set,
    places_of_prefixed_objects,
    two_pushes,
    records_of_two_saves,
    plan_that_turns_files_into_folders,
    health_of_a_save_after_another,
    judgement_of_workloads_that_wait,
    kustomization_as_flux_writes_it,
    lines_of_events,
)


def calls_of(work: Work) -> int:
    """Count the calls of functions, in every thread that the work starts."""
    found: list[None] = []

    def count(frame: FrameType, event: str, argument: object) -> None:
        del frame, argument
        if event in ("call", "c_call"):
            found.append(None)

    threading.setprofile(count)
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return len(found)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_a_step_costs_no_more_than_its_share_of_the_objects(
    step: Callable[[Path, int], Work], tmp_path: Path
) -> None:
    step(tmp_path / "warm", FEW)()
    few, many = calls_of(step(tmp_path / "few", FEW)), calls_of(step(tmp_path / "many", MANY))
    assert many < few * MANY / FEW * SLACK
