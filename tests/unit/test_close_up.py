"""What is read of a session while somebody looks at it, from a cluster in memory: objects, logs, rights."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import anyio
import pytest

from gitops_run.adapters.cluster.close_up import list_pods, read_close_up
from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.discovery import Discovery
from gitops_run.adapters.cluster.object_text import read_bound, read_object_text
from gitops_run.adapters.cluster.pod_logs import LINE_MAX, LOOK_AGAIN_S, follow_logs
from gitops_run.adapters.cluster.request import Request
from gitops_run.adapters.cluster.rights import AT_ONCE, allowed, identity
from gitops_run.errors import BackendError, GitOpsRunError, NotFound, TransientError
from gitops_run.model.names import SessionName
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.rights.right import Right
from gitops_run.model.session.key import SessionKey
from gitops_run.model.state.close_up import LogLine, LogRequest
from tests.virtual_time import scenario

NS = "run-web"
KEY = SessionKey(kubeconfig="/k", context="kind-dev", namespace=NS, name=SessionName("web"))
INVENTORY = [
    {"id": f"{NS}_web_apps_Deployment", "v": "v1"},
    {"id": f"{NS}_hush__Secret", "v": "v1"},
    {"id": f"{NS}_lost__ConfigMap", "v": "v1"},
    {"id": f"{NS}_odd_example.com_Thing", "v": "v1"},
]
KUSTOMIZATION = {
    "kind": "Kustomization",
    "metadata": {"name": "web"},
    "status": {"inventory": {"entries": INVENTORY}},
}


def named(name: str, uid: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": NS, "uid": uid, **more}}


def owned(name: str, uid: str, owner: str, **more: Any) -> dict[str, Any]:
    return {**named(name, uid, ownerReferences=[{"uid": owner, "controller": True}]), **more}


PODS = f"/api/v1/namespaces/{NS}/pods"
POD = owned(
    "web-1",
    "p",
    "rs",
    spec={"initContainers": [{"name": "init"}], "containers": [{"name": "web"}]},
    status={"phase": "Running", "containerStatuses": [{"name": "web", "restartCount": 2}]},
)
ANSWERS: Mapping[str, Any] = {
    f"/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{NS}/kustomizations/web": KUSTOMIZATION,
    "/apis/apps/v1": {"resources": [{"kind": "Deployment", "name": "deployments", "namespaced": True}]},
    "/api/v1": {
        "resources": [
            {"kind": "Secret", "name": "secrets", "namespaced": True},
            {"kind": "ConfigMap", "name": "configmaps", "namespaced": True},
        ]
    },
    f"/apis/apps/v1/namespaces/{NS}/deployments": {"items": [named("web", "d")]},
    f"/apis/apps/v1/namespaces/{NS}/replicasets": {"items": [owned("web-x", "rs", "d")]},
    f"/api/v1/namespaces/{NS}/secrets": {"items": [named("hush", "s")]},
    f"/api/v1/namespaces/{NS}/configmaps": {"items": []},
    f"/api/v1/namespaces/{NS}/events": {"items": []},
    PODS: {"items": [POD, named("gitops-run-bucket-0", "b")]},
}


class Api:
    """Answer what is written down; refuse what is in refused, and know nothing of the rest."""

    context = "kind-dev"

    def __init__(self, answers: Mapping[str, Any] = ANSWERS, refused: tuple[str, ...] = ()) -> None:
        self.answers = dict(answers)
        self.refused = refused
        self.asked: list[Request] = []
        self.logs: dict[str, list[Any]] = {}
        self.followed: list[tuple[str, Mapping[str, str]]] = []
        self.reviewed = 0
        self.most_reviewed = 0

    async def get(self, path: str, query: object = None) -> Any:
        if path in self.refused:
            raise BackendError(f"forbidden: {path}")
        if path not in self.answers:
            raise NotFound(path)
        return self.answers[path]

    find = Connection.find

    async def ask(self, request: Request) -> tuple[int, Any]:
        self.asked.append(request)
        if request.path in self.refused:
            return 403, {"message": "forbidden"}
        found = self.answers.get(request.path)
        return (404, {}) if found is None else (200, found)

    async def create(self, path: str, body: Any) -> Any:
        if path.endswith("selfsubjectreviews"):
            return {"status": {"userInfo": {"username": "alice", "groups": ["a", "b"]}}}
        self.reviewed += 1
        self.most_reviewed = max(self.most_reviewed, self.reviewed)
        await anyio.sleep(0.01)
        self.reviewed -= 1
        return {"status": {"allowed": body["spec"]["resourceAttributes"].get("namespace") == "yes"}}

    async def follow_text(self, path: str, query: Mapping[str, str]) -> AsyncGenerator[str, None]:
        self.followed.append((path, query))
        steps = self.logs.get(f"{path} {query['container']}", [])
        while steps:
            step = steps.pop(0)
            if isinstance(step, GitOpsRunError):
                raise step
            yield step


async def close_up(api: Api) -> Any:
    return await read_close_up(api, Discovery(api), KEY)  # type: ignore[arg-type]


@scenario
async def test_objects_are_read_with_their_health_and_pods_belong_to_their_deployment() -> None:
    found = await close_up(Api())
    seen = {one.ref.kind: one for one in found.objects}
    assert seen["Deployment"].uid == "d"
    assert (seen["Pod"].owner, seen["Pod"].ref.name) == ("d", "web-1")
    assert seen["Secret"].health == "ready"
    assert seen["ConfigMap"].health == "missing"
    assert seen["Thing"].message == "the cluster doesn't know its kind"


@scenario
async def test_only_metadata_of_secrets_is_asked_for() -> None:
    api = Api()
    await close_up(api)
    (secrets,) = [one for one in api.asked if one.path.endswith("/secrets")]
    assert "PartialObjectMetadataList" in secrets.headers["Accept"]


@scenario
async def test_what_may_not_be_listed_is_named_with_the_right() -> None:
    found = await close_up(Api(refused=(PODS, f"/api/v1/namespaces/{NS}/secrets")))
    assert found.missing["pods"] == Right(verb="list", resource="pods", namespace=NS)
    secret = next(one for one in found.objects if one.ref.kind == "Secret")
    assert secret.message == f"to see it, you need the right to list secrets in namespace {NS}"


@scenario
async def test_the_sessions_own_store_is_no_pod_of_it() -> None:
    (pod,) = await list_pods(Api(), NS)  # type: ignore[arg-type]
    assert (pod.name, pod.containers, pod.has_previous) == ("web-1", ("init", "web"), True)


@scenario
async def test_an_object_that_is_gone_has_no_yaml() -> None:
    ref = ObjectRef(group="", kind="ConfigMap", namespace=NS, name="lost")
    api = Api()
    with pytest.raises(NotFound):
        await read_object_text(api, Discovery(api), ref, NS)  # type: ignore[arg-type]


@scenario
async def test_the_owner_is_listed_where_bindings_may_not_be() -> None:
    binding = {
        "metadata": {"name": "session-owner"},
        "roleRef": {"name": "session-owner"},
        "subjects": [{"kind": "User", "name": "alice"}],
    }
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NS}/rolebindings/session-owner"
    (bound,) = await read_bound(Api({path: binding}), NS, ())  # type: ignore[arg-type]
    assert (bound.subject, bound.role) == ("User alice", "session-owner")


@scenario
async def test_rights_are_asked_for_some_at_a_time_and_answered_in_order() -> None:
    api = Api()
    wanted = [
        Right(verb="get", resource="buckets", namespace="yes" if number % 3 else "no")
        for number in range(200)
    ]
    answers = await allowed(api, wanted)  # type: ignore[arg-type]
    assert answers == tuple(bool(number % 3) for number in range(200))
    assert api.most_reviewed == AT_ONCE
    assert (await identity(api)).groups == ("a", "b")  # type: ignore[arg-type]


async def lines_of(api: Api, request: LogRequest, within_s: float = LOOK_AGAIN_S * 3) -> list[LogLine]:
    send, receive = anyio.create_memory_object_stream[LogLine](1000)
    with send, receive:
        with anyio.move_on_after(within_s):
            await follow_logs(api, request, send)  # type: ignore[arg-type]
        return [receive.receive_nowait() for _ in range(receive.statistics().current_buffer_used)]


@scenario
async def test_every_container_of_every_pod_is_followed() -> None:
    api = Api()
    api.logs = {f"{PODS}/web-1/log web": ["2026-11-26T10:00:00Z hello world"]}
    (line,) = await lines_of(api, LogRequest(namespace=NS), within_s=1)
    assert (line.pod, line.container, line.at, line.text) == (
        "web-1",
        "web",
        "2026-11-26T10:00:00Z",
        "hello world",
    )
    assert {query["container"] for _, query in api.followed} == {"init", "web"}


@scenario
async def test_a_log_that_ends_is_followed_again_from_its_last_line_on() -> None:
    api = Api()
    key = f"{PODS}/web-1/log web"
    api.logs = {key: ["2026-11-26T10:00:00Z one"]}

    async def restart() -> None:
        await anyio.sleep(1)
        api.logs[key] = ["2026-11-26T10:00:00Z one", "2026-11-26T10:00:09Z two"]

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(restart)
        found = await lines_of(api, LogRequest(namespace=NS))
    assert [line.text for line in found] == ["one", "two"]
    assert any(query.get("sinceTime") == "2026-11-26T10:00:00Z" for _, query in api.followed)


@scenario
async def test_a_log_that_can_not_be_read_is_one_remark() -> None:
    api = Api()
    error = TransientError("the node doesn't answer")
    api.logs = {f"{PODS}/web-1/log web": [error, error, error]}
    found = await lines_of(api, LogRequest(namespace=NS))
    assert [(line.at, line.text) for line in found] == [("", "the node doesn't answer")]


@scenario
async def test_the_life_before_has_an_end() -> None:
    api = Api()
    api.logs = {f"{PODS}/web-1/log web": ["2026-11-26T10:00:00Z it crashed"]}
    (line,) = await lines_of(api, LogRequest(namespace=NS, is_previous=True))
    assert line.text == "it crashed"
    assert all(query["previous"] == "true" and "follow" not in query for _, query in api.followed)


@scenario
async def test_a_line_without_an_end_is_cut() -> None:
    api = Api()
    api.logs = {f"{PODS}/web-1/log web": [f"2026-11-26T10:00:00Z {'x' * LINE_MAX * 2}"]}
    (line,) = await lines_of(api, LogRequest(namespace=NS), within_s=1)
    assert len(line.text) == LINE_MAX + 1


@scenario
async def test_only_the_pod_that_is_named_is_followed() -> None:
    api = Api()
    await lines_of(api, LogRequest(namespace=NS, pod="other"), within_s=1)
    assert api.followed == []


@scenario
async def test_logs_of_pods_that_may_not_be_listed_are_refused() -> None:
    with pytest.raises(BackendError):
        await lines_of(Api(refused=(PODS,)), LogRequest(namespace=NS))
