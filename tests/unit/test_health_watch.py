"""The health of objects from lists and watches, against an API server in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from gitops_run.adapters.cluster import health
from gitops_run.adapters.cluster.health import GATHER_S, GATHER_SHARE, ClusterHealth
from gitops_run.errors import BackendError, NotFound, TransientError
from gitops_run.model.health.pod_troubles import Surroundings, explained_health
from gitops_run.model.health.rules import MISSING, READY, Health, Live
from gitops_run.model.objects.identity import ObjectRef
from tests import virtual_time

Json = dict[str, Any]
DEPLOYMENTS = "/apis/apps/v1/namespaces/ns/deployments"
REPLICA_SETS = "/apis/apps/v1/namespaces/ns/replicasets"
PODS, EVENTS = "/api/v1/namespaces/ns/pods", "/api/v1/namespaces/ns/events"
LOG = f"{PODS}/web-1-a/log"
APPS = {
    "resources": [
        {"kind": "Deployment", "name": "deployments", "namespaced": True},
        {"kind": "Scale", "name": "deployments/scale", "namespaced": True},
    ]
}
WEB = ObjectRef(group="apps", kind="Deployment", namespace="ns", name="web")
OTHER = ObjectRef(group="apps", kind="Deployment", namespace="ns", name="other")
UIDS = {"web": "1", "other": "9"}
WHEEL = ObjectRef(group="example.com", kind="Wheel", namespace="ns", name="w")
SETTINGS = ObjectRef(group="", kind="ConfigMap", namespace="ns", name="settings")


def deployment(ready: int = 1, name: str = "web") -> Json:
    counts = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": ready, "availableReplicas": ready}
    return {
        "metadata": {"name": name, "uid": UIDS[name]},
        "spec": {"replicas": 1},
        "status": {**counts, "conditions": [{"type": "Available", "status": "True"}]},
    }


def crashing_pod(code: int = 1) -> Json:
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    container = {"name": "web", "state": state, "lastState": {"terminated": {"exitCode": code}}}
    owner = [{"uid": "2"}]
    return {
        "metadata": {"name": "web-1-a", "uid": "3", "ownerReferences": owner},
        "status": {"phase": "Running", "containerStatuses": [container]},
    }


REPLICA_SET = {"metadata": {"name": "web-1", "uid": "2", "ownerReferences": [{"uid": "1"}]}}


@dataclass
class FakeApi:
    """Lists, watches and logs. refused: paths that this user may not see. asked: in order."""

    lists: dict[str, list[Json]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    is_away: bool = False
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._events: dict[str, asyncio.Queue[tuple[str, Json] | None]] = {}

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        self.asked.append(path)
        await asyncio.sleep(0.001)
        if self.is_away:
            raise TransientError("the cluster is away")
        if path in self.refused:
            raise BackendError("forbidden")
        if path == "/apis/apps/v1":
            return APPS
        if path.startswith("/apis/example.com/") and "namespaces" not in path:
            raise NotFound(path)
        return {"items": self.lists.get(path, []), "metadata": {"resourceVersion": "7"}}

    async def watch(
        self, path: str, query: Mapping[str, str], opened: Callable[[], None]
    ) -> AsyncIterator[tuple[str, Json]]:
        opened()
        assert query["resourceVersion"] == "7"
        queue = self._events.setdefault(path, asyncio.Queue())
        while (event := await queue.get()) is not None:
            yield event

    async def get_text(self, path: str, query: Mapping[str, str]) -> str:
        self.asked.append(f"{path}?previous={query.get('previous', 'false')}")
        if query.get("previous", "false") not in self.logs:
            raise BackendError("no such log")
        return self.logs[query.get("previous", "false")]

    def tell(self, path: str, event: tuple[str, Json] | None) -> None:
        self._events.setdefault(path, asyncio.Queue()).put_nowait(event)


Seen = Mapping[ObjectRef, Health]
Next = Callable[[], Awaitable[Seen]]


def watching(api: FakeApi, act: Callable[[Next], Awaitable[None]], *refs: ObjectRef) -> None:
    """Let an act take one look after another."""

    async def main() -> None:
        async with aclosing(ClusterHealth(api, "ns").changes(refs)) as changes:  # type: ignore[arg-type,type-var]
            await act(changes.__anext__)

    virtual_time.run(main)


def test_what_is_ready_by_existing_is_not_asked_for() -> None:
    api = FakeApi()

    async def act(look: Next) -> None:
        assert await look() == {SETTINGS: READY}

    watching(api, act, SETTINGS)
    assert api.asked == []


def test_a_list_comes_first_and_then_what_the_watch_tells() -> None:
    api = FakeApi({DEPLOYMENTS: [deployment(0)]})

    async def act(look: Next) -> None:
        assert (await look())[WEB].message == "0 of 1 pods are ready"
        api.tell(DEPLOYMENTS, ("BOOKMARK", {"metadata": {}}))
        api.tell(DEPLOYMENTS, ("MODIFIED", deployment(1)))
        assert await look() == {WEB: READY}
        api.tell(DEPLOYMENTS, ("DELETED", deployment(1)))
        assert await look() == {WEB: MISSING}

    watching(api, act, WEB)
    assert set(api.asked) == {"/apis/apps/v1", DEPLOYMENTS, REPLICA_SETS, PODS, EVENTS}


def test_a_watch_whose_version_has_expired_is_followed_by_a_new_list() -> None:
    api = FakeApi({DEPLOYMENTS: [deployment(0)]})

    async def act(look: Next) -> None:
        await look()
        api.lists[DEPLOYMENTS] = [deployment(1)]
        api.tell(DEPLOYMENTS, ("ERROR", {"code": 410}))
        assert await look() == {WEB: READY}

    watching(api, act, WEB)


def test_a_watch_that_ends_is_followed_by_another_one() -> None:
    api = FakeApi({DEPLOYMENTS: [deployment(0)]})

    async def act(look: Next) -> None:
        await look()
        api.tell(DEPLOYMENTS, None)
        api.tell(DEPLOYMENTS, ("MODIFIED", deployment(1)))
        assert await look() == {WEB: READY}
        assert api.asked.count(DEPLOYMENTS) == 1

    watching(api, act, WEB)


def test_a_kind_that_this_user_may_not_see_is_left_out_and_not_asked_for_again() -> None:
    api = FakeApi(refused={DEPLOYMENTS, PODS})

    async def main() -> None:
        health = ClusterHealth(api, "ns")  # type: ignore[arg-type]
        for _ in range(2):
            async with aclosing(health.changes((WEB, SETTINGS))) as changes:  # type: ignore[type-var]
                assert await anext(changes) == {SETTINGS: READY}

    virtual_time.run(main)
    assert api.asked.count(DEPLOYMENTS) == 1


def test_pods_that_this_user_may_not_see_only_cost_the_reason() -> None:
    api = FakeApi({DEPLOYMENTS: [deployment(0)]}, refused={PODS, EVENTS, REPLICA_SETS})

    async def act(look: Next) -> None:
        assert (await look())[WEB].message == "0 of 1 pods are ready"

    watching(api, act, WEB)


def test_a_kind_that_the_api_server_does_not_have_is_left_out() -> None:
    async def act(look: Next) -> None:
        assert await look() == {SETTINGS: READY}

    watching(FakeApi(), act, WHEEL, SETTINGS)


def test_a_cluster_that_is_away_is_an_error_that_passes() -> None:
    async def act(look: Next) -> None:
        with pytest.raises(TransientError, match="away"):
            await look()

    watching(FakeApi(is_away=True), act, WEB)


def crashing(logs: dict[str, str]) -> FakeApi:
    lists = {DEPLOYMENTS: [deployment(0)], REPLICA_SETS: [REPLICA_SET], PODS: [crashing_pod()]}
    return FakeApi(lists, logs)


def test_a_crash_comes_with_the_last_lines_of_the_life_before() -> None:
    api = crashing({"true": "\n".join(f"line {n}" for n in range(30)), "false": "starting"})

    async def act(look: Next) -> None:
        assert (await look())[WEB].log == tuple(f"line {n}" for n in range(20, 30))

    watching(api, act, WEB)


def test_a_container_that_had_one_life_only_shows_that() -> None:
    async def act(look: Next) -> None:
        assert (await look())[WEB].log == ("no port",)

    watching(crashing({"false": "no port\n"}), act, WEB)


def test_a_log_that_can_not_be_read_does_not_hide_the_crash() -> None:
    async def act(look: Next) -> None:
        health = (await look())[WEB]
        assert (health.log, health.message) == ((), "pod web-1-a, container web crashes: exit code 1")

    watching(crashing({}), act, WEB)


def test_a_log_is_read_again_only_when_the_health_is_another() -> None:
    api = crashing({"true": "no port"})
    api.lists[DEPLOYMENTS].append(deployment(0, "other"))

    async def act(look: Next) -> None:
        await look()
        api.tell(DEPLOYMENTS, ("MODIFIED", deployment(1, "other")))
        seen = await look()
        assert (seen[OTHER], seen[WEB].log) == (READY, ("no port",))
        assert api.asked.count(f"{LOG}?previous=true") == 1
        api.tell(PODS, ("MODIFIED", crashing_pod(code=2)))
        await look()
        assert api.asked.count(f"{LOG}?previous=true") == 2

    watching(api, act, WEB, OTHER)


def test_changes_that_keep_coming_are_judged_together() -> None:
    api = crashing({})

    async def act(look: Next) -> None:
        await look()
        began = anyio.current_time()
        for code in range(2, 50):
            api.tell(PODS, ("MODIFIED", crashing_pod(code)))
            await anyio.sleep(0.001)
        assert (await look())[WEB].message.endswith("exit code 49")
        assert anyio.current_time() - began == pytest.approx(GATHER_S, abs=0.01)

    watching(api, act, WEB)


def test_judgements_that_take_long_leave_most_of_the_time_to_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api, took_s = FakeApi({DEPLOYMENTS: [deployment(0)]}), 0.5

    def judged(live: Live, around: Surroundings) -> Health:
        virtual_time.spend(took_s)
        return explained_health(live, around)

    monkeypatch.setattr(health, "explained_health", judged)

    async def act(look: Next) -> None:
        await look()
        api.tell(DEPLOYMENTS, ("MODIFIED", deployment(1)))
        began = anyio.current_time()
        assert await look() == {WEB: READY}
        assert anyio.current_time() - began == pytest.approx(GATHER_SHARE * took_s)

    watching(api, act, WEB)


def test_a_change_after_a_quiet_time_is_judged_at_once() -> None:
    api = FakeApi({DEPLOYMENTS: [deployment(0)]})

    async def act(look: Next) -> None:
        await look()
        await anyio.sleep(1)
        began = anyio.current_time()
        api.tell(DEPLOYMENTS, ("MODIFIED", deployment(1)))
        assert await look() == {WEB: READY}
        assert anyio.current_time() == began

    watching(api, act, WEB)
