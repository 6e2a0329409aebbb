"""The right to write to a session, as a Kubernetes Lease that one writer holds at a time.

This module knows how to take, renew, check and release it. It reads time from a clock that runs on while a
laptop sleeps, and never compares two machines' clocks: another's lease has run out when it was not renewed
for its whole duration while we watched. Source: coordination.k8s.io/v1; client-go's leader election.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import anyio

from gitops_run.adapters.cluster.connection import ConflictError, Connection, Json
from gitops_run.adapters.cluster.paths import lease_path
from gitops_run.adapters.machine.host import boot_id, is_alive, process_namespace
from gitops_run.errors import GitOpsRunError, LockedError, NotFound, TransientError
from gitops_run.model.names import ENDING_ANNOTATION, MANAGED_BY_LABEL, MANAGER, SESSION_LABEL
from gitops_run.model.state.events import Event, LeaseAwaited

DURATION_S: Final = 30
MARGIN_S: Final = 12.0
"""What must be left before a request that writes begins: longer than any one request may take."""
RENEW_S: Final = 5.0
NOTES_PREFIX: Final = "gitops-run.dev/"
LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Name a writer: a process of a user on a host. text: "user@host/pid/MACHINE-RANDOM"."""

    text: str

    @classmethod
    def of_this_process(cls) -> Holder:
        """Name this process, as no other was ever named."""
        person = f"{getpass.getuser()}@{socket.gethostname()}"
        return cls(f"{person}/{os.getpid()}/{_machine()}-{secrets.token_hex(4)}")

    @property
    def is_dead(self) -> bool:
        """Report whether it was a process of this host that runs no more."""
        return self._pid_here is not None and not is_alive(self._pid_here)

    @property
    def is_running_here(self) -> bool:
        """Report whether it is a process of this user on this host that runs."""
        is_mine = self._person.rpartition("@")[0] == getpass.getuser()
        return is_mine and self._pid_here is not None and is_alive(self._pid_here)

    @property
    def _person(self) -> str:
        return self.text.partition("/")[0]

    @property
    def _pid_here(self) -> int | None:
        """Read its process on this host; None where it is one of another."""
        pid, _, place = self.text.partition("/")[2].partition("/")
        is_here = (
            place.partition("-")[0] == _machine() and self._person.rpartition("@")[2] == socket.gethostname()
        )
        return int(pid) if is_here and pid.isdigit() else None


def _machine() -> str:
    """Identify this machine since its last boot, and this container, among others of the same host name."""
    boot, processes = boot_id(), process_namespace()
    if not (boot and processes):
        return "host"
    return hashlib.sha256(f"{boot}\n{processes}".encode()).hexdigest()[:8]


