"""One session in depth, read while somebody looks at it: once for all browsers of equal identity.

It is read again whenever the session's row changes, and every few seconds for what has no row, pods and their
events. All of it is read with the viewer's rights, so that one which is taken away shows at the next reading.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from gitops_run.api.acting import carried_by
from gitops_run.api.caller import Report
from gitops_run.api.file_diffs import FileDiffs
from gitops_run.api.places import place_of
from gitops_run.errors import GitOpsRunError, NotFound
from gitops_run.model.flux.requests import Verb
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.session.commands import Place
from gitops_run.model.state.close_up import Bound, CloseUp
from gitops_run.model.state.session_state import SessionState
from gitops_run.model.tree.file_diff import FileChange
from gitops_run.web.bells import Bells, listening
from gitops_run.web.live import Live
from gitops_run.web.notices import notice_of
from gitops_run.web.pages.view import Notice, NoticeKind, OpenedObject, Rights, SessionView, Tab
from gitops_run.web.trees import (
    access_lines,
    missing_notices,
    object_tree,
    pod_views,
    refs_of,
    save_diffs,
)
from gitops_run.web.unexpected import guarded, once
from gitops_run.web.viewer import Viewer

READ_AGAIN_S: Final = 3.0
READ_SOON_S: Final = 0.3
"""Where the state reports a save that the record, which is written after it, doesn't have yet."""
LINGER_S: Final = 30.0
BOUND_S: Final = 30.0
"""Who is bound to which role changes rarely."""
FIRST_S: Final = 2.0
"""How long a page waits for its first reading before it is shown without."""


def tab_of(text: str) -> Tab:
    """Read a tab's name; the first tab for anything else."""
    return Tab(text) if text in tuple(Tab) else Tab.SAVES


@dataclass(eq=False)
class Look:
    """Hold what one identity sees of one session. version: grows with each change.

    is_current: False while the sessions' watch is cut; every page is dimmed then, and stays as it was.
    """

    viewer: Viewer
    namespace: str
    name: str
    bells: Bells = field(default_factory=Bells)
    version: int = 0
    users: int = 0
    is_gone: bool = False
    is_current: bool = True
    state: SessionState | None = None
    close_up: CloseUp | None = None
    bound: tuple[Bound, ...] = ()
    has_stack: bool = False
    missing: Mapping[Verb, str] = field(default_factory=dict)
    error: GitOpsRunError | None = None
    diffs: Mapping[str, tuple[FileChange, ...]] = field(default_factory=dict)
    is_read: anyio.Event = field(default_factory=anyio.Event)

    def fail(self, error: GitOpsRunError) -> None:
        """Keep why it can't be read."""
        self.error = error

    @property
    def place(self) -> Place:
        """Say what completes the commands of its hints."""
        return place_of(self.viewer.viewing, self.namespace, self.name)

    def view(self) -> SessionView | None:
        """Write what a page shows; None where there is nothing to see."""
        if self.state is None:
            return None
        state, close_up = self.state, self.close_up or CloseUp()
        state, is_here = replace(state, record=close_up.record or state.record), self.has_stack
        return SessionView(
            state=state,
            rights=Rights(missing=self.missing),
            details=close_up.details,
            carried_by={act: who for act in Verb if (who := carried_by(act, state, has_stack=is_here))},
            objects=object_tree(state, close_up),
            pods=pod_views(close_up.pods),
            access=access_lines(self.bound),
            diffs=save_diffs(state, self.diffs),
            notices=self._notices(),
            extend_by=_ttl(state),
            place=self.place,
            has_stack=is_here,
        )

    async def view_of(self, query: Mapping[str, str]) -> SessionView | None:
        """Write what a page shows of the objects that its URL names: `all`, or one that is opened."""
        view = self.view()
        if view is None or not query:
            return view
        opened = await self._opened(view, query) if "kind" in query else None
        return replace(view, has_all_objects="all" in query, opened=opened)

    async def _opened(self, view: SessionView, query: Mapping[str, str]) -> OpenedObject:
        """Read the object that is named, where it is one of the session's. Raises nothing."""
        wanted = ObjectRef(
            group=query.get("group", ""),
            kind=query.get("kind", ""),
            namespace=query.get("in", ""),
            name=query.get("name", ""),
            version=query.get("version", "v1"),
        )
        shown = OpenedObject(
            kind=wanted.kind, name=wanted.name, namespace=wanted.namespace, group=wanted.group
        )
        try:
            if wanted not in set(refs_of(view.objects)):
                raise NotFound(f"{wanted} is no object of this session any more")
            found = await self.viewer.viewing.object_text(self.namespace, wanted)
        except GitOpsRunError as error:
            return replace(shown, notice=notice_of(error, self.place))
        return replace(shown, yaml=found.text, events=found.events)

    def _notices(self) -> Mapping[Tab, Notice]:
        if self.error is not None and (self.close_up is None or self.is_current):
            tabs = Tab if self.close_up is None else (Tab.OBJECTS, Tab.ACCESS)
            return dict.fromkeys(tabs, notice_of(self.error, self.place))
        if self.close_up is None:
            loading = Notice(
                kind=NoticeKind.LOADING,
                title="Reading the session",
                explanation="Its record and its objects are being read from the cluster.",
            )
            return dict.fromkeys(Tab, loading)
        return missing_notices(self.close_up)


