"""List the snapshots that a session can go back to, and apply one again.

A process that syncs the session here is asked to bring one back; where none does, this one pushes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from gitops_run.adapters.cluster.connection import Connection, connect
from gitops_run.adapters.cluster.flux import watch_flux
from gitops_run.adapters.cluster.lease import Holder
from gitops_run.adapters.cluster.sessions import LiveSession, read_session
from gitops_run.adapters.files.history import SessionHistory
from gitops_run.adapters.machine.remembered import history_folder
from gitops_run.adapters.machine.user_files import cache_directory
from gitops_run.api.caller import Caller
from gitops_run.api.sync import SyncRequest, sync_session
from gitops_run.errors import BackendError, NotFound, ReconcileFailed, WaitTimeout
from gitops_run.flows.undo import UNDO_S
from gitops_run.model.flux.conditions import ApplierStatus, Standing, applier_verdict
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.settings import Settings
from gitops_run.model.state.history import KeptSnapshot, before, find, short


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """Describe what an undo did.

    by: "sync" where a running one did it, "undo" where this process did, "" where it was live already.
    """

    snapshot: KeptSnapshot
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptHistory:
    """Hold what a session can go back to, oldest first, and the revision that is live.

    live: "" for none, None where the cluster doesn't say.
    """

    snapshots: tuple[KeptSnapshot, ...]
    live: str | None


async def history(key: SessionKey, caller: Caller) -> KeptHistory:
    """Read a session's history on this machine. Raises NotFound where there is none."""
    kept = _kept(key, caller).kept()
    if not kept:
        raise _nothing_kept(key)
    return KeptHistory(snapshots=tuple(kept), live=await _live_revision(key, caller))


async def undo(key: SessionKey, settings: Settings, rev: str | None, caller: Caller) -> Undone:
    """Bring a snapshot back, and wait until Flux has applied it.

    rev: the beginning of a revision, None for the one before what is live. Raises UsageError where it names
    none or several, NotFound without a history, LockedError, ReconcileFailed or WaitTimeout.
    """
    past = _kept(key, caller)
    async with connect(key.kubeconfig, key.context) as connection:
        session = await read_session(connection, key)
        wanted = _wanted(past.kept(), rev, session, key)
        if wanted.revision == _applied(session):
            caller.report(f"{short(wanted.revision)} is already live: there is nothing to undo")
            return Undone(snapshot=wanted, by="")
        if Holder(session.writer).is_running_here:
            with past.asking(wanted.revision):
                await _until_applied(connection, key, session, wanted)
            return Undone(snapshot=wanted, by="sync")
    request = SyncRequest(key=key, settings=settings, root=None, undo_to=wanted.revision)
    await sync_session(request, caller)
    return Undone(snapshot=wanted, by="undo")


async def _until_applied(
    connection: Connection, key: SessionKey, session: LiveSession, wanted: KeptSnapshot
) -> None:
    """Wait until Flux has applied a snapshot. Raises WaitTimeout, or ReconcileFailed where Flux refuses."""
    is_helm = session.helm is not None
    async with watch_flux(connection, key, is_helm=is_helm) as flux:
        with anyio.move_on_after(UNDO_S):
            while not _is_applied(flux.source.revision, flux.applier, wanted.revision):
                await flux.news()
            return
    raise WaitTimeout(
        f"{short(wanted.revision)} was not applied within {UNDO_S:.0f} s",
        hint=f"see what the sync of {session.name} says; it runs as {session.writer}",
    )


def _is_applied(fetched: str, applier: ApplierStatus, revision: str) -> bool:
    """Report whether Flux has applied what it fetched. Raises ReconcileFailed where it can't or may not."""
    if fetched != revision:
        return False
    verdict = applier_verdict(applier, revision=revision)
    if verdict.standing in (Standing.FAILED, Standing.SUSPENDED):
        raise ReconcileFailed(verdict.message, hint=verdict.hint)
    return verdict.standing is Standing.APPLIED


def _wanted(
    kept: Sequence[KeptSnapshot], rev: str | None, session: LiveSession, key: SessionKey
) -> KeptSnapshot:
    if not kept:
        raise _nothing_kept(key)
    return before(kept, _applied(session)) if rev is None else find(kept, rev)


def _nothing_kept(key: SessionKey) -> NotFound:
    return NotFound(
        f"session {key.name} has no history on this machine",
        hint="a snapshot is kept for each save that Flux has applied: gitops-run sync NAME",
    )


def _kept(key: SessionKey, caller: Caller) -> SessionHistory:
    cache = Path(cache_directory(caller.environment))
    return SessionHistory(history_folder(caller.environment, key), cache)


async def _live_revision(key: SessionKey, caller: Caller) -> str | None:
    """Ask the cluster which revision is live, "" for none; None where it doesn't say."""
    try:
        async with connect(key.kubeconfig, key.context) as connection:
            return _applied(await read_session(connection, key))
    except (BackendError, NotFound) as error:
        caller.report(f"the live snapshot is not known: {error.message}")
        return None


def _applied(session: LiveSession) -> str:
    """Say which revision is live: none where a later one was pushed and Flux has refused it."""
    applied = session.applier.applied if session.applier else ""
    return applied if applied == session.source.revision else ""
