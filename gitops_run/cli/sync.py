"""`gitops-run sync`: compose the save loop for one session and run it until it's interrupted.

Needs no Pulumi state: what it must know comes from the cluster, the writer's key from a Secret that only
the session's owner may read.
"""

from __future__ import annotations

import math
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import click

from gitops_run.adapters.cluster.connection import Connection, connect
from gitops_run.adapters.cluster.flux import WatchedFlux, watch_flux
from gitops_run.adapters.cluster.health import ClusterHealth
from gitops_run.adapters.cluster.lease import DURATION_S, SessionLease
from gitops_run.adapters.cluster.record import RecordMaps, read_record
from gitops_run.adapters.cluster.sessions import LiveSession, read_session
from gitops_run.adapters.files import find_root
from gitops_run.adapters.git import look_at_work_tree
from gitops_run.adapters.history import SessionHistory, history_folder
from gitops_run.adapters.remembered import remember_root, remembered_root
from gitops_run.adapters.scratch import scratch_folder
from gitops_run.cli.basics import json_flag
from gitops_run.cli.inspection import (
    Inspection,
    RenewedInspector,
    compose_inspector,
    render_limits,
    work_tree,
)
from gitops_run.cli.options import (
    CLUSTER_KEYS,
    LOOP_KEYS,
    no_preflight_flag,
    session_settings,
    settings_flags,
)
from gitops_run.cli.output import event_stream, is_confirmed, note
from gitops_run.cli.reach import reached_store
from gitops_run.cli.signals import unfinished, until_interrupted
from gitops_run.errors import TransientError, UsageError, ungrouped
from gitops_run.flows.backoff import Backoff
from gitops_run.flows.health import HealthFollower
from gitops_run.flows.ports import Emit, Store, StoreWatch
from gitops_run.flows.preflight import Inspector
from gitops_run.flows.recorder import Recorder
from gitops_run.flows.sync import Ports, SaveLoop, SyncSettings
from gitops_run.flows.undo import undo
from gitops_run.model.masking import Masker
from gitops_run.model.session import SessionName
from gitops_run.model.settings import Settings
from gitops_run.model.state.envelope import EventStream
from gitops_run.model.state.events import ServiceFailed, SyncEnded, SyncStarted

GOODBYE_S = 5.0
LETTING_GO = "the sync stops, and the session stays"

_Reached = TypeVar("_Reached")


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest:
    """Say what to sync, and what a person allows. root: None for the git work tree around here.

    undo_to: the revision of an earlier snapshot that is pushed instead of the root, once; "" for none.
    """

    name: SessionName
    settings: Settings
    root: Path | None
    is_take_over: bool = False
    is_prune_allowed: bool = False
    undo_to: str = ""
    has_dry_run: bool = True


@click.command()
@click.argument("name")
@click.option("--root", type=click.Path(path_type=Path), help="What to watch; else the git work tree here.")
@click.option("--take-over", "is_take_over", is_flag=True, help="Take the session from another writer.")
@click.option("--allow-prune", "is_prune_allowed", is_flag=True, help="Let a save delete most objects.")
@no_preflight_flag
@settings_flags(*CLUSTER_KEYS, *LOOP_KEYS)
@json_flag
def sync(  # noqa: PLR0913 - one argument for each flag
    name: str,
    root: Path | None,
    output: str,
    *,
    is_take_over: bool,
    is_prune_allowed: bool,
    has_no_preflight: bool,
    **flags: object,
) -> None:
    """Push every save to session NAME, until interrupted; the session stays."""
    parsed = SessionName.parse(name)
    request = SyncRequest(
        name=parsed,
        settings=session_settings(parsed, flags),
        root=root,
        is_take_over=is_take_over,
        is_prune_allowed=is_prune_allowed,
        has_dry_run=not has_no_preflight,
    )
    events = event_stream(output, name)
    try:
        anyio.run(partial(until_interrupted, says=LETTING_GO), sync_session, request, events)
    except KeyboardInterrupt:
        events.emit(SyncEnded(how_to_go_on="gitops-run sync NAME; to end the session: gitops-run down NAME"))
        raise


async def sync_session(request: SyncRequest, events: EventStream) -> None:
    """Sync until cancelled; at the start too, wait for a cluster that can't be reached.

    Raises NotFound where there is no such session, LockedError where it is taken. An undo waits for nothing.
    """
    emit = events.emit
    async with AsyncExitStack() as stack:
        opened = await _once_reached(lambda: stack.enter_async_context(_opened(request, emit)), request, emit)
        async with _leased(opened.lease, request, emit), _recorded(opened, events):
            ports = opened.ports(emit, _confirmation(is_allowed=request.is_prune_allowed))
            loop_settings = _loop_settings(opened.session, request.settings)
            if request.undo_to:
                await undo(ports, loop_settings, request.undo_to)
                return
            emit(opened.started)
            await SaveLoop(ports, loop_settings).run()


@asynccontextmanager
async def _leased(lease: SessionLease, request: SyncRequest, emit: Emit) -> AsyncIterator[None]:
    """Hold the session's lease; say so where the end could not release it."""
    not_released = f"the lease of session {request.name} was not released: it expires within {DURATION_S} s"
    with unfinished(not_released):
        try:
            await _once_reached(partial(lease.take, emit, take_over=request.is_take_over), request, emit)
            yield
        finally:
            is_released = False
            with anyio.move_on_after(GOODBYE_S, shield=True):
                is_released = await lease.release()
            if not is_released:
                note(not_released)