def boottime() -> float:
    """Read seconds from a clock that runs on through a suspended machine."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class SessionLease:
    """Hold, or try to hold, the lease of one session."""

    def __init__(
        self,
        connection: Connection,
        namespace: str,
        name: str,
        *,
        holder: Holder | None = None,
        now: Callable[[], float] = boottime,
    ) -> None:
        self._connection = connection
        self._collection, self._path = lease_path(namespace), lease_path(namespace, name)
        self._name = name
        self._holder = holder or Holder.of_this_process()
        self._now = now
        self._live: Json = {}
        self._valid_until = 0.0
        self._lost: GitOpsRunError | None = None
        self._displaced = ""
        self._renewing = anyio.Lock()

    @property
    def holder(self) -> str:
        """Name who holds it here."""
        return self._holder.text

    @property
    def is_lost(self) -> bool:
        """Report whether it was taken over: then it stays lost for this holder."""
        return self._lost is not None

    async def take(self, emit: Callable[[Event], None], *, take_over: bool = False) -> None:
        """Take the lease, waiting for one that runs out.

        After a TransientError it may be called again: an old holder that was displaced is waited for all the
        same. Raises LockedError where someone else holds it and take_over is False.
        """
        while True:
            live = await self._read()
            other = _holder_of(live)
            is_other = other not in ("", self.holder)
            is_dead = is_other and Holder(other).is_dead
            is_free = not is_other or is_dead or take_over
            if not is_free and not await self._has_run_out(live, other, emit):
                raise self._held(live, other)
            if is_other and take_over and not is_dead:
                self._displaced = other
            elif not other:  # who was displaced has let go of it meanwhile
                self._displaced = ""
            try:
                await self._write(live)
            except ConflictError:
                continue
            if self._displaced:
                await self._outwait(self._displaced, emit)
            return

    async def keep(self) -> None:
        """Renew until cancelled. Raises LockedError when it was taken over, NotFound as ensure."""
        while True:
            await anyio.sleep(RENEW_S)
            with suppress(TransientError):  # the next one comes in good time
                await self._renew()

    async def ensure(self) -> None:
        """Make sure that it is valid with margin: the permit for every request that writes.

        Raises LockedError when it was taken over, NotFound when the session is being ended, TransientError
        when it can't be renewed.
        """
        if self._lost is not None:
            raise self._lost
        if not self._has_margin:
            async with self._renewing:
                if not self._has_margin:  # another task may have renewed it meanwhile
                    await self._renew_alone()

    async def release(self) -> bool:
        """Let go, so that the next one need not wait. Returns whether that worked: else it expires.

        A renewal that was cut off may still arrive, and makes this try again with what it left.
        """
        with suppress(GitOpsRunError):
            while _holder_of(live := await self._read()) == self.holder:
                live["spec"] = {**live["spec"], "holderIdentity": ""}
                with suppress(ConflictError):
                    await self._connection.replace(self._path, live)
                    return True
            return True
        return False

    @property
    def _has_margin(self) -> bool:
        return self._valid_until - self._now() >= MARGIN_S

    async def _renew(self) -> None:
        async with self._renewing:  # so that our own tasks never conflict
            await self._renew_alone()

    async def _renew_alone(self) -> None:
        if self._lost is not None:
            raise self._lost
        try:
            await self._write(self._live)
        except (ConflictError, NotFound):
            live = await self._read()
            other = _holder_of(live)
            # Nobody holds it any more where another took it and let go of it again: it's lost all the same.
            if live and other != self.holder:
                self._lost = self._loss(live, other)
                raise self._lost from None
            await self._write(live)

    async def _write(self, live: Json) -> None:
        began = self._now()
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": self.holder, "leaseDurationSeconds": DURATION_S, "renewTime": stamp}
        if live:
            same = _holder_of(live) == self.holder
            acquired = live["spec"].get("acquireTime", stamp) if same else stamp
            spec = {**live["spec"], **spec, "acquireTime": acquired}
            body = {**live, "metadata": _without_notes(live["metadata"]), "spec": spec}
            self._live = await self._connection.replace(self._path, body)
        else:
            labels = {MANAGED_BY_LABEL: MANAGER, SESSION_LABEL: self._name}
            body = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._name, "labels": labels},
                "spec": {**spec, "acquireTime": stamp},
            }
            self._live = await self._connection.create(self._collection, body)
        self._valid_until = began + DURATION_S

    async def _read(self) -> Json:
        try:
            return await self._connection.get(self._path)
        except NotFound:
            return {}

    async def _has_run_out(self, live: Json, other: str, emit: Callable[[Event], None]) -> bool:
        """Watch someone else's lease that looks old for its whole duration, unless it is renewed."""
        renewed = _renewed(live)
        duration = live["spec"].get("leaseDurationSeconds") or DURATION_S
        if renewed is not None and (datetime.now(UTC) - renewed).total_seconds() < duration:
            return False
        emit(LeaseAwaited(holder=other, seconds=duration))
        deadline = self._now() + duration
        while self._now() < deadline:
            await anyio.sleep(LOOK_S)
            current = await self._read()
            if current.get("metadata", {}).get("resourceVersion") != live["metadata"]["resourceVersion"]:
                return not _holder_of(current)
        return True

    async def _outwait(self, other: str, emit: Callable[[Event], None]) -> None:
        """Wait until the lease has expired in the old holder's own view."""
        emit(LeaseAwaited(holder=other, seconds=DURATION_S))
        deadline = self._now() + DURATION_S
        while self._now() < deadline:
            await anyio.sleep(RENEW_S)
            with suppress(TransientError):
                await self._renew()

    def _loss(self, live: Json, other: str) -> GitOpsRunError:
        """Say to whom the lease was lost."""
        if _is_ending(live):
            return NotFound(
                f"the session was destroyed: {other} ends it",
                hint="to make it again: gitops-run up NAME PATH",
            )
        return LockedError(
            f"session {self._name} was taken over by {other or 'another writer, which has ended'}",
            hint="to take it back: gitops-run sync NAME --take-over",
        )

    def _held(self, live: Json, other: str) -> LockedError:
        if _is_ending(live):
            return LockedError(
                f"session {self._name} is being ended by {other}",
                hint="wait until it is gone; to make it again: gitops-run up NAME PATH",
            )
        since = live["spec"].get("acquireTime", "an unknown time")
        return LockedError(
            f"session {self._name} is being synced by {other} since {since}",
            hint="stop that one, or take the session from it: gitops-run sync NAME --take-over",
        )


def _holder_of(live: Json) -> str:
    return str(live.get("spec", {}).get("holderIdentity") or "")


def _is_ending(live: Json) -> bool:
    return ENDING_ANNOTATION in (live["metadata"].get("annotations") or {})


def _renewed(live: Json) -> datetime | None:
    """Read when a lease was renewed; None where nobody wrote that, or not as a time."""
    try:
        return datetime.fromisoformat(live["spec"]["renewTime"])
    except (KeyError, TypeError, ValueError):
        return None


def _without_notes(metadata: Json) -> Json:
    """Leave out what earlier versions wrote here about saves: the session's record has that now."""
    annotations = metadata.get("annotations") or {}
    kept = {key: text for key, text in annotations.items() if not key.startswith(NOTES_PREFIX)}
    return {**metadata, "annotations": kept}
