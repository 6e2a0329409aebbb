"""The floor: one PUT and one patch, and then nothing but Flux."""

from __future__ import annotations

import time

from gitops_run.adapters.bucket import BucketStore
from gitops_run.adapters.cluster.connection import connect
from gitops_run.adapters.cluster.flux import WatchedFlux, watch_flux
from gitops_run.adapters.cluster.sessions import read_writer_access
from gitops_run.model.session import STORE_PREFIX, SessionName
from gitops_run.model.store import StoredObject, flux_revision
from gitops_run.sandbox.state import Sandbox

KEY = f"{STORE_PREFIX}settings-0.yaml"


async def measure_floor(sandbox: Sandbox, session: str, times: int) -> list[float]:
    """Put one object and ask Flux for it, again and again. Returns milliseconds until it was applied."""
    namespace = SessionName.parse(session).namespace
    async with connect(str(sandbox.kubeconfig), sandbox.context) as connection:
        access, bucket = await read_writer_access(connection, namespace)
        store = BucketStore(access, bucket)
        async with watch_flux(connection, namespace, session) as flux:
            stored = {found.key: found for found in await store.list()}
            return [await _one(store, flux, stored, number) for number in range(times)]


async def _one(store: BucketStore, flux: WatchedFlux, stored: dict[str, StoredObject], number: int) -> float:
    content = (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings-0\ndata:\n  value: floor-{number}\n"
    )
    began = time.monotonic()
    etags = await store.put_many({KEY: content.encode()})
    await flux.request_fetch(f"floor-{time.time_ns()}")
    stored[KEY] = StoredObject(key=KEY, etag=etags[KEY], size=len(content))
    revision = flux_revision(stored.values())
    while flux.applier.applied != revision:
        await flux.changed()
    return (time.monotonic() - began) * 1000
