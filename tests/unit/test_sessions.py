"""What a cluster says of its sessions, also where it has no Flux, refuses to say, or repeats a claim."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gitops_run.adapters.cluster.lease import DURATION_S
from gitops_run.adapters.cluster.listing import list_states, read_state
from gitops_run.adapters.cluster.paths import map_path, namespace_path, source_path
from gitops_run.adapters.cluster.reflector import Listed, Seen
from gitops_run.adapters.cluster.states import session_kinds
from gitops_run.api.watch import SessionWatch
from gitops_run.errors import BackendError, GitOpsRunError, NotFound
from gitops_run.model.names import LOOP_KEY, RECORD_MAP, SESSION_LABEL, STATE_MAP, SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.state.record import Record
from gitops_run.model.state.session_state import SessionState
from gitops_run.model.state.summary import Summary
from gitops_run.model.state.texts import record_text, summary_text


@dataclass
class FakeApi:
    """answer: to every question."""

    answer: dict[str, Any] | GitOpsRunError
    context: str = "kind-dev"

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        del path, query
        if isinstance(self.answer, GitOpsRunError):
            raise self.answer
        return self.answer

    async def find(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        try:
            return await self.get(path, query)
        except (NotFound, BackendError):
            return {}


def test_a_cluster_without_flux_is_told_from_one_without_sessions() -> None:
    assert asyncio.run(list_states(FakeApi({"items": []}))) == ()  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="'kind-dev' has no Flux") as failed:
        asyncio.run(list_states(FakeApi(NotFound("page not found"))))  # type: ignore[arg-type]
    assert failed.value.hint == "install it: gitops-run platform up"


def test_a_namespace_without_a_flux_bucket_is_listed_as_what_is_left_of_a_session() -> None:
    namespace = {"metadata": {"name": "run-web", "labels": {SESSION_LABEL: "web"}}}

    class Half(FakeApi):
        async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
            return {"items": [namespace] if path == "/api/v1/namespaces" else []}

    (left,) = asyncio.run(list_states(Half({})))  # type: ignore[arg-type]
    assert (left.name, left.namespace, left.is_incomplete) == ("web", "run-web", True)


def test_a_cluster_that_refuses_to_list_is_not_taken_for_an_empty_one() -> None:
    with pytest.raises(BackendError, match="forbidden"):
        asyncio.run(list_states(FakeApi(BackendError("forbidden"))))  # type: ignore[arg-type]


BUCKET = {
    "metadata": {"name": "web", "namespace": "run-web", "labels": {SESSION_LABEL: "web"}},
    "spec": {"endpoint": "store:443"},
}
MAPS = {STATE_MAP: summary_text(Summary(trouble="claimed")), RECORD_MAP: record_text(Record(run=7))}


def namespace_of_session(*, has_label: bool) -> dict[str, Any]:
    labels = {SESSION_LABEL: "web"} if has_label else {}
    return {"metadata": {"name": "run-web", "creationTimestamp": "2026-11-26T00:00:00Z", "labels": labels}}


def claims_of(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "run-web"}, "data": {LOOP_KEY: MAPS[name]}}


class Cluster(FakeApi):
    """Answers with one session, whose owner claims something. has_label: whether its namespace is marked."""

    def __init__(self, *, has_label: bool) -> None:
        super().__init__({})
        namespace = namespace_of_session(has_label=has_label)
        self.answers: dict[str, dict[str, Any]] = {
            source_path(): {"items": [BUCKET]},
            namespace_path(): {"items": [namespace] if has_label else []},
            map_path(): {"items": [claims_of(STATE_MAP)]},
            source_path("run-web", "web"): BUCKET,
            namespace_path("run-web"): namespace,
            map_path("run-web", STATE_MAP): claims_of(STATE_MAP),
            map_path("run-web", RECORD_MAP): claims_of(RECORD_MAP),
        }

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        del query
        return self.answers.get(path, {})


KEY = SessionKey(kubeconfig="", context="kind-dev", namespace="run-web", name=SessionName("web"))


@pytest.mark.parametrize("has_label", [True, False])
def test_an_owner_s_word_counts_in_a_list_only_where_the_namespace_is_labelled(*, has_label: bool) -> None:
    listed = asyncio.run(list_states(Cluster(has_label=has_label)))  # type: ignore[arg-type]
    found = next(state for state in listed if state.namespace == "run-web")
    assert (found.summary is not None) is has_label


@pytest.mark.parametrize("has_label", [True, False])
def test_an_owner_s_record_is_shown_only_where_the_namespace_is_labelled(*, has_label: bool) -> None:
    found = asyncio.run(read_state(Cluster(has_label=has_label), KEY))  # type: ignore[arg-type]
    assert (found.summary is not None, found.record is not None) == (has_label, has_label)


@pytest.mark.parametrize("has_label", [True, False])
def test_an_owner_s_word_is_watched_only_where_the_namespace_is_labelled(*, has_label: bool) -> None:
    watch, cluster = SessionWatch(), Cluster(has_label=has_label)
    for kind in session_kinds():
        watch.take(kind, Listed(tuple(cluster.answers.get(kind.path, {}).get("items", ()))))
    found = next(state for state in asyncio.run(first_of(watch)) if state.namespace == "run-web")
    assert (found.summary is not None) is has_label


async def first_of(watch: SessionWatch) -> tuple[SessionState, ...]:
    async with aclosing(watch.sessions()) as states:
        return await anext(states)


def test_a_lease_that_is_renewed_is_no_news() -> None:
    watch = SessionWatch()
    leases = next(kind for kind in session_kinds() if kind.name == "Leases")
    watch.take(leases, Seen(lease_renewed(seconds_ago=2, version="1")))
    before = watch.board.snapshot.number
    watch.take(leases, Seen(lease_renewed(seconds_ago=0, version="2")))
    assert watch.board.snapshot.number == before
    watch.take(leases, Seen(lease_renewed(seconds_ago=2 * DURATION_S, version="3")))
    assert watch.board.snapshot.number > before


def lease_renewed(*, seconds_ago: float, version: str) -> dict[str, Any]:
    renewed = (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat()
    metadata = {"name": "web", "namespace": "run-web", "resourceVersion": version}
    return {"metadata": metadata, "spec": {"holderIdentity": "dev@host/1/x", "renewTime": renewed}}
