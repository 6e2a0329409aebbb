"""Which Flux is good enough, and what is asked of a cluster before a session is made."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from gitops_run.adapters.cluster.facts import _ask, _flux, _refuse_flux
from gitops_run.errors import BackendError, NotFound, UsageError
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.spec import ClusterFacts

KINDS: list[dict[str, Any]] = [
    {"resources": [{"kind": "Bucket"}]},
    {"resources": [{"kind": "Kustomization"}]},
]


@pytest.mark.parametrize("version", ["v2.7.0", "2.9.1", "v3.0.0", ""])
def test_a_flux_that_is_new_enough_or_does_not_tell_is_taken(version: str) -> None:
    _refuse_flux(version, KINDS)


@pytest.mark.parametrize("version", ["v2.6.4", "0.41.2", "v1.25.4"])
def test_a_flux_that_is_too_old_is_refused_with_its_version(version: str) -> None:
    with pytest.raises(UsageError, match=version):
        _refuse_flux(version, KINDS)


@pytest.mark.parametrize("missing", [0, 1])
def test_a_cluster_without_flux_s_kinds_is_refused(missing: int) -> None:
    kinds = [{} if index == missing else kind for index, kind in enumerate(KINDS)]
    with pytest.raises(UsageError, match="this cluster has no"):
        _refuse_flux("", kinds)


def test_where_flux_is_and_which_is_read_from_its_namespace() -> None:
    labels = {"app.kubernetes.io/part-of": "flux", "app.kubernetes.io/version": "v2.9.5"}
    found = {"items": [{"metadata": {"name": "gitops", "labels": labels}}]}
    assert _flux(found) == ("gitops", "v2.9.5")
    assert _flux({}) == ("", "")


@dataclass
class FakeApi:
    """refused: paths that this user may not see."""

    refused: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        del query
        if path == self.refused:
            raise BackendError(f"the cluster refuses: {path} is forbidden")
        if path.endswith(("kube-system/", "/rolebindings/session-owner")) or "policies" in path:
            return {}
        if path.endswith("kube-system"):
            return {"metadata": {"uid": "uid"}}
        if path == "/api/v1/namespaces/run-web":
            return {"metadata": {"annotations": self.annotations}}
        if path.endswith("/buckets/web"):
            raise NotFound(path)
        return {"resources": [{"kind": "Bucket"}, {"kind": "Kustomization"}]}

    async def find(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        try:
            return await self.get(path, query)
        except (NotFound, BackendError):
            return {}

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        del path, body
        return {"status": {"userInfo": {"username": "jane"}, "allowed": True}}


def facts_of(api: FakeApi) -> ClusterFacts:
    name = SessionName.parse("web")
    key = SessionKey(kubeconfig="", context="kind-dev", namespace="run-web", name=name)
    return asyncio.run(_ask(api, key))  # type: ignore[arg-type]


def test_a_session_that_is_not_there_has_no_owner() -> None:
    assert (facts_of(FakeApi()).user, facts_of(FakeApi()).owner) == ("jane", "")


def test_the_sessions_namespace_tells_which_stack_declares_it() -> None:
    annotations = {"gitops-run.dev/stack": "fleet/all"}
    assert facts_of(FakeApi(annotations=annotations)).stack == "fleet/all"
    assert facts_of(FakeApi(refused="/api/v1/namespaces/run-web")).stack == ""


def test_flux_may_hide_its_version() -> None:
    assert facts_of(FakeApi(refused="/api/v1/namespaces")).flux == ""


@pytest.mark.parametrize(
    "hidden",
    [
        "/apis/source.toolkit.fluxcd.io/v1/namespaces/run-web/buckets/web",
        "/apis/source.toolkit.fluxcd.io/v1",
        "/apis/kustomize.toolkit.fluxcd.io/v1",
    ],
)
def test_what_this_user_may_not_see_is_not_taken_for_absent(hidden: str) -> None:
    with pytest.raises(BackendError, match="forbidden"):
        facts_of(FakeApi(refused=hidden))
