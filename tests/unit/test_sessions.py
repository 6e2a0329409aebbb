"""What a cluster says of its sessions, where it has no Flux or refuses to say."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from gitops_run.adapters.cluster.listing import list_states
from gitops_run.errors import BackendError, GitOpsRunError, NotFound
from gitops_run.model.names import SESSION_LABEL


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
