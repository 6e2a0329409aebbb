"""The pages of example sessions, and their streams, without a cluster: what a browser makes of them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import gitops_run.web
from gitops_run.model.state.session_state import SessionState
from gitops_run.web.guard import HEADERS
from gitops_run.web.pages import others, session, sessions
from gitops_run.web.pages.ordering import to_query
from gitops_run.web.pages.view import Notice, NoticeKind, SessionView, Tab
from tests.browser import states, views

STATIC: Final = Path(gitops_run.web.__file__).parent / "static"
NOTICES: Final = {
    "loading": Notice(
        kind=NoticeKind.LOADING,
        title="Looking at the cluster",
        explanation="The sessions are being listed.",
        next_step="This page loads again on its own.",
    ),
    "not-allowed": Notice(
        kind=NoticeKind.NOT_ALLOWED,
        title="You may not see session search",
        explanation="You lack the right to get buckets in the namespace run-search.",
        next_step="Ask jonas, who owns it, or whoever administers the cluster. To see your rights:",
        command="kubectl auth can-i --list -n run-search",
    ),
    "gone": Notice(
        kind=NoticeKind.GONE,
        title="Session checkout has ended",
        explanation="It is not in the cluster any more.",
        next_step="To start it again, from its folder:",
        command="gitops-run up checkout",
    ),
    "cut-off": Notice(
        kind=NoticeKind.CUT_OFF,
        title="The cluster does not answer",
        explanation="The API server at 10.0.0.1:6443 has not answered for 20 seconds.",
        next_step="Once it answers, this page shows it. To see why:",
        command="gitops-run doctor",
    ),
}


@dataclass
class Example:
    """Hold what the server shows. Whatever a test puts into the streams goes to every page.

    streams: how many were opened so far. posted: the forms that were sent.
    """

    sessions: list[SessionState] = field(default_factory=states.team)
    view: SessionView = field(default_factory=views.session_view)
    now: Callable[[], datetime] = lambda: states.NOW
    lines: list[dict[str, str]] = field(default_factory=list)
    posted: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    is_down: bool = False
    url: str = ""
    _queues: set[asyncio.Queue[str | None]] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop | None = None

    def send(self, name: str, data: object) -> None:
        """Send an event to every page. Called from the test's thread."""
        self._put(_event(name, data))

    def change(self, *changed: SessionState) -> None:
        """Replace sessions, and send their rows."""
        ids = {sessions.row_id(one): one for one in changed}
        self.sessions = [ids.pop(sessions.row_id(one), one) for one in self.sessions] + list(ids.values())
        self.send("rows", self.rows(changed))

    def rows(self, changed: tuple[SessionState, ...] | list[SessionState]) -> dict[str, object]:
        """Write the event of these sessions' rows."""
        html = [sessions.session_row(one, self.now()) for one in changed]
        return {"set": html, "gone": [], "counts": sessions.counts(self.sessions, self.now())}

    def send_parts(self, topic: str) -> None:
        """Send the parts of one session's page as they are now."""
        self._put(self.parts(topic))

    def parts(self, topic: str) -> str:
        """Write the event of one session's parts."""
        read = session.Topic.parse(topic)
        assert read
        parts = session.session_parts(self.view_of(read.name), read.tab, self.now())
        return _event("parts", {"topic": topic, "parts": dict(parts)})

    def view_of(self, name: str) -> SessionView:
        """Choose what is shown of a session: one has failed."""
        return views.session_view(states.failed()) if name == "payments" else self.view

    def cut(self) -> None:
        """End every stream."""
        self._put(None)

    def _put(self, text: str | None) -> None:
        assert self._loop
        for queue in list(self._queues):
            self._loop.call_soon_threadsafe(queue.put_nowait, text)

    async def follow(self, first: str) -> AsyncIterator[str]:
        self._loop = asyncio.get_running_loop()
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            yield first
            while (text := await queue.get()) is not None:
                yield text
        finally:
            self._queues.discard(queue)


