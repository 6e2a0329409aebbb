"""One session: its page, its logs, and the stream of everything that changes."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gitops_run.errors import GitOpsRunError, GuardError, NotFound, TransientError, UsageError
from gitops_run.model.rights.right import Right
from gitops_run.model.session.commands import completed
from gitops_run.model.state.close_up import LogLine, LogRequest
from gitops_run.web.looks import FIRST_S, Look, tab_of
from gitops_run.web.pages.session import Topic, session_page
from gitops_run.web.pages.view import SessionView, Tab
from gitops_run.web.site import Site, Visit, visited
from gitops_run.web.streams import PING, PING_S, RETRY, EventStream, Since, Watching, browser_events, event
from gitops_run.web.unexpected import guarded

STREAMS_MAX: Final = 128
LOGS_MAX: Final = 50
LOOKS_MAX: Final = 20
"""For each user: a browser has one stream, however many tabs it has."""
LINES_MAX: Final = 500
"""Log lines in one batch."""
LOG_BATCH_S: Final = 0.1


def routes(site: Site) -> Sequence[Route]:
    """List the URLs of sessions and streams."""

    async def events(request: Request) -> ASGIApp:
        return EventStream(_events(site, request))

    place = "/s/{namespace}/{name}"
    return (
        Route("/events", events),
        Route(f"{place}/logs/stream", visited(site, _logs)),
        Route(place, visited(site, _session)),
    )


def gone(visit: Visit) -> NotFound:
    """Say that a session isn't there, or that this viewer may not see it: nobody learns which."""
    namespace, name = visit.place
    return NotFound(
        f"There is no session {name} in namespace {namespace}, or you may not see it.",
        hint="It may have ended. All sessions that you may see are on the first page.",
    )


async def session_view(visit: Visit, look: Look, query: Mapping[str, str]) -> SessionView:
    """Read what a session's page shows. query: of its URL. Raises NotFound."""
    with anyio.move_on_after(FIRST_S):
        await look.is_read.wait()
    view = await look.view_of(query)
    if view is None:
        raise look.error or gone(visit)
    return view


async def _session(visit: Visit) -> Response:
    namespace, name = visit.place
    tab = tab_of(visit.request.query_params.get("tab", ""))
    query = visit.request.query_params if tab is Tab.OBJECTS else {}
    with anyio.move_on_after(FIRST_S):
        await visit.site.live.listed.wait()
    async with visit.site.looks.open(visit.viewer, namespace, name) as look:
        view = await session_view(visit, look, query)
        view = replace(view, message=visit.login.take_message(namespace, name))
        return visit.html(session_page(visit.view(), view, tab, datetime.now(UTC)))


async def _events(site: Site, request: Request) -> AsyncGenerator[bytes, None]:
    """Yield what one browser follows; without a login, only the event that says so."""
    login = site.logins.find(request.cookies.get(site.cookie, ""))
    if login is None or site.viewer.streams >= STREAMS_MAX:
        yield event("login" if login is None else "busy", "{}")
        return
    said = request.query_params
    since = Since.parse(request.headers.get("last-event-id") or said.get("since", ""))
    async with AsyncExitStack() as stack:
        looks = {}
        topics = said.getlist("topic")
        for topic in [found for text in topics[:LOOKS_MAX] if (found := Topic.parse(text))]:
            open_look = site.looks.open(site.viewer, topic.namespace, topic.name)
            looks[topic] = await stack.enter_async_context(open_look)
        has_rows = "rows" in topics
        watching = Watching(viewer=site.viewer, login=login, since=since, has_rows=has_rows, looks=looks)
        events = await stack.enter_async_context(aclosing(browser_events(site.live, site.logins, watching)))
        async for one in events:
            yield one


async def _logs(visit: Visit) -> ASGIApp:
    """Follow logs: `line` has a batch of lines, `note` what can't be read, `denied` why none may be.

    A browser doesn't show a script why a stream was refused, so that is an event too. After `end` there are
    no more lines; a stream that ends without it is opened again.
    """
    try:
        await _require_logs(visit)
        if visit.viewer.logs >= LOGS_MAX:
            raise UsageError(f"{LOGS_MAX} logs are followed already.", hint="Close a page of logs.")
    except GitOpsRunError as error:
        return EventStream(_failure(error, visit))
    said = visit.request.query_params
    is_previous = said.get("previous", "") in {"1", "true", "on"}
    request = LogRequest(namespace=visit.place[0], pod=said.get("pod", ""), is_previous=is_previous)
    return EventStream(_log_events(visit, request))


async def _failure(error: GitOpsRunError, visit: Visit) -> AsyncGenerator[bytes, None]:
    if isinstance(error, TransientError):
        yield event("note", json.dumps({"pod": "", "container": "", "text": error.message}))
        return
    hint = completed(error.hint, visit.commands)
    yield event("denied", json.dumps({"message": error.message, "hint": hint}))
    yield event("end", "{}")


async def _require_logs(visit: Visit) -> None:
    """Refuse logs that this viewer may not read, as of a minute ago at most. Raises NotFound, GuardError."""
    namespace, name = visit.place
    state = visit.site.live.find(namespace, name)
    if state is None or not await visit.viewer.may_see(state):
        raise gone(visit)
    right = Right(verb="get", resource="pods", subresource="log", namespace=namespace)
    if not (await visit.viewer.allowed((right,)))[right]:
        raise GuardError(
            f"You need the right to {right}.",
            hint="Ask the session's owner, or whoever administers the cluster.",
        )


async def _log_events(visit: Visit, request: LogRequest) -> AsyncGenerator[bytes, None]:
    """Yield lines in batches as long as this viewer may read them."""
    visit.viewer.logs += 1
    send, receive = anyio.create_memory_object_stream[LogLine](LINES_MAX)
    scope = anyio.CancelScope()
    failed: list[GitOpsRunError] = []

    async def follow() -> None:
        with scope:
            async with send:
                with guarded(visit.site.caller.report, failed.append):
                    await visit.viewer.viewing.follow_logs(request, send)

    visit.site.tasks.start_soon(follow)
    try:
        yield RETRY
        async with receive:
            while not visit.site.logins.is_over(visit.login):
                batch = await _batch(receive)
                if batch is None:
                    break
                await _require_logs(visit)
                for chunk in _written(batch):
                    yield chunk
                if not batch:
                    yield PING
    except GitOpsRunError as error:
        failed.append(error)
    finally:
        scope.cancel()
        visit.viewer.logs -= 1
    if not failed:
        yield event("end", "{}")
        return
    async for one in _failure(failed[0], visit):
        yield one


async def _batch(receive: MemoryObjectReceiveStream[LogLine]) -> list[LogLine] | None:
    """Take the lines that there are, after a moment; none after a long wait, None at the end."""
    lines: list[LogLine] = []
    with anyio.move_on_after(PING_S):
        try:
            lines.append(await receive.receive())
        except anyio.EndOfStream:
            return None
    if lines:
        await anyio.sleep(LOG_BATCH_S)
    while lines and len(lines) < LINES_MAX:
        try:
            lines.append(receive.receive_nowait())
        except (anyio.WouldBlock, anyio.EndOfStream):
            break
    return lines


def _written(lines: Sequence[LogLine]) -> Iterator[bytes]:
    said = [asdict(line) for line in lines if line.at]
    if said:
        yield event("line", json.dumps(said))
    for line in lines:
        if not line.at:
            yield event("note", json.dumps(asdict(line)))
