"""The application: which URL is answered by what, and the task that watches the sessions meanwhile."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.resources import files
from typing import Final

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from gitops_run.api.caller import Caller
from gitops_run.api.viewing import Viewing
from gitops_run.errors import GitOpsRunError
from gitops_run.model.state.session_state import SessionState
from gitops_run.web import action_routes, documents, session_routes
from gitops_run.web.guard import Guard
from gitops_run.web.live import Live
from gitops_run.web.login import Logins
from gitops_run.web.looks import Looks
from gitops_run.web.metrics import CONTENT_TYPE, Metrics
from gitops_run.web.notices import notice_of, status_of
from gitops_run.web.pages.others import logged_in_page, me_page, platform_page
from gitops_run.web.pages.sessions import sessions_page
from gitops_run.web.pages.view import (
    Notice,
    NoticeKind,
    PlatformView,
    SessionsQuery,
    WatchView,
)
from gitops_run.web.site import LOG_IN, Site, Visit, html, read_form, refused, visited
from gitops_run.web.viewer import Sight, Viewer, known_rights

FIRST_LIST_S: Final = 3.0
"""How long the first page waits until the sessions are listed."""
_NO_PAGE: Final = Notice(
    kind=NoticeKind.GONE,
    title="There is no such page",
    explanation="The address may be mistyped.",
    next_step="All sessions are on the first page.",
)

_FAILED: Final = Notice(
    kind=NoticeKind.FAILED,
    title="That failed unexpectedly",
    explanation="The server runs on, and its terminal shows the error.",
    next_step="Go back, and try again.",
)


@asynccontextmanager
async def open_site(
    viewing: Viewing, caller: Caller, hosts: frozenset[str], cookie: str
) -> AsyncGenerator[Site, None]:
    """Watch the sessions while inside. Raises BackendError where the cluster doesn't say who this is."""
    identity = await viewing.identity()
    metrics = Metrics()
    live = Live(viewing, metrics.observe)
    viewer = Viewer(identity, viewing, Sight(viewing, live.watch_again))
    metrics.read_from(live, viewer)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(live.run)
        yield Site(
            hosts=hosts,
            cookie=cookie,
            caller=caller,
            live=live,
            logins=Logins(anyio.current_time),
            looks=Looks(live, tasks),
            metrics=metrics,
            viewer=viewer,
            tasks=tasks,
        )
        tasks.cancel_scope.cancel()


def make_app(site: Site) -> ASGIApp:
    """Make the application of a site."""

    async def health(_: Request) -> Response:
        status = HTTPStatus.OK if site.live.is_current else HTTPStatus.SERVICE_UNAVAILABLE
        words = "ok" if site.live.is_current else "the sessions are not watched at present"
        return PlainTextResponse(f"{words}\n", status_code=status)

    async def metrics(_: Request) -> Response:
        return Response(site.metrics.text(), media_type=CONTENT_TYPE)

    async def missing(request: Request, _: Exception) -> Response:
        return refused(request, _NO_PAGE, HTTPStatus.NOT_FOUND)

    async def failed(request: Request, _: Exception) -> Response:
        return refused(request, _FAILED, HTTPStatus.INTERNAL_SERVER_ERROR)

    static = StaticFiles(directory=str(files("gitops_run.web") / "static"))
    routes = [
        Route("/auth", _auth(site)),
        Route("/", visited(site, _sessions)),
        Route("/me", visited(site, _me)),
        Route("/logout", visited(site, _logout), methods=["POST"]),
        Route("/platform", visited(site, _platform)),
        Route("/healthz", health),
        Route("/metrics", metrics),
        Mount("/static", static),
        *session_routes.routes(site),
        *action_routes.routes(site),
        *documents.routes(site),
    ]
    handlers = {HTTPStatus.NOT_FOUND: missing, HTTPStatus.INTERNAL_SERVER_ERROR: failed}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), site.hosts, site.caller.report)


def _auth(site: Site) -> Callable[[Request], Awaitable[Response]]:
    async def auth(request: Request) -> Response:
        """Take the token, and go on with a cookie and a URL without it.

        By a page that refreshes: browsers don't send a new cookie that is SameSite=Strict with a redirect
        that began on another site, as in a terminal that is a web page. Source: RFC 6265bis, 5.2.
        """
        if request.method != "GET":
            return Response(status_code=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET"})
        login = site.logins.enter(request.query_params.get("token", ""))
        if login is None:
            return refused(request, LOG_IN, HTTPStatus.UNAUTHORIZED)
        answer = html(request, logged_in_page())
        answer.headers["Refresh"] = "0; url=/"
        # Without Secure: this is plain HTTP on loopback, where Safari would drop the cookie.
        answer.set_cookie(site.cookie, login.key, httponly=True, samesite="strict", path="/")
        return answer

    return auth


async def _sessions(visit: Visit) -> Response:
    live = visit.site.live
    with anyio.move_on_after(FIRST_LIST_S):
        await live.listed.wait()
    if not live.is_listed:
        return _not_listed(visit)
    scene = await visit.viewer.scene(live)
    states: list[SessionState] = [live.rows[key].state for key in scene.rows if key in live.rows]
    now = datetime.now(UTC)
    return visit.html(sessions_page(visit.view(), states, now, _query(visit.request), live.row_html))


def _not_listed(visit: Visit) -> Response:
    """Say why no session can be shown at all."""
    trouble = visit.site.live.trouble
    if trouble is not None:
        return refused(visit.request, notice_of(trouble, visit.commands), status_of(trouble), visit.view())
    loading = Notice(
        kind=NoticeKind.LOADING,
        title="Reading the sessions",
        explanation=f"The cluster of context {visit.viewer.viewing.request.context} has not answered yet.",
        next_step="This page is loaded again every few seconds.",
    )
    answer = refused(visit.request, loading, HTTPStatus.OK, visit.view())
    answer.headers["Refresh"] = "2"
    return answer


def _query(request: Request) -> SessionsQuery:
    said = request.query_params
    return SessionsQuery(
        q=said.get("q", ""),
        states=tuple(said.getlist("state")),
        owner=said.get("owner", ""),
        namespace=said.get("ns", ""),
        sort=said.get("sort", ""),
        group=said.get("group", ""),
        is_whole="all" in said,
    )


async def _me(visit: Visit) -> Response:
    return visit.html(me_page(visit.view(await known_rights(visit.viewer))))


async def _logout(visit: Visit) -> Response:
    await read_form(visit)
    visit.site.logins.leave(visit.login)
    answer = refused(visit.request, LOG_IN, HTTPStatus.OK)
    answer.delete_cookie(visit.site.cookie, path="/", httponly=True, samesite="strict")
    return answer


async def _platform(visit: Visit) -> Response:
    live = visit.site.live
    watches = [
        WatchView(
            kind=pulse.kind,
            since=pulse.since.isoformat(timespec="seconds") if pulse.since else "",
            restarts=pulse.restarts,
        )
        for pulse in live.pulses
    ]
    watches += [WatchView(kind=kind, hidden=f"list and watch {kind}") for kind in sorted(live.hidden)]
    status, notice, run = None, None, None
    try:
        run = await visit.viewer.viewing.collector_run()
        status = await visit.viewer.viewing.platform()
    except GitOpsRunError as error:
        notice = notice_of(error, visit.commands)
    view = PlatformView(
        status=status,
        collector=run,
        watches=tuple(watches),
        streams=visit.viewer.streams,
        notice=notice,
    )
    return visit.html(platform_page(visit.view(), view, datetime.now(UTC)))
