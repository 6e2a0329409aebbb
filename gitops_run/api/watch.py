"""Watch all sessions of a cluster: one watch for each kind, whatever the number of readers.

This module puts the facts from the watches on a board. Collections that this user may not see are named, the
rest is shown. Where a user may see some sessions only, these are watched one by one; what may be read of them
and not watched, such as a Lease by its owner, is read again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final

import anyio
from anyio.abc import TaskStatus

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.adapters.cluster.lease import DURATION_S
from gitops_run.adapters.cluster.listing import shown
from gitops_run.adapters.cluster.reflector import Gone, Listed, News, Seen, reflect
from gitops_run.adapters.cluster.states import (
    LEASES,
    NAMESPACES,
    SessionAt,
    SessionKind,
    lease_fact,
    session_kinds,
)
from gitops_run.errors import BackendError, NotFound, TransientError, ungrouped
from gitops_run.flows.board import Board
from gitops_run.model.state.session_state import Fact, SessionState, reduce

SessionBoard = Board[str, tuple[str, Fact], SessionState]
"""The sessions by namespace, and what else was seen: a state without a name is no session's."""
LOOK_AGAIN_S: Final = DURATION_S / 2
"""How often a Lease is looked at that may have run out, and what may be read and not watched."""


class KindPulse:
    """Know how one watch is. Fulfils reflector.Pulse.

    cut_at: since when it has failed, None while it works.
    """

    def __init__(self, kind: str, report: Callable[[], None]) -> None:
        """report: called whenever the watch is cut or works again."""
        self.kind = kind
        self.restarts = 0
        self.since: datetime | None = None
        self.cut_at: datetime | None = None
        self._report = report

    def opened(self) -> None:
        """Note that the watch is accepted."""
        if self.since is None or self.cut_at is not None:
            self.since, self.cut_at = datetime.now(UTC), None
            self._report()

    def cut(self) -> None:
        """Note that the watch has failed."""
        self.restarts += 1
        if self.cut_at is None:
            self.cut_at = datetime.now(UTC)
            self._report()


class SessionWatch:
    """Hold the board, and which kinds this user may not see. Made by watch_sessions.

    pulses: how each watch is.
    """

    def __init__(self) -> None:
        self.board: SessionBoard = Board(_reduced)
        self.hidden: set[str] = set()
        self.pulses: list[KindPulse] = []
        self._leases: dict[str, Json] = {}
        self._pulsed = anyio.Event()

    @property
    def cut_at(self) -> datetime | None:
        """Say since when what is known may be outdated; None while it is current."""
        return min((one.cut_at for one in self.pulses if one.cut_at is not None), default=None)

    async def pulse(self) -> None:
        """Wait until a watch is cut, or works again."""
        await self._pulsed.wait()

    def report_pulse(self) -> None:
        """Wake whoever waits for a pulse."""
        self._pulsed.set()
        self._pulsed = anyio.Event()

    async def sessions(self) -> AsyncGenerator[tuple[SessionState, ...], None]:
        """Yield all sessions by name at once, and then whenever one has changed."""
        async with aclosing(self.board.watch()) as snapshots:
            async for snapshot in snapshots:
                yield self._shown(snapshot.states)

    def take(self, kind: SessionKind, news: News) -> None:
        """Post the facts of a watch."""
        match news:
            case Listed(items):
                for live in items:
                    self._see(kind, live)
            case Seen(live):
                self._see(kind, live)
            case Gone(namespace, name):
                self._miss(kind, namespace or name, name)

    async def end_leases(self) -> None:
        """Notice Leases that expired, until cancelled: no watch reports that."""
        while True:
            await anyio.sleep(LOOK_AGAIN_S)
            for namespace, live in self._leases.items():
                self._post(namespace, lease_fact(live))

    def _see(self, kind: SessionKind, live: Json) -> None:
        namespace = kind.namespace_of(live)
        if kind.name == LEASES:
            self._leases[namespace] = live
        if (fact := kind.to_fact(live)) is not None:
            self._post(namespace, fact)

    def _miss(self, kind: SessionKind, namespace: str, name: str) -> None:
        if kind.name == LEASES:
            self._leases.pop(namespace, None)
        if kind.to_absence is None:
            self.board.remove(namespace)
        elif (fact := kind.to_absence(name)) is not None:
            self._post(namespace, fact)

    def _post(self, namespace: str, fact: Fact) -> None:
        self.board.post(namespace, (namespace, fact))

    def _shown(self, states: Mapping[str, SessionState]) -> tuple[SessionState, ...]:
        return shown(states.values(), is_label_seen=NAMESPACES not in self.hidden)


@asynccontextmanager
async def watch_sessions(
    connection: Connection, places: Sequence[SessionAt] | None = None
) -> AsyncGenerator[SessionWatch, None]:
    """Watch while inside; the board holds what there is from the beginning.

    places: the sessions to watch, None for all. Raises NotFound where the cluster has no Flux, BackendError
    where this user may not see Flux Buckets.
    """
    watch = SessionWatch()
    kinds = session_kinds()
    if places is None:
        needed, others = kinds[:1], kinds[1:]
    else:
        needed, others = (), tuple(kind.within(place) for place in places for kind in kinds)
    with ungrouped():
        async with anyio.create_task_group() as tasks:
            async with anyio.create_task_group() as starting:
                for kind in needed:
                    starting.start_soon(tasks.start, _follow, connection, kind, watch)
                for kind in others:
                    starting.start_soon(tasks.start, _follow_what_may_be_seen, connection, kind, watch)
            tasks.start_soon(watch.end_leases)
            yield watch
            tasks.cancel_scope.cancel()


async def _follow_what_may_be_seen(
    connection: Connection,
    kind: SessionKind,
    watch: SessionWatch,
    *,
    task_status: TaskStatus[None],
) -> None:
    """Follow a kind; where this user may not see it, or the cluster doesn't serve it, say so and go on."""
    try:
        await _follow(connection, kind, watch, task_status=task_status)
    except (BackendError, NotFound):
        if kind.object_path:
            await _read_again(connection, kind, watch, task_status=task_status)
        watch.hidden.add(kind.name)
        _tell_started(task_status)


async def _read_again(
    connection: Connection,
    kind: SessionKind,
    watch: SessionWatch,
    *,
    task_status: TaskStatus[None],
) -> None:
    """Read the one object of a kind, again and again, until this user may not read it either."""
    while True:
        try:
            watch.take(kind, Seen(await connection.get(kind.object_path)))
        except NotFound:
            watch.take(kind, Gone(kind.namespace, kind.object_path.rpartition("/")[2]))
        except TransientError:
            pass  # it is read again
        except BackendError:
            return
        _tell_started(task_status)
        await anyio.sleep(LOOK_AGAIN_S)


def _tell_started(task_status: TaskStatus[None]) -> None:
    with suppress(RuntimeError):  # it may have been seen first, and forbidden later
        task_status.started()


async def _follow(
    connection: Connection,
    kind: SessionKind,
    watch: SessionWatch,
    *,
    task_status: TaskStatus[None],
) -> None:
    is_started = False
    pulse = KindPulse(kind.name, watch.report_pulse)
    watch.pulses.append(pulse)
    try:
        async with aclosing(reflect(connection, kind.path, kind.selector, pulse=pulse)) as all_news:
            async for news in all_news:
                watch.take(kind, news)
                if not is_started:
                    _tell_started(task_status)
                is_started = True
    finally:
        watch.pulses.remove(pulse)


def _reduced(state: SessionState | None, seen: tuple[str, Fact]) -> SessionState:
    namespace, fact = seen
    return reduce(state or SessionState(namespace=namespace), fact)
