"""The fence on a Bucket that others may change at any time."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from gitops_run.adapters.cluster.connection import ConflictError
from gitops_run.adapters.cluster.flux import FluxLists, WatchedFlux
from gitops_run.errors import LockedError
from gitops_run.model.names import FENCE_ANNOTATION, RECONCILE_ANNOTATION, SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.text.masking import Masker
from tests.virtual_time import scenario

KEY = SessionKey(kubeconfig="", context="kind-dev", namespace="run-web", name=SessionName.parse("web"))


class BucketServer:
    """One Bucket that refuses patches of old versions; its controller handles every token at once."""

    def __init__(self) -> None:
        self.live: dict[str, Any] = {
            "metadata": {"name": "web", "resourceVersion": "1", "annotations": {}},
            "spec": {"suspend": False},
            "status": {},
        }

    def change(self, annotations: Mapping[str, str]) -> None:
        metadata = self.live["metadata"]
        metadata["annotations"] |= annotations
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        self.live["status"]["lastHandledReconcileAt"] = annotations.get(RECONCILE_ANNOTATION, "")

    async def get(self, path: str) -> dict[str, Any]:
        del path
        return copy.deepcopy(self.live)

    async def patch(self, path: str, body: dict[str, Any]) -> None:
        del path
        if body["metadata"]["resourceVersion"] != self.live["metadata"]["resourceVersion"]:
            raise ConflictError("changed meanwhile")
        self.live["spec"] |= body["spec"]
        self.change(body["metadata"]["annotations"])


def flux_of(server: BucketServer) -> WatchedFlux:
    connection: Any = server
    flux = WatchedFlux(connection, KEY, Masker(), FluxLists(connection), is_helm=False)
    flux._see_source(copy.deepcopy(server.live))
    return flux


@scenario
async def test_a_bucket_that_its_controller_changed_meanwhile_is_fenced_at_the_second_try() -> None:
    server = BucketServer()
    flux = flux_of(server)
    server.change({})
    asked: list[int] = []

    async def permit() -> None:
        asked.append(1)

    await flux.fence("me/1", permit)
    assert server.live["spec"]["suspend"] is True
    assert server.live["metadata"]["annotations"][FENCE_ANNOTATION] == "me/1"
    assert len(asked) == 2


@scenario
async def test_a_writer_that_is_stopped_after_its_permit_fences_nothing_of_the_next_writer() -> None:
    server = BucketServer()
    flux = flux_of(server)
    asked: list[int] = []

    async def permit() -> None:
        asked.append(1)
        if len(asked) > 1:
            raise LockedError("taken over")
        server.change({RECONCILE_ANNOTATION: "theirs"})

    with pytest.raises(LockedError, match="taken over"):
        await flux.fence("me/1", permit)
    assert server.live["spec"]["suspend"] is False
    assert FENCE_ANNOTATION not in server.live["metadata"]["annotations"]
