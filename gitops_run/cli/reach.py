"""The way to a session's bucket: straight to its endpoint, or through the cluster to its pod."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from gitops_run.adapters.bucket import BucketStore
from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.forward import LOOPBACK, forward_to_pod
from gitops_run.adapters.cluster.sessions import read_writer_access
from gitops_run.flows.ports import SteadyStore, StoreWatch


@asynccontextmanager
async def reached_store(
    connection: Connection, namespace: str
) -> AsyncIterator[tuple[BucketStore, StoreWatch]]:
    """Open a session's bucket with the writer's key, and say what watches over whatever serves it.

    Through the cluster, TLS ends in the pod all the same: its certificate is good for loopback too.
    """
    writer = await read_writer_access(connection, namespace)
    if writer.pod is None:
        yield BucketStore(writer.access, writer.bucket), SteadyStore()
        return
    async with forward_to_pod(connection, writer.pod) as forward:
        access = replace(
            writer.access,
            endpoint=f"https://{LOOPBACK}:{forward.port}",
            name=f"the bucket server {writer.pod}",
        )
        _reach_loopback_straight()
        yield BucketStore(access, writer.bucket, forward), forward


def _reach_loopback_straight() -> None:
    """Keep this process's way to loopback from a proxy: obstore asks one for it unless told not to."""
    for variable in ("NO_PROXY", "no_proxy"):
        known = [host for host in os.environ.get(variable, "").split(",") if host]
        os.environ[variable] = ",".join(dict.fromkeys((*known, LOOPBACK)))
