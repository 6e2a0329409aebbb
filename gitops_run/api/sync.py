"""Sync a session: compose its save loop, and run it until it's cancelled.

This module needs no Pulumi state: what it must know comes from the cluster, the writer's key from a Secret
that only the session's owner may read.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import anyio

from gitops_run.adapters.cluster.connection import Connection, connect
from gitops_run.adapters.cluster.flux import FluxLists, WatchedFlux, watch_flux
from gitops_run.adapters.cluster.health import ClusterHealth
from gitops_run.adapters.cluster.lease import DURATION_S, SessionLease
from gitops_run.adapters.cluster.record import RecordMaps, read_record
from gitops_run.adapters.cluster.sessions import LiveSession, read_session
from gitops_run.adapters.files.git import look_at_work_tree
from gitops_run.adapters.files.history import SessionHistory
from gitops_run.adapters.machine.remembered import history_folder, remember_root
from gitops_run.adapters.machine.scratch import scratch_folder
from gitops_run.api.caller import Caller
from gitops_run.api.inspection import (
    Inspection,
    RenewedInspector,
    compose_inspector,
    render_limits,
    root_of,
    work_tree,
)
from gitops_run.api.reach import reached_store
from gitops_run.api.requests import SyncCarrier
from gitops_run.errors import TransientError, ungrouped
from gitops_run.flows.backoff import Backoff
from gitops_run.flows.expiry import warn_of_end
from gitops_run.flows.health import HealthFollower
from gitops_run.flows.ports import Store, StoreWatch
from gitops_run.flows.preflight import Inspector
from gitops_run.flows.recorder import Recorder
from gitops_run.flows.sync import Ports, SaveLoop, SyncSettings
from gitops_run.flows.undo import undo
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.settings import Settings
from gitops_run.model.state.events import ServiceFailed, SyncStarted
from gitops_run.model.state.record import Record
from gitops_run.model.text.masking import Masker

GOODBYE_S: Final = 5.0

_Reached = TypeVar("_Reached")


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest:
    """Describe what to sync. root: None for the session's, found from where the caller is.

    undo_to: the revision of an earlier snapshot that is pushed instead of the root, once; "" for none.
    """

    key: SessionKey
    settings: Settings
    root: Path | None
    is_take_over: bool = False
    undo_to: str = ""
    has_dry_run: bool = True


async def sync_session(request: SyncRequest, caller: Caller) -> None:
    """Sync until cancelled; at the start too, wait for a cluster that can't be reached.

    Raises NotFound where there is no such session, LockedError where it is taken. An undo waits for nothing,
    and returns once Flux has applied it; it raises as flows.undo.
    """
    async with AsyncExitStack() as stack:
        opened = await _once_reached(
            lambda: stack.enter_async_context(_opened(request, caller)), request, caller
        )
        async with _leased(opened.lease, request, caller), _recorded(opened, caller) as earlier:
            ports = opened.ports(caller, earlier)
            loop_settings = _loop_settings(opened.session, request.settings)
            if request.undo_to:
                await undo(ports, loop_settings, request.undo_to)
                return
            caller.emit(opened.started)
            await SaveLoop(ports, loop_settings).run()


@asynccontextmanager
async def _leased(lease: SessionLease, request: SyncRequest, caller: Caller) -> AsyncIterator[None]:
    """Hold the session's lease; say so where the end could not release it."""
    name = request.key.name
    not_released = f"the lease of session {name} was not released: it expires within {DURATION_S} s"
    with caller.unfinished(not_released):
        try:
            take = partial(lease.take, caller.emit, take_over=request.is_take_over)
            await _once_reached(take, request, caller)
            yield
        finally:
            is_released = False
            with anyio.move_on_after(GOODBYE_S, shield=True):
                is_released = await lease.release()
            if not is_released:
                caller.report(not_released)


@asynccontextmanager
async def _recorded(opened: _Opened, caller: Caller) -> AsyncIterator[Record]:
    """Publish in the cluster what is done, for everybody who may see the session, and warn of its end.

    Yields what the record held before.
    """
    earlier = await read_record(opened.connection, opened.key.namespace) or Record()
    recorder = Recorder(
        RecordMaps(opened.connection, opened.key.namespace),
        opened.lease.ensure,
        partial(look_at_work_tree, opened.root, caller.environment),
        earlier,
    )
    caller.events.listen(recorder.hear)

    def last_save() -> str:
        last = recorder.summary.last
        return last.at if last else ""

    with ungrouped():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recorder.run, caller.emit)
            tasks.start_soon(warn_of_end, opened.flux, last_save, caller.emit, partial(datetime.now, UTC))
            try:
                yield earlier
            finally:
                tasks.cancel_scope.cancel()
                with anyio.move_on_after(GOODBYE_S, shield=True):
                    await recorder.finish()


