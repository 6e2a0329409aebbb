"""What a killed run left is deleted, and waited for until the cluster no longer has it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import anyio
import pytest

from gitops_run.adapters.cluster.remains import GONE_WITHIN_S, remove_leftovers
from gitops_run.errors import WaitTimeout
from gitops_run.model.stack.events import PendingObject
from tests.virtual_time import scenario

LIVE = {"metadata": {"name": "web", "labels": {"made-by": "web"}, "uid": "1", "resourceVersion": "3"}}
LEFTOVER = PendingObject(api_version="v1", kind="Secret", namespace="run-web", name="web")
DELETION_S = 5.0


class Cluster:
    """Hold one Secret, which is gone some seconds after its deletion, or never."""

    def __init__(self, deletion_s: float) -> None:
        self._deletion_s = deletion_s
        self.deleted: list[str] = []

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        if query is None:
            return LIVE
        assert query == {"fieldSelector": "metadata.name=web"}
        return {"metadata": {"resourceVersion": "4"}, "items": [LIVE]}

    async def delete(self, path: str) -> None:
        self.deleted.append(path)

    async def watch(
        self, path: str, query: Mapping[str, str], opened: object = None
    ) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        await anyio.sleep(self._deletion_s)
        yield "DELETED", {"metadata": {**LIVE["metadata"], "resourceVersion": "5"}}


async def remove(cluster: Cluster) -> None:
    await remove_leftovers(cluster, ("made-by", "web"), [LEFTOVER])  # type: ignore[arg-type]


@scenario
async def test_a_deletion_is_waited_for() -> None:
    cluster = Cluster(DELETION_S)
    await remove(cluster)
    assert cluster.deleted == ["/api/v1/namespaces/run-web/secrets/web"]
    assert anyio.current_time() == DELETION_S


@scenario
async def test_an_object_that_stays_is_named_after_a_minute() -> None:
    with pytest.raises(WaitTimeout, match="Secret web is still there after 60 s"):
        await remove(Cluster(2 * GONE_WITHIN_S))