def _event(name: str, data: object) -> str:
    return f"id: test-1\nevent: {name}\ndata: {json.dumps(data)}\n\n"


@dataclass
class _Pages:
    example: Example

    def all_sessions(self, request: Request) -> Response:
        query = to_query(request.query_params.multi_items())
        shown = sessions.sessions_page(views.VIEWER, self.example.sessions, self.example.now(), query)
        return HTMLResponse(shown)

    def one_session(self, request: Request) -> Response:
        tab = Tab(request.query_params.get("tab", "saves"))
        view = self.example.view_of(request.path_params["name"])
        if request.query_params.get("kind"):
            view = replace(view, opened=views.opened())
        return HTMLResponse(session.session_page(views.VIEWER, view, tab, self.example.now()))

    def me(self, _request: Request) -> Response:
        return HTMLResponse(others.me_page(views.VIEWER))

    def platform(self, _request: Request) -> Response:
        page = others.platform_page(views.VIEWER, views.platform_view(), self.example.now())
        return HTMLResponse(page)

    def end(self, _request: Request) -> Response:
        return HTMLResponse(others.end_page(views.VIEWER, views.end_view()))

    def receipt(self, _request: Request) -> Response:
        return HTMLResponse(others.receipt_page(views.VIEWER, views.receipt_view(), states.NOW))

    def notice(self, request: Request) -> Response:
        return HTMLResponse(others.notice_page(views.VIEWER, NOTICES[request.path_params["kind"]]))

    async def post(self, request: Request) -> Response:
        self.example.posted.append((request.url.path, parse_qs((await request.body()).decode())))
        return RedirectResponse("/", status_code=303)

    async def events(self, request: Request) -> Response:
        if self.example.is_down:
            return Response(status_code=503)
        self.example.queries.append(str(request.url.query))
        topics = request.query_params.getlist("topic")
        first = _event("synced", {"rows": len(self.example.sessions)})
        if "rows" in topics and not request.query_params.get("since"):
            first += _event("rows", self.example.rows(self.example.sessions))
        for topic in topics:
            if topic != "rows":
                first += self.example.parts(topic)
        return StreamingResponse(self.example.follow(first), media_type="text/event-stream")

    async def logs(self, _request: Request) -> Response:
        first = _event("line", self.example.lines)
        return StreamingResponse(self.example.follow(first), media_type="text/event-stream")


class _Headers:
    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [
                    (name.lower().encode(), text.encode()) for name, text in HEADERS.items()
                ]
            await send(message)

        await self._app(scope, receive, sent)


def application(example: Example) -> Starlette:
    """Make the server of an example."""
    pages = _Pages(example)
    return Starlette(
        routes=[
            Route("/", pages.all_sessions),
            Route("/events", pages.events),
            Route("/me", pages.me),
            Route("/platform", pages.platform),
            Route("/notice/{kind}", pages.notice),
            Route("/bulk", pages.post, methods=["POST"]),
            Route("/logout", pages.post, methods=["POST"]),
            Route("/s/{namespace}/{name}", pages.one_session),
            Route("/s/{namespace}/{name}/logs/stream", pages.logs),
            Route("/s/{namespace}/{name}/receipt", pages.receipt),
            Route("/s/{namespace}/{name}/end", pages.end),
            Route("/s/{namespace}/{name}/{action}", pages.post, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(_Headers), Middleware(GZipMiddleware, minimum_size=1000)],
    )


@contextmanager
def serving(example: Example) -> Iterator[Example]:
    """Serve an example on a free port of this machine, in a thread."""
    config = uvicorn.Config(
        application(example),
        host="127.0.0.1",
        port=0,
        log_level="warning",
        timeout_graceful_shutdown=1,
        lifespan="off",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    started = threading.Event()
    while not server.started:
        started.wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    example.url = f"http://127.0.0.1:{port}"
    try:
        yield example
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(timeout=10)