def _ttl(state: SessionState) -> str:
    limits = state.place.lifetime.limits if state.place else None
    return str(limits.ttl) if limits and limits.ttl else ""


class Looks:
    """Hold the looks that are open."""

    def __init__(self, live: Live, tasks: TaskGroup) -> None:
        self._live = live
        self._tasks = tasks
        self._open: dict[tuple[int, str, str], Look] = {}

    @asynccontextmanager
    async def open(self, viewer: Viewer, namespace: str, name: str) -> AsyncGenerator[Look, None]:
        """Look at a session while inside, and for a little longer."""
        key = (id(viewer), namespace, name)
        look = self._open.get(key)
        if look is None:
            look = self._open[key] = Look(viewer, namespace, name)
            self._tasks.start_soon(self._keep, key, look)
        look.users += 1
        try:
            yield look
        finally:
            look.users -= 1

    async def _keep(self, key: tuple[int, str, str], look: Look) -> None:
        with guarded(look.viewer.viewing.caller.report, look.fail):
            await self._follow(look)
        del self._open[key]
        look.is_read.set()

    async def _follow(self, look: Look) -> None:
        """Read again and again until nobody looks any more."""
        unused_since: float | None = None
        viewing = look.viewer.viewing
        diffs = FileDiffs(viewing.key(look.namespace, look.name), viewing.caller)
        bound_at, report = -BOUND_S, once(viewing.caller.report)
        with listening(self._live.bells) as bell:
            while True:
                now = anyio.current_time()
                unused_since = None if look.users else unused_since or now
                if unused_since is not None and now >= unused_since + LINGER_S:
                    return
                if now >= bound_at + BOUND_S:
                    bound_at = now
                    await _read_bound(look, report)
                await self._read(look, diffs, report)
                until = anyio.current_time() + (READ_SOON_S if _is_behind(look) else READ_AGAIN_S)
                while anyio.current_time() < until and not self._has_news(look):
                    await bell.wait(max(until - anyio.current_time(), 0))

    def _has_news(self, look: Look) -> bool:
        state = self._live.find(look.namespace, look.name)
        return state is not look.state and state != look.state

    async def _read(self, look: Look, diffs: FileDiffs, report: Report) -> None:
        """Read once, and ring where something is different."""
        before = _known(look)
        state = self._live.find(look.namespace, look.name)
        with guarded(report, look.fail):
            is_seen = state is not None and await look.viewer.may_see(state)
            look.is_gone = self._live.is_listed and not is_seen
            if state is None or not is_seen:
                look.state = look.close_up = None
            else:
                look.state = state  # at once: the row's news are not to wait for the reading
                look.has_stack = look.viewer.has_stack(state)
                look.missing = await look.viewer.missing(state, is_here=look.has_stack)
                if look.is_read.is_set() and look.state != before[0]:
                    _ring(look)
                look.close_up = await look.viewer.viewing.close_up(look.namespace, look.name)
                if diffs.are_here and (look.state != before[0] or not look.is_read.is_set()):
                    look.diffs = await to_thread.run_sync(diffs.by_revision)
            look.error = None
        look.is_current = self._live.is_current
        look.is_read.set()
        if _known(look) != before:
            _ring(look)


def _known(look: Look) -> tuple[object, ...]:
    seen = look.state, look.close_up, look.is_gone, look.error, look.is_current
    return *seen, look.has_stack, look.missing, look.diffs


def _is_behind(look: Look) -> bool:
    summary = look.state.summary if look.state else None
    record = look.close_up.record if look.close_up else None
    if summary is None or record is None:
        return False
    return (record.run, record.seq) < (summary.run, summary.seq)


async def _read_bound(look: Look, report: Report) -> None:
    bound: tuple[Bound, ...] = ()
    with guarded(report, lambda _: None):
        bound = await look.viewer.viewing.bound(look.namespace)
    look.bound = bound


def _ring(look: Look) -> None:
    look.version += 1
    look.bells.ring()
