"""The floor: one PUT and one patch, and then nothing but Flux: what no loop can beat."""

from __future__ import annotations

import time
from collections.abc import Mapping

import anyio

from benchmarks.session import Session
from benchmarks.store import open_store
from benchmarks.targets import EDITED, settings
from gitops_run.adapters.cluster.flux import WatchedFlux, watch_flux
from gitops_run.adapters.store.objects import always
from gitops_run.flows.ports import Store
from gitops_run.model.names import STORE_PREFIX
from gitops_run.model.store.objects import StoredObject, flux_revision


def floor(session: Session, times: int) -> list[float]:
    """Put one object and ask Flux for it, again and again. Returns milliseconds until it was applied.

    The session's sync must be stopped; the next one puts the store right.
    """
    return anyio.run(_floor, session, times)


async def _floor(session: Session, times: int) -> list[float]:
    async with open_store(session) as (connection, session_key, store):
        stored = {found.key: found for found in await store.list()}
        async with watch_flux(connection, session_key) as flux:
            return [await _one(session, store, flux, stored) for _ in range(times)]


async def _one(session: Session, store: Store, flux: WatchedFlux, stored: dict[str, StoredObject]) -> float:
    key = f"{STORE_PREFIX}{(session.target / EDITED).relative_to(session.root)}.yaml"
    content = settings(EDITED, f"floor-{time.time_ns()}").encode()
    began = time.monotonic()
    etag = (await store.put_many({key: content}, always))[key]
    await flux.request_fetch(f"floor-{time.time_ns()}")
    stored[key] = StoredObject(key=key, etag=etag, size=len(content))
    revision = flux_revision(stored.values())
    while flux.applier.applied != revision:
        await flux.changed()
    return (time.monotonic() - began) * 1000


def flux_alone(session: Session, contents: Mapping[str, bytes]) -> float:
    """Put files, by their paths in the root, and time what Flux alone makes of them. Returns milliseconds.

    The session's sync must be stopped; the next one puts the store right.
    """
    return anyio.run(_flux_alone, session, contents)


async def _flux_alone(session: Session, contents: Mapping[str, bytes]) -> float:
    async with open_store(session) as (connection, session_key, store):
        objects = {f"{STORE_PREFIX}{path}": content for path, content in contents.items()}
        await store.put_many(objects, always)
        revision = flux_revision(await store.list())
        async with watch_flux(connection, session_key) as flux:
            began = time.monotonic()
            await flux.request_fetch(f"floor-{time.time_ns()}")
            while flux.applier.applied != revision:
                await flux.changed()
            return (time.monotonic() - began) * 1000
