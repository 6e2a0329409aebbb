"""What is told of health, and when: under a virtual clock, with a cluster that says what the test lets it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import anyio

from gitops_run.cli.render import PLAIN_MARKS, lines
from gitops_run.errors import TransientError
from gitops_run.flows.follow import Save
from gitops_run.flows.health import GRACE_S, RETRY_S, HealthFollower
from gitops_run.model.health.rules import READY, Health, HealthState, absent_health
from gitops_run.model.objects.identity import ObjectRef, parse_inventory_id
from gitops_run.model.state.events import Event, HealthChanged, SaveHealthy, SavePartlyHealthy
from tests import virtual_time

WEB, DB = "ns_web_apps_Deployment", "ns_db_apps_StatefulSet"
SLOW = Health(state=HealthState.PROGRESSING, message="0 of 1 pods are ready")
SLOWER = Health(state=HealthState.PROGRESSING, message="1 of 2 pods are ready")
CRASHES = Health(state=HealthState.FAILED, message="exit code 1", log=("no port",))


@dataclass
class FakeWatch:
    """A cluster whose health is set by hand. fails: how many looks end in an error."""

    now: dict[str, Health] = field(default_factory=dict)
    fails: int = 0
    looks: list[tuple[ObjectRef, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._news = anyio.Event()

    def become(self, **health: Health) -> None:
        self.now.update(health)
        self._news.set()
        self._news = anyio.Event()

    async def changes(self, objects: tuple[ObjectRef, ...]) -> AsyncIterator[Mapping[ObjectRef, Health]]:
        self.looks.append(objects)
        if self.fails:
            self.fails -= 1
            raise TransientError("the cluster is away")
        while True:
            news = self._news
            yield {ref: self.now[ref.name] for ref in objects if ref.name in self.now}
            await news.wait()


@dataclass
class Scene:
    """A follower that runs, and what it has told with the time at which it did."""

    watch: FakeWatch
    follower: HealthFollower
    told: list[tuple[float, Event]]

    def apply(self, number: int, *inventory: str) -> Save:
        save = Save(number, anyio.current_time())
        self.follower.applied(save, f"revision-{number}", inventory)
        return save

    @property
    def events(self) -> list[Event]:
        return [event for _, event in self.told]


def play(act: Callable[[Scene], Awaitable[None]], watch: FakeWatch | None = None) -> Scene:
    """Let a follower run while the act goes on."""
    found: list[Scene] = []

    async def main() -> None:
        cluster = watch or FakeWatch()
        told: list[tuple[float, Event]] = []
        follower = HealthFollower(cluster, lambda event: told.append((anyio.current_time(), event)))
        found.append(Scene(cluster, follower, told))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follower.run)
            await act(found[0])
            tasks.cancel_scope.cancel()

    virtual_time.run(main)
    return found[0]


def changed(health: Health, name: str = WEB) -> HealthChanged:
    return HealthChanged(
        ref=parse_inventory_id(name, "v1"), health=health.state.value, message=health.message, log=health.log
    )


def healthy(number: int, ms: int) -> SaveHealthy:
    return SaveHealthy(save=number, revision=f"revision-{number}", times_ms={"healthy": ms})


def test_a_short_rollout_is_told_as_healthy_and_nothing_else() -> None:
    async def act(scene: Scene) -> None:
        scene.watch.become(web=SLOW)
        scene.apply(1, WEB)
        await anyio.sleep(0.3)
        scene.watch.become(web=READY)
        await anyio.sleep(60)

    assert play(act).events == [healthy(1, 300)]


def test_what_takes_longer_is_told_once_with_what_is_missing_and_again_when_it_is_ready() -> None:
    async def act(scene: Scene) -> None:
        scene.watch.become(web=SLOW)
        scene.apply(1, WEB)
        await anyio.sleep(0.5)
        scene.watch.become(web=SLOWER)
        await anyio.sleep(9.5)
        scene.watch.become(web=READY)
        await anyio.sleep(1)

    scene = play(act)
    assert scene.events == [changed(SLOWER), changed(READY), healthy(1, 10_000)]
    assert math.isclose(scene.told[0][0], GRACE_S)


def test_what_has_failed_is_told_at_once_with_its_log() -> None:
    async def act(scene: Scene) -> None:
        scene.watch.become(web=SLOW)
        scene.apply(1, WEB)
        await anyio.sleep(0.1)
        scene.watch.become(web=CRASHES)
        await anyio.sleep(60)

    scene = play(act)
    assert scene.events == [changed(CRASHES)]
    assert math.isclose(scene.told[0][0], 0.1)


def test_one_object_that_fails_keeps_the_save_from_being_healthy() -> None:
    async def act(scene: Scene) -> None:
        scene.watch.become(web=READY, db=CRASHES)
        scene.apply(1, WEB, DB)
        await anyio.sleep(60)

    assert play(act).events == [changed(CRASHES, DB)]


def test_a_newer_save_takes_the_place_of_an_unhealthy_one_at_once() -> None:
    async def act(scene: Scene) -> None:
        scene.watch.become(web=CRASHES)
        scene.apply(1, WEB)
        await anyio.sleep(5)
        scene.watch.become(web=READY)
        scene.apply(2, WEB)
        await anyio.sleep(5)

    assert play(act).events == [changed(CRASHES), changed(READY), healthy(2, 0)]


def test_what_was_told_is_not_told_again_with_the_next_save() -> None:
    async def act(scene: Scene) -> None:
        scene.watch.become(web=CRASHES)
        for number in range(1, 5):
            scene.apply(number, WEB)
            await anyio.sleep(5)

    assert play(act).events == [changed(CRASHES)]


def test_an_object_that_went_with_a_save_is_forgotten() -> None:
    async def act(scene: Scene) -> None:
        scene.watch.become(web=READY, db=CRASHES)
        scene.apply(1, WEB, DB)
        await anyio.sleep(5)
        scene.apply(2, WEB)
        await anyio.sleep(5)

    assert play(act).events == [changed(CRASHES, DB), healthy(2, 0)]


def test_trouble_after_health_is_told_and_the_save_is_not_told_healthy_twice() -> None:
    async def act(scene: Scene) -> None:
        scene.watch.become(web=READY)
        scene.apply(1, WEB)
        await anyio.sleep(30)
        scene.watch.become(web=CRASHES)
        await anyio.sleep(30)
        scene.watch.become(web=READY)
        await anyio.sleep(30)

    assert play(act).events == [healthy(1, 0), changed(CRASHES), changed(READY)]


def test_progress_is_told_at_most_once_a_second() -> None:
    async def act(scene: Scene) -> None:
        scene.apply(1, WEB)
        for count in range(100):
            scene.watch.become(web=Health(state=HealthState.PROGRESSING, message=f"{count} of 100"))
            await anyio.sleep(0.1)

    assert 8 <= len(play(act).events) <= 10


def test_a_failing_cluster_is_tried_again_without_a_word() -> None:
    async def act(scene: Scene) -> None:
        scene.watch.become(web=READY)
        scene.apply(1, WEB)
        await anyio.sleep(60)

    scene = play(act, FakeWatch(fails=3))
    assert scene.events == [healthy(1, round(3 * RETRY_S * 1000))]


WHEEL, RIM = "ns_front_example.com_Wheel", "ns_rim_example.com_Wheel"


def test_a_save_is_not_told_healthy_over_objects_that_cannot_be_watched() -> None:
    async def act(scene: Scene) -> None:
        scene.watch.become(web=READY)
        scene.apply(1, WEB, WHEEL, RIM)
        await anyio.sleep(5)

    assert play(act).events == [
        SavePartlyHealthy(
            save=1,
            revision="revision-1",
            ready=1,
            not_watched=2,
            kinds=("Wheel.example.com",),
            times_ms={"partly_healthy": 0},
        )
    ]


def test_what_cannot_be_watched_does_not_hide_that_something_else_fails() -> None:
    async def act(scene: Scene) -> None:
        scene.watch.become(web=CRASHES)
        scene.apply(1, WEB, WHEEL)
        await anyio.sleep(5)

    assert play(act).events == [changed(CRASHES)]


def test_nothing_is_told_ready_where_nothing_can_be_watched() -> None:
    async def act(scene: Scene) -> None:
        scene.apply(1, WHEEL)
        await anyio.sleep(5)

    (event,) = play(act).events
    assert isinstance(event, SavePartlyHealthy)
    assert (event.ready, event.not_watched) == (0, 1)
    assert lines(event, PLAIN_MARKS) == [
        "- save 1: 0 of 1 object ready after 0 ms; 1 can't be watched: Wheel.example.com"
    ]


def test_the_versions_of_the_inventory_are_asked_for() -> None:
    async def act(scene: Scene) -> None:
        entry = "ns_x_example.com_Wheel"
        scene.follower.applied(Save(1, 0.0), "r", (entry, WEB), ((entry, "v1beta1"),))
        await anyio.sleep(1)

    wheel, web = play(act).watch.looks[0]
    assert (wheel.version, web) == ("v1beta1", parse_inventory_id(WEB))


def test_an_object_that_a_pushed_save_deletes_is_not_reported_as_missing() -> None:
    async def act(scene: Scene) -> None:
        scene.watch.become(web=READY, db=READY)
        scene.apply(1, WEB, DB)
        await anyio.sleep(1)
        scene.follower.leaving([parse_inventory_id(WEB, "v1")])
        scene.watch.become(web=absent_health(parse_inventory_id(WEB, "v1")))
        await anyio.sleep(30)
        scene.apply(2, DB)
        await anyio.sleep(1)

    assert [type(event) for event in play(act).events] == [SaveHealthy, SaveHealthy]


def test_an_object_that_a_save_does_not_delete_is_reported_as_missing() -> None:
    async def act(scene: Scene) -> None:
        scene.watch.become(web=READY, db=READY)
        scene.apply(1, WEB, DB)
        await anyio.sleep(1)
        scene.follower.leaving([parse_inventory_id(DB, "v1")])
        scene.apply(2, WEB, DB)
        scene.watch.become(web=absent_health(parse_inventory_id(WEB, "v1")))
        scene.watch.become(db=absent_health(parse_inventory_id(DB, "v1")))
        await anyio.sleep(30)

    missing = [event.object for event in play(act).events if isinstance(event, HealthChanged)]
    assert missing == ["Deployment ns/web", "StatefulSet ns/db"]
