"""The parts of the chaos command that decide something: its plan, its directory and its witnesses."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import cast

import anyio
import pytest
import yaml

from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.lease import SessionLease
from tests.chaos.mutant import MUTATIONS
from tests.chaos.proxies import Request
from tests.chaos.schedule import FAULTS, SAVES, schedule
from tests.chaos.witnesses import late_writes
from tests.chaos.world import KUSTOMIZATION, VALUES, Edit, World, digest

OLD, NEW = 11, 22


def request(at: float, writer: int, method: str, target: str = "/b/src/a", status: int = 200) -> Request:
    return Request(at=at, connected=at, writer=writer, method=method, target=target, status=status)


def listed(at: float, writer: int) -> Request:
    return request(at, writer, "GET", "/b?list-type=2")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "root", tmp_path / "staging")


def on_disk(world: World) -> dict[str, str]:
    paths = [path for path in world.root.rglob("*") if path.is_file()]
    return {str(path.relative_to(world.root)): digest(path.read_bytes()) for path in paths}


def test_a_run_of_150_saves_has_each_kind_of_fault_at_least_five_times() -> None:
    counts = Counter(episode.kind for episode in schedule(150, 7))
    assert min(counts[kind] for kind in FAULTS) >= 5


@pytest.mark.parametrize("saves", [20, 61, 150])
def test_a_plan_has_as_many_saves_as_were_asked_for(saves: int) -> None:
    assert sum(SAVES[episode.kind] for episode in schedule(saves, 7)) == saves


def test_the_same_seed_plans_the_same_faults_with_the_same_figures() -> None:
    first, second = schedule(150, 7), schedule(150, 7)
    assert [(e.kind, e.dice.random()) for e in first] == [(e.kind, e.dice.random()) for e in second]


@pytest.mark.parametrize("edit", list(Edit))
def test_each_edit_leaves_a_state_on_disk_that_the_world_knows(world: World, edit: Edit) -> None:
    for _ in range(5):
        world.edit(edit)
        assert on_disk(world) == world.newest.files
        assert world.was(on_disk(world))


def test_files_of_two_states_are_no_state(world: World) -> None:
    before = world.newest.files
    world.edit(Edit.ALL)
    assert not world.was({**world.newest.files, "values/v007.txt": before["values/v007.txt"]})


def test_an_object_that_was_removed_is_in_no_later_state(world: World) -> None:
    numbers = [world.edit(Edit.EXTRA) for _ in range(4)]
    assert f"extra-{numbers[0]}" not in world.newest.objects
    assert f"extra-{numbers[3]}" in world.newest.objects


def test_the_kustomization_names_every_file(world: World) -> None:
    world.edit(Edit.EXTRA)
    kustomization = yaml.safe_load((world.root / KUSTOMIZATION).read_text())
    named = {*kustomization["resources"], *kustomization["configMapGenerator"][0]["files"]}
    assert named == world.newest.files.keys() - {KUSTOMIZATION}
    assert len(world.newest.objects["values"]) == VALUES


@pytest.mark.parametrize(
    ("method", "target"), [("PUT", "/b/src/a"), ("DELETE", "/b/src/a"), ("POST", "/b?delete=")]
)
def test_what_the_old_writer_changes_after_the_new_one_has_begun_is_late(method: str, target: str) -> None:
    requests = [listed(1, OLD), listed(5, NEW), request(6, OLD, method, target)]
    assert len(late_writes(requests, (), 0)) == 1


@pytest.mark.parametrize(
    "last",
    [
        request(4, OLD, "PUT"),
        request(6, NEW, "PUT"),
        request(6, OLD, "GET"),
        request(6, OLD, "PUT", status=403),
    ],
)
def test_earlier_writes_the_new_writer_s_own_reads_and_refused_ones_are_not_late(last: Request) -> None:
    assert not late_writes([listed(1, OLD), listed(5, NEW), last], (), 0)


def test_a_write_of_nobody_known_is_late_where_a_writer_began_while_it_was_connected() -> None:
    unknown = Request(at=6, connected=2, writer=0, method="PUT", target="/b/src/a", status=200)
    assert len(late_writes([listed(1, OLD), listed(5, NEW), unknown], (), 0)) == 1


def test_a_fence_of_the_old_writer_after_the_new_one_has_begun_is_late() -> None:
    requests = [listed(1, OLD), listed(5, NEW)]
    assert len(late_writes(requests, [(2, OLD), (6, OLD), (7, NEW)], 0)) == 1


def test_the_build_without_the_lease_check_permits_a_write_without_a_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SessionLease, "ensure", SessionLease.ensure)
    lease = SessionLease(cast("Connection", None), "run-web", "web")  # any request would fail
    with pytest.raises(AttributeError):
        anyio.run(lease.ensure)
    MUTATIONS["no-lease-check"]()
    anyio.run(lease.ensure)
