"""What is read of a cluster's bounds: how controllers run, which policies there are, who owns a session."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from gitops_run.adapters.cluster.bounds import (
    controllers_of_flux,
    declared_controllers,
    has_policies,
    read_controllers,
)
from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.listing import list_states
from gitops_run.errors import BackendError, NotFound, TransientError
from gitops_run.model.names import OWNER_ANNOTATION, SESSION_LABEL
from gitops_run.model.platform.admission import policies
from gitops_run.model.rights.lockdown import ARGUMENTS_ANNOTATION, Controller, write_declared

POLICIES = "/apis/admissionregistration.k8s.io/v1"
DEPLOYMENTS = "/apis/apps/v1/deployments"
BUCKETS = "/apis/source.toolkit.fluxcd.io/v1/buckets"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/rolebindings"


@dataclass
class FakeConnection:
    """A cluster of answers by path; an error is raised, and what has no answer isn't there."""

    answers: Mapping[str, Any] = field(default_factory=dict)

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        named = (query or {}).get("fieldSelector", "").removeprefix("metadata.name=")
        answer = self.answers.get(f"{path}?{named}", self.answers.get(path))
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            raise NotFound(path)
        return answer

    find = Connection.find


def cluster(**answers: Any) -> Connection:
    return cast("Connection", FakeConnection(answers))


def deployment(name: str, *containers: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "flux-system"}
    return {"metadata": metadata, "spec": {"template": {"spec": {"containers": list(containers)}}}}


def test_arguments_are_the_manager_s_also_beside_other_containers() -> None:
    manager = {"name": "manager", "command": ["/controller"], "args": ["--no-remote-bases"]}
    found = deployment("kustomize-controller", {"name": "proxy", "args": ["--a"]}, manager)
    answers = {f"{DEPLOYMENTS}?kustomize-controller": {"items": [found]}}
    assert asyncio.run(read_controllers(cluster(**answers))) == (
        (
            "flux-system",
            Controller(name="kustomize-controller", arguments=("/controller", "--no-remote-bases")),
        ),
    )


def test_a_deployment_of_a_controller_s_name_elsewhere_is_not_flux() -> None:
    flux, other = (Controller(name="kustomize-controller", arguments=(flag,)) for flag in ("--a", "--b"))
    found = (("flux-system", flux), ("run-eve", other))
    assert controllers_of_flux(found, {"items": [{"metadata": {"name": "flux-system"}}]}) == (flux,)
    assert controllers_of_flux(found, {}) == (flux, other)


def test_controllers_that_may_not_be_read_are_not_seen() -> None:
    assert asyncio.run(read_controllers(cluster(**{DEPLOYMENTS: BackendError("forbidden")}))) == ()


def test_controllers_outside_of_deployments_are_seen_by_what_their_namespace_declares() -> None:
    text = write_declared({"kustomize-controller": ["--no-remote-bases"]})
    listed = {"items": [{"metadata": {"annotations": {ARGUMENTS_ANNOTATION: text}}}, {"metadata": {}}]}
    (found,) = declared_controllers(listed)
    assert found.arguments == ("--no-remote-bases",)


def answers_of_policies(answer: Any) -> dict[str, Any]:
    kinds = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
    return {f"{POLICIES}/{kind}/{name}": answer for kind in kinds for name in policies()}


def test_policies_are_in_force_where_each_is_there_with_its_binding() -> None:
    there = answers_of_policies({"metadata": {}})
    assert asyncio.run(has_policies(cluster(**there))) is True
    for path in there:
        assert asyncio.run(has_policies(cluster(**{**there, path: NotFound("")}))) is False


def test_policies_that_may_not_be_read_are_neither_there_nor_missing() -> None:
    assert asyncio.run(has_policies(cluster(**answers_of_policies(BackendError("forbidden"))))) is None


def test_a_cluster_that_does_not_answer_is_no_cluster_without_policies() -> None:
    with pytest.raises(TransientError):
        asyncio.run(has_policies(cluster(**answers_of_policies(TransientError("away")))))


def bucket(owner: str) -> dict[str, Any]:
    annotations = {OWNER_ANNOTATION: owner}
    metadata = {"name": "web", "namespace": "run-web", "labels": {SESSION_LABEL: "web"}}
    spec = {"endpoint": "s3:9000"}
    return {"metadata": {**metadata, "generation": 1, "annotations": annotations}, "spec": spec}


def binding(name: str) -> dict[str, Any]:
    return {"metadata": {"namespace": "run-web"}, "subjects": [{"kind": "User", "name": name}]}


def test_a_session_s_owner_is_who_is_bound_and_not_what_an_annotation_says() -> None:
    answers = {BUCKETS: {"items": [bucket("mallory")]}, BINDINGS: {"items": [binding("dev@example.com")]}}
    (found,) = asyncio.run(
        list_states(cluster(**{BUCKETS: answers[BUCKETS], f"{BINDINGS}?session-owner": answers[BINDINGS]}))
    )
    assert (found.known_owner, found.is_owner_claimed) == ("dev@example.com", False)


def test_an_owner_whose_binding_may_not_be_read_is_a_claim() -> None:
    answers = {
        BUCKETS: {"items": [bucket("mallory")]},
        f"{BINDINGS}?session-owner": BackendError("forbidden"),
    }
    (found,) = asyncio.run(list_states(cluster(**answers)))
    assert (found.known_owner, found.is_owner_claimed) == ("mallory", True)
