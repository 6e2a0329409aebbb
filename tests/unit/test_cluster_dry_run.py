"""What is asked of the API server for an object, and what its answers become."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
import yaml

from gitops_run.adapters.cluster.discovery import Discovery
from gitops_run.adapters.cluster.dry_run import CONFLICTS_MAX, LIST_FROM, ClusterDryRun
from gitops_run.adapters.cluster.go_json import as_go_writes
from gitops_run.adapters.cluster.request import Request
from gitops_run.errors import BackendError, NotFound, TransientError
from gitops_run.model.objects.dry_run import Look, Obstacle
from gitops_run.model.objects.identity import parse_document

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: ns}\n"
SECRET = (
    "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: ns}\nstringData: {k: v}\ndata: {o: bw==}\n"
)
ABSENT = (404, {"message": 'configmaps "a" not found'})


@dataclass
class FakeConnection:
    """An API server with two kinds and given answers."""

    read: tuple[int, dict[str, Any]] = ABSENT
    tried: tuple[int, dict[str, Any]] = (200, {"kind": "ConfigMap"})
    listed: tuple[int, dict[str, Any]] = (403, {"message": "may not list"})
    tried_new: tuple[int, dict[str, Any]] = (201, {"kind": "ConfigMap"})
    tried_then: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    discovered: list[str] = field(default_factory=list)
    kinds: tuple[str, ...] = ("ConfigMap", "Secret")
    context: str = "kind-dev"

    async def get(self, path: str) -> dict[str, Any]:
        self.discovered.append(path)
        if path != "/api/v1":
            raise NotFound("no such group")
        return {
            "resources": [{"kind": k, "name": f"{k.lower()}s", "namespaced": True} for k in self.kinds]
            + [{"kind": "Secret", "name": "secrets/status", "namespaced": False}]
        }

    async def ask(self, request: Request) -> tuple[int, dict[str, Any]]:
        self.asked.append(request)
        if request.path.endswith("/configmaps"):
            return self.listed
        if request.method == "GET":
            return self.read
        if self.tried_then:
            return self.tried_then.pop()
        return self.tried_new if "-recreated-" in request.path else self.tried


def look(
    connection: FakeConnection, *texts: str, has_dry_run: bool = True, manager: str = "kustomize-controller"
) -> tuple[Look, ...]:
    objects = [item for text in texts for item in parse_document(text)]
    discovery = Discovery(connection)  # type: ignore[arg-type]
    cluster = ClusterDryRun(connection, "ns", discovery, manager)  # type: ignore[arg-type]

    async def run() -> tuple[Look, ...]:
        return await cluster.look(objects, has_dry_run=has_dry_run)

    return anyio.run(run)


def test_a_changed_object_costs_one_get_and_one_dry_run_in_the_name_of_the_session_s_account() -> None:
    connection = FakeConnection()
    [found] = look(connection, CONFIG)
    assert sorted(request.method for request in connection.asked) == ["GET", "PATCH"]
    assert {request.path for request in connection.asked} == {"/api/v1/namespaces/ns/configmaps/a"}
    headers = [dict(request.headers) for request in connection.asked]
    assert headers == 2 * [{"Impersonate-User": "system:serviceaccount:ns:flux-run"}]
    [patch] = [request for request in connection.asked if request.method == "PATCH"]
    assert (patch.query["dryRun"], patch.query["fieldValidation"]) == ("All", "Strict")
    assert (found.live, found.result, found.resource) == (None, {"kind": "ConfigMap"}, "configmaps")


def test_an_object_that_flux_may_not_read_is_hidden_and_not_absent() -> None:
    refused = 'configmaps "a" is forbidden: User "system:serviceaccount:ns:flux-run" cannot get resource'
    [found] = look(FakeConnection(read=(403, {"message": refused})), CONFIG)
    assert (found.is_hidden, found.live, found.findings) == (True, None, ())
    [found] = look(FakeConnection(), CONFIG)
    assert not found.is_hidden


def test_an_object_without_a_namespace_is_refused_as_by_flux() -> None:
    connection = FakeConnection(read=(200, {"kind": "ConfigMap"}))
    text = CONFIG.replace(", namespace: ns", "")
    [found] = look(connection, text)
    assert [one.field for one in found.findings] == ["metadata.namespace"]
    assert not any(request.method == "PATCH" for request in connection.asked)
    [found] = look(connection, text, has_dry_run=False)
    assert (found.findings, found.live) == ((), {"kind": "ConfigMap"})


@pytest.mark.parametrize("text", ["\U0001f680 \u00e9 \u2028\u2029", '"\\ud83d\\n', "\t\x01"])
def test_what_is_applied_is_written_as_yaml_reads_it(text: str) -> None:
    written = as_go_writes({"a": text})
    assert json.loads(written) == {"a": text}
    assert yaml.safe_load(written) == {"a": text}


def many(count: int) -> list[str]:
    return [CONFIG.replace("name: a", f"name: a{number}") for number in range(count)]


def test_many_objects_of_a_kind_are_read_by_one_list_that_has_an_end() -> None:
    live = {"metadata": {"name": "a3"}, "data": {"k": "v"}}
    connection = FakeConnection(listed=(200, {"items": [live]}))
    found = look(connection, *many(LIST_FROM))
    assert found[3].live == {"apiVersion": "v1", "kind": "ConfigMap", **live}
    reads = [request for request in connection.asked if request.method == "GET"]
    assert reads[0].query == {"limit": str(2 * LIST_FROM)}
    assert len(reads) == LIST_FROM
    assert not any(request.path.endswith("/a3") for request in reads)


def test_many_objects_are_read_one_by_one_where_flux_may_not_list_them() -> None:
    connection = FakeConnection(read=(200, {"kind": "ConfigMap"}))
    found = look(connection, *many(LIST_FROM))
    assert [one.live for one in found] == LIST_FROM * [{"kind": "ConfigMap"}]


def test_without_dry_run_nothing_but_reading_is_asked() -> None:
    connection = FakeConnection()
    look(connection, CONFIG, has_dry_run=False)
    assert [request.method for request in connection.asked] == ["GET"]


def test_kinds_are_asked_for_once_and_unknown_ones_again() -> None:
    connection = FakeConnection()
    look(connection, CONFIG, SECRET, CONFIG)
    assert connection.discovered == ["/api/v1"]
    widget = "apiVersion: x.io/v1\nkind: Widget\nmetadata: {name: w}\n"
    found = look(connection, widget, widget)
    assert [finding.obstacle for one in found for finding in one.findings] == 2 * [Obstacle.KIND]
    assert connection.discovered[1:] == 2 * ["/apis/x.io/v1"]


def test_a_secret_is_sent_as_flux_sends_it_and_shows_in_no_representation() -> None:
    connection = FakeConnection()
    look(connection, SECRET)
    [patch] = [request for request in connection.asked if request.method == "PATCH"]
    assert patch.body == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "a", "namespace": "ns"},
        "data": {"k": "dg==", "o": "bw=="},
    }
    assert "dg==" not in repr(patch)
    assert "bw==" not in repr(parse_document(SECRET))


@pytest.mark.parametrize("data", ["foo", "[a]", "12"])
def test_a_secret_whose_data_is_no_mapping_is_left_for_the_api_server_to_refuse(data: str) -> None:
    connection = FakeConnection()
    secret = SECRET.replace("{o: bw==}", data)
    look(connection, secret)
    [patch] = [request for request in connection.asked if request.method == "PATCH"]
    assert patch.body == parse_document(secret)[0].body


@pytest.mark.parametrize("manager", ["kustomize-controller", "helm-controller"])
def test_a_dry_run_is_tried_as_the_manager_that_will_apply_it(manager: str) -> None:
    connection = FakeConnection()
    look(connection, CONFIG, manager=manager)
    [patch] = [request for request in connection.asked if request.method == "PATCH"]
    assert patch.query["fieldManager"] == manager


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_cluster_that_fails_is_worth_another_try(code: int) -> None:
    with pytest.raises(TransientError):
        look(FakeConnection(tried=(code, {"message": "etcd is gone"})), CONFIG)


def test_a_read_that_fails_is_no_missing_object() -> None:
    with pytest.raises(TransientError):
        look(FakeConnection(read=(503, {"message": "not ready"})), CONFIG)


def test_credentials_that_count_no_more_end_the_asking() -> None:
    with pytest.raises(BackendError, match="refuses"):
        look(FakeConnection(tried=(401, {"message": "Unauthorized"})), CONFIG)


def test_who_may_not_read_in_flux_s_name_hears_why_even_without_a_dry_run() -> None:
    message = 'serviceaccounts "flux-run" is forbidden: User "dev" cannot impersonate resource "x"'
    [found] = look(FakeConnection(read=(403, {"message": message})), CONFIG, has_dry_run=False)
    assert [finding.obstacle for finding in found.findings] == [Obstacle.IMPERSONATION]


THERE = (200, {"kind": "ConfigMap", "metadata": {"name": "a"}})
INVALID = (422, {"message": 'ConfigMap "a" is invalid: data: Forbidden: field is immutable'})


def test_a_refused_change_is_asked_for_again_as_a_new_object() -> None:
    connection = FakeConnection(read=THERE, tried=INVALID)
    [found] = look(connection, CONFIG.replace("name: a", "name: a, resourceVersion: '7'"))
    assert found.if_new == ()
    assert [found.would_recreating_help(finding) for finding in found.findings] == [True]
    body = connection.asked[-1].body
    assert isinstance(body, dict)
    assert body["metadata"] == {"name": "a-recreated-dfjt7", "namespace": "ns"}
    assert connection.asked[-1].path.endswith("/a-recreated-dfjt7")
    assert connection.asked[-1].query["dryRun"] == "All"


def test_what_is_wrong_with_a_new_object_too_is_not_cured_by_recreating_it() -> None:
    [found] = look(FakeConnection(read=THERE, tried=INVALID, tried_new=INVALID), CONFIG)
    assert [found.would_recreating_help(finding) for finding in found.findings] == [False]


@pytest.mark.parametrize(
    "answer",
    [
        (403, {"message": 'configmaps "x" is forbidden: exceeded quota: q'}),
        (
            422,
            {"message": 'Service "x" is invalid: spec.ports[0].nodePort: provided port is already allocated'},
        ),
    ],
)
def test_what_the_object_itself_takes_up_does_not_keep_it_from_being_recreated(answer: Any) -> None:
    [found] = look(FakeConnection(read=THERE, tried=INVALID, tried_new=answer), CONFIG)
    assert found.if_new == ()


@pytest.mark.parametrize("connection", [FakeConnection(tried=INVALID), FakeConnection(read=THERE)])
def test_nothing_new_is_asked_for_where_nothing_is_there_or_nothing_is_refused(
    connection: FakeConnection,
) -> None:
    assert [found.if_new for found in look(connection, CONFIG)] == [None]


CONFLICT = (409, {"message": "the object has been modified; please apply your changes"})
NO_NUMBER = (500, {"message": 'strconv.ParseUint: parsing "7x": invalid syntax'})
VERSIONED = CONFIG.replace("name: a", "name: a, resourceVersion: '7'")
OF_ANOTHER = CONFIG.replace("name: a", "name: a, uid: '7'")


@pytest.mark.parametrize("text", [VERSIONED, OF_ANOTHER])
@pytest.mark.parametrize("answer", [CONFLICT, NO_NUMBER])
def test_an_identity_that_was_copied_from_a_cluster_is_refused_by_its_field(text: str, answer: Any) -> None:
    connection = FakeConnection(tried=answer)
    [found] = look(connection, text)
    assert [finding.field.removeprefix("metadata.") in text for finding in found.findings] == [True]
    assert found.findings[0].hint.startswith("remove the line")
    assert [request.method for request in connection.asked].count("PATCH") == 1


def test_recreating_cures_a_version_of_an_earlier_state_and_not_the_identity_of_another_object() -> None:
    [versioned] = look(FakeConnection(read=THERE, tried=CONFLICT), VERSIONED)
    assert versioned.if_new == ()
    [other] = look(FakeConnection(read=THERE, tried=CONFLICT, tried_new=CONFLICT), OF_ANOTHER)
    assert other.if_new == other.findings


def test_a_conflict_that_stays_is_refused_with_the_reason_of_the_api_server() -> None:
    connection = FakeConnection(read=THERE, tried=(409, {"message": "admission webhook says no"}))
    [found] = look(connection, CONFIG)
    assert [finding.message for finding in found.findings] == ["admission webhook says no"]
    assert [one.method for one in connection.asked if "-recreated-" not in one.path].count(
        "PATCH"
    ) == CONFLICTS_MAX
    assert found.if_new == ()


def test_a_conflict_with_somebody_else_s_change_is_over_at_the_next_try() -> None:
    connection = FakeConnection(tried_then=[CONFLICT, CONFLICT])
    [found] = look(connection, CONFIG)
    assert found.findings == ()
