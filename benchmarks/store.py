"""A session's store with the writer's key, for what is measured without the loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.session import Session
from gitops_run.adapters.cluster.connection import Connection, connect
from gitops_run.api.reach import reached_store
from gitops_run.flows.ports import Store
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey


@asynccontextmanager
async def open_store(session: Session) -> AsyncIterator[tuple[Connection, SessionKey, Store]]:
    """Open the cluster and the store. Yields them with the session's key."""
    bench, name = session.bench, SessionName.parse(session.name)
    key = SessionKey(
        kubeconfig=bench.kubeconfig, context=bench.sandbox.context, namespace=name.namespace, name=name
    )
    async with (
        connect(key.kubeconfig, key.context) as connection,
        reached_store(connection, key.namespace) as (store, _),
    ):
        yield connection, key, store
