"""Watch all sessions of a cluster: one watch for each kind, whatever the number of readers.

Puts what the watches tell on a board. What this user may not see is named, and the rest is shown.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Final

import anyio
from anyio.abc import TaskStatus

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.adapters.cluster.lease import DURATION_S
from gitops_run.adapters.cluster.reflector import Gone, Listed, News, Seen, reflect
from gitops_run.adapters.cluster.states import NAMESPACES, SessionKind, believed, lease_fact, session_kinds
from gitops_run.errors import BackendError, NotFound, ungrouped
from gitops_run.flows.board import Board
from gitops_run.model.state.session_state import Fact, SessionState, reduce

SessionBoard = Board[str, tuple[str, Fact], SessionState]
"""The sessions by namespace, and what else was seen: a state without a name is no session's."""
_LEASES: Final = "Leases"


class SessionWatch:
    """Hold the board, and which kinds this user may not see. Made by watch_sessions."""

    def __init__(self) -> None:
        self.board: SessionBoard = Board(_reduced)
        self.hidden: set[str] = set()
        self._leases: dict[str, Json] = {}

    async def sessions(self) -> AsyncGenerator[tuple[SessionState, ...], None]:
        """Yield all sessions by name at once, and then whenever one has changed."""
        async with aclosing(self.board.watch()) as snapshots:
            async for snapshot in snapshots:
                yield self._shown(snapshot.states)

    def take(self, kind: SessionKind, news: News) -> None:
        """Post what a watch tells."""
        match news:
            case Listed(items):
                for live in items:
                    self._see(kind, live)
            case Seen(live):
                self._see(kind, live)
            case Gone(namespace, name):
                self._miss(kind, namespace or name, name)

    async def end_leases(self) -> None:
        """Notice Leases that ran out without a word, until cancelled: no watch tells that."""
        while True:
            await anyio.sleep(DURATION_S / 2)
            for namespace, live in self._leases.items():
                self._post(namespace, lease_fact(live))

    def _see(self, kind: SessionKind, live: Json) -> None:
        namespace = kind.namespace_of(live)
        if kind.name == _LEASES:
            self._leases[namespace] = live
        if (fact := kind.to_fact(live)) is not None:
            self._post(namespace, fact)

    def _miss(self, kind: SessionKind, namespace: str, name: str) -> None:
        if kind.name == _LEASES:
            self._leases.pop(namespace, None)
        if kind.to_absence is None:
            self.board.remove(namespace)
        elif (fact := kind.to_absence(name)) is not None:
            self._post(namespace, fact)

    def _post(self, namespace: str, fact: Fact) -> None:
        self.board.post(namespace, (namespace, fact))

    def _shown(self, states: Mapping[str, SessionState]) -> tuple[SessionState, ...]:
        is_label_seen = NAMESPACES not in self.hidden
        found = (believed(state, is_label_seen=is_label_seen) for state in states.values() if state.name)
        return tuple(sorted(found, key=lambda state: (state.name, state.namespace)))


@asynccontextmanager
async def watch_sessions(connection: Connection) -> AsyncGenerator[SessionWatch, None]:
    """Watch while inside; the board holds what there is from the beginning.

    Raises NotFound where the cluster has no Flux, BackendError where this user may not see Flux Buckets.
    """
    watch = SessionWatch()
    sources, *others = session_kinds()
    with ungrouped():
        async with anyio.create_task_group() as tasks:
            async with anyio.create_task_group() as starting:
                starting.start_soon(tasks.start, _follow, connection, sources, watch)
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
        watch.hidden.add(kind.name)
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
    async with aclosing(reflect(connection, kind.path, kind.selector)) as all_news:
        async for news in all_news:
            watch.take(kind, news)
            if not is_started:
                task_status.started()
            is_started = True


def _reduced(state: SessionState | None, told: tuple[str, Fact]) -> SessionState:
    namespace, fact = told
    return reduce(state or SessionState(namespace=namespace), fact)