@asynccontextmanager
async def _recorded(opened: _Opened, events: EventStream) -> AsyncIterator[None]:
    """Publish in the cluster what is done, for everybody who may see the session."""
    connection, session = opened.connection, opened.session
    recorder = Recorder(
        RecordMaps(connection, session.namespace),
        opened.lease.ensure,
        partial(look_at_work_tree, opened.root, os.environ),
        await read_record(connection, session.namespace),
    )
    events.listen(recorder.hear)
    with ungrouped():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recorder.run, events.emit)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
                with anyio.move_on_after(GOODBYE_S, shield=True):
                    await recorder.finish()


async def _once_reached(
    step: Callable[[], Awaitable[_Reached]], request: SyncRequest, emit: Emit
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
            emit(ServiceFailed(message=error.message, hint=error.hint, seconds=math.ceil(wait_s)))
            await anyio.sleep(wait_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """Hold what a sync has reached. root: None where nothing is watched, since an undo was asked for."""

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

    def ports(self, emit: Emit, confirm: Callable[[str], Awaitable[bool]]) -> Ports:
        """Bundle it for the loop."""
        history = history_of(self.session, self.connection.context)
        return Ports(
            files=work_tree(self.session, self.root or self.work, self.work / "tree", emit),
            inspector=self.inspector,
            store=self.store,
            store_watch=self.store_watch,
            flux=self.flux,
            lease=self.lease,
            emit=emit,
            confirm=confirm,
            new_token=_new_token,
            history=SessionHistory(history, self.work),
            health=HealthFollower(ClusterHealth(self.connection, self.session.namespace, self.masker), emit),
        )

    @property
    def started(self) -> SyncStarted:
        """Say what is synced to where."""
        session = self.session
        return SyncStarted(
            namespace=session.namespace,
            context=self.connection.context,
            root=str(self.root),
            target=session.target,
        )


@asynccontextmanager
async def _opened(request: SyncRequest, emit: Emit) -> AsyncIterator[_Opened]:
    settings, name = request.settings, request.name.text
    namespace = settings.namespace or request.name.namespace
    async with connect(settings.require("kubeconfig"), settings.require("context")) as connection:
        session = await read_session(connection, name, namespace)
        masker = Masker()
        root = None if request.undo_to else _known_root(session, request, connection.context)
        async with (
            reached_store(connection, namespace) as (store, store_watch),
            watch_flux(connection, namespace, name, masker, is_helm=session.helm is not None) as flux,
        ):
            with scratch_folder(os.environ) as scratch:
                work = scratch.folder
                inspection = Inspection(
                    work=work / "render",
                    limits=render_limits(settings),
                    masker=masker,
                    emit=emit,
                    has_dry_run=request.has_dry_run,
                )
                yield _Opened(
                    connection=connection,
                    session=session,
                    root=root,
                    work=work,
                    inspector=RenewedInspector(
                        partial(_inspector_now, connection, session, inspection),
                        lambda: flux.applier.generation,
                    ),
                    store=store,
                    store_watch=store_watch,
                    flux=flux,
                    masker=masker,
                    lease=SessionLease(connection, namespace, name),
                )


async def _inspector_now(connection: Connection, session: LiveSession, inspection: Inspection) -> Inspector:
    """Compose an inspector of the session as it is now."""
    now = await read_session(connection, session.name, session.namespace)
    return await compose_inspector(connection, now, inspection)


def history_of(session: LiveSession, context: str) -> Path:
    """Name the folder of a session's history on this machine."""
    return history_folder(os.environ, context, session.namespace, session.name)


def _known_root(session: LiveSession, request: SyncRequest, context: str) -> Path:
    """Find the session's root, and remember it: the next sync may start anywhere."""
    folder = history_of(session, context)
    root = root_of(session, request.root, folder)
    remember_root(folder, root)
    return root


def root_of(session: LiveSession, named: Path | None, history: Path) -> Path:
    """Find the session's root: the one that was named, else this directory's, else the one remembered.

    history: the folder of the session's history. Raises UsageError where none of them can be it.
    """
    if named is not None:
        return find_root(named, named)
    here = find_root(Path.cwd())
    is_namesake = here.name == session.root
    if is_namesake and (here / session.target).is_dir():
        return here
    if (remembered := remembered_root(history)) is not None:
        return remembered
    if is_namesake:
        return here
    raise UsageError(
        f"session {session.name} watches a directory {session.root!r}, and this is {here}",
        hint="name that directory: --root DIR",
    )


def _loop_settings(session: LiveSession, settings: Settings) -> SyncSettings:
    return SyncSettings(
        target=session.target,
        settle_s=settings.settle_ms / 1000,
        settle_cap_s=settings.settle_cap_ms / 1000,
        prune_limit_percent=settings.prune_limit_percent,
    )


def _confirmation(*, is_allowed: bool) -> Callable[[str], Awaitable[bool]]:
    async def confirm(question: str) -> bool:
        if is_allowed:
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        return await is_confirmed(question)

    return confirm


def _new_token() -> str:
    return f"{time.time_ns()}-{secrets.token_hex(4)}"