async def _once_reached(
    step: Callable[[], Awaitable[_Reached]], request: SyncRequest, caller: Caller
) -> _Reached:
    """Take a step, again and again while a service fails that may come back, and report each failure."""
    backoff = Backoff()
    while True:
        try:
            return await step()
        except TransientError as error:
            if request.undo_to:
                raise
            wait_s = backoff.next_s()
            caller.emit(ServiceFailed(message=error.message, hint=error.hint, seconds=math.ceil(wait_s)))
            await anyio.sleep(wait_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """Hold what a sync has reached. root: None where nothing is watched, since an undo was asked for."""

    key: SessionKey
    connection: Connection
    session: LiveSession
    root: Path | None
    work: Path
    inspector: RenewedInspector
    store: Store
    store_watch: StoreWatch
    flux: WatchedFlux
    masker: Masker
    lease: SessionLease

    def ports(self, caller: Caller, earlier: Record) -> Ports:
        """Bundle it for the loop. earlier: what the session's record held when the sync began."""
        health = ClusterHealth(self.connection, self.key.namespace, self.masker)
        return Ports(
            files=work_tree(self.session, self.root or self.work, self.work / "tree", caller.emit),
            inspector=self.inspector,
            store=self.store,
            store_watch=self.store_watch,
            flux=self.flux,
            lease=self.lease,
            emit=caller.emit,
            confirm=caller.confirm,
            new_token=_new_token,
            history=SessionHistory(history_folder(caller.environment, self.key), self.work),
            health=HealthFollower(health, caller.emit),
            carrier=SyncCarrier(
                connection=self.connection,
                key=self.key,
                answered=frozenset(answer.request for answer in earlier.answers),
            ),
        )

    @property
    def started(self) -> SyncStarted:
        """Describe what is synced to where."""
        return SyncStarted(
            namespace=self.key.namespace,
            context=self.key.context,
            root=str(self.root),
            target=self.session.target,
        )


@asynccontextmanager
async def _opened(request: SyncRequest, caller: Caller) -> AsyncIterator[_Opened]:
    key = request.key
    async with connect(key.kubeconfig, key.context) as connection:
        lists = FluxLists(connection)
        session = await read_session(connection, key, lists)
        masker = Masker()
        root = None if request.undo_to else _known_root(session, request, caller)
        async with (
            reached_store(connection, key.namespace) as (store, store_watch),
            watch_flux(connection, key, masker, is_helm=session.helm is not None, lists=lists) as flux,
        ):
            with scratch_folder(caller.environment) as scratch:
                work = scratch.folder
                inspection = Inspection(
                    work=work / "render",
                    environment=caller.environment,
                    limits=render_limits(request.settings),
                    masker=masker,
                    emit=caller.emit,
                    has_dry_run=request.has_dry_run,
                )
                yield _Opened(
                    key=key,
                    connection=connection,
                    session=session,
                    root=root,
                    work=work,
                    inspector=RenewedInspector(
                        partial(_inspector_now, connection, session, flux, inspection),
                        lambda: flux.applier.generation,
                    ),
                    store=store,
                    store_watch=store_watch,
                    flux=flux,
                    masker=masker,
                    lease=SessionLease(connection, key.namespace, key.name.text),
                )


async def _inspector_now(
    connection: Connection, session: LiveSession, flux: WatchedFlux, inspection: Inspection
) -> Inspector:
    """Compose an inspector of the session as its applier was last seen."""
    return await compose_inspector(connection, replace(session, helm=flux.helm), flux.post_build, inspection)


def _known_root(session: LiveSession, request: SyncRequest, caller: Caller) -> Path:
    """Find the session's root, and remember it: the next sync may start anywhere."""
    folder = history_folder(caller.environment, request.key)
    root = root_of(session, request.root, folder, caller.here)
    remember_root(folder, root)
    return root


def _loop_settings(session: LiveSession, settings: Settings) -> SyncSettings:
    return SyncSettings(
        target=session.target,
        settle_s=settings.settle_ms / 1000,
        settle_cap_s=settings.settle_cap_ms / 1000,
        prune_limit_percent=settings.prune_limit_percent,
    )


def _new_token() -> str:
    return f"{time.time_ns()}-{secrets.token_hex(4)}"
