"""A session's store with the writer's key, for what is measured without the loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.session import Session
from gitops_run.adapters.cluster.connection import Connection, connect
from gitops_run.api.reach import reached_store
from gitops_run.flows.ports import Store
from gitops_run.model.session import SessionName


@asynccontextmanager
async def open_store(session: Session) -> AsyncIterator[tuple[Connection, str, Store]]:
    """Open the cluster and the store. Yields them with the session's namespace."""
    bench, namespace = session.bench, SessionName.parse(session.name).namespace
    async with (
        connect(bench.kubeconfig, bench.sandbox.context) as connection,
        reached_store(connection, namespace) as (store, _),
    ):
        yield connection, namespace, store
