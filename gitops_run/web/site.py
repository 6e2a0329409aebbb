"""What one server holds, and what a request brings to a page."""

from __future__ import annotations

import gzip
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from anyio.abc import TaskGroup
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from gitops_run.api.caller import Caller
from gitops_run.api.places import place_of
from gitops_run.errors import (
    GitOpsRunError,
    GuardError,
    UsageError,
)
from gitops_run.model.session.commands import Place
from gitops_run.model.session.receipt import Receipt
from gitops_run.model.state.session_state import SessionState
from gitops_run.web.guard import BODY_BYTES_MAX
from gitops_run.web.live import Live
from gitops_run.web.login import Login, Logins
from gitops_run.web.looks import Looks
from gitops_run.web.metrics import Metrics
from gitops_run.web.notices import notice_of, status_of
from gitops_run.web.pages.others import notice_page
from gitops_run.web.pages.view import Notice, NoticeKind, ViewerView
from gitops_run.web.viewer import Viewer

_FORM: Final = "application/x-www-form-urlencoded"
_FIELDS_MAX: Final = 2000
_COMPRESSED_FROM: Final = 1000
"""Bytes; less than that fits into one packet anyway."""
LOG_IN: Final = Notice(
    kind=NoticeKind.NOT_ALLOWED,
    title="This browser is not logged in",
    explanation="The link that the command prints logs one browser in, once and within a minute.",
    next_step="For a new link, stop the command with Ctrl-C and start it again:",
    command="gitops-run ui",
)


@dataclass(slots=True, kw_only=True)
class Ending:
    """Hold how far the end of a session is.

    state: as it was when its end was asked for. request: of the collector, "" where it is ended here.
    """

    state: SessionState
    request: str = ""
    receipt: Receipt | None = None
    error: GitOpsRunError | None = None

    def fail(self, error: GitOpsRunError) -> None:
        """Keep why it failed."""
        self.error = error


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Hold one server.

    hosts: the names by which it may be asked, with its port. tasks: end when it stops. endings: by user,
    namespace and name.
    """

    hosts: frozenset[str]
    cookie: str
    caller: Caller
    live: Live
    logins: Logins
    looks: Looks
    metrics: Metrics
    viewer: Viewer
    tasks: TaskGroup
    endings: dict[tuple[str, str, str], Ending] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Hold a request of somebody who is logged in."""

    site: Site
    request: Request
    viewer: Viewer
    login: Login

    @property
    def ending(self) -> tuple[str, str, str]:
        """Name the end of this session that this viewer has asked for."""
        return self.viewer.identity.user, *self.place

    @property
    def place(self) -> tuple[str, str]:
        """Read namespace and name of the session that the URL names."""
        return self.request.path_params["namespace"], self.request.path_params["name"]

    @property
    def commands(self) -> Place:
        """Say what completes the commands of hints for what the URL names."""
        named = self.request.path_params
        return place_of(self.viewer.viewing, named.get("namespace", ""), named.get("name", ""))

    def view(self, rights: tuple[str, ...] = ()) -> ViewerView:
        """Write who looks, for a page."""
        return ViewerView(
            user=self.viewer.identity.user,
            groups=self.viewer.identity.groups,
            csrf=self.login.csrf,
            context=self.viewer.viewing.request.context,
            place=place_of(self.viewer.viewing),
            rights=rights,
        )

    def html(self, text: str, status: int = HTTPStatus.OK) -> Response:
        """Answer with a page, compressed where the browser takes that."""
        return html(self.request, text, status)


Handler = Callable[[Visit], Awaitable[ASGIApp]]


def html(request: Request, text: str, status: int = HTTPStatus.OK) -> Response:
    """Answer with HTML, compressed where the browser takes that.

    The login's token is in it, and cookies are SameSite=Strict: nobody else can have it compressed together
    with text of theirs (BREACH).
    """
    content = text.encode()
    headers = {"Vary": "Accept-Encoding"}
    if len(content) > _COMPRESSED_FROM and "gzip" in request.headers.get("accept-encoding", ""):
        content = gzip.compress(content, compresslevel=6, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(content, status_code=status, media_type="text/html; charset=utf-8", headers=headers)


def visited(site: Site, handler: Handler) -> Callable[[Request], Awaitable[ASGIApp]]:
    """Make an endpoint for those who are logged in; errors become pages, or JSON under /api."""

    async def endpoint(request: Request) -> ASGIApp:
        login = site.logins.find(request.cookies.get(site.cookie, ""))
        if login is None:
            return refused(request, LOG_IN, HTTPStatus.UNAUTHORIZED)
        visit = Visit(site=site, request=request, viewer=site.viewer, login=login)
        try:
            return await handler(visit)
        except GitOpsRunError as error:
            return refused(request, notice_of(error, visit.commands), status_of(error), visit.view())

    return endpoint


def refused(
    request: Request, notice: Notice, status: HTTPStatus, viewer: ViewerView | None = None
) -> Response:
    """Say why a request isn't answered, in the form that it asked for."""
    if request.url.path.startswith("/api/"):
        body = {"error": notice.title, "message": notice.explanation, "hint": notice.next_step}
        return JSONResponse(body, status_code=status)
    return html(request, notice_page(viewer, notice), status)


async def read_form(visit: Visit) -> dict[str, list[str]]:
    """Read a form that this login's own page has sent. Raises GuardError on any other, UsageError."""
    request = visit.request
    if request.headers.get("content-type", "").partition(";")[0].strip() != _FORM:
        raise UsageError("the request is not a form", hint="send it from the page")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise UsageError(f"a form has at most {BODY_BYTES_MAX:,} bytes", hint="shorten it")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise UsageError("the form can't be read", hint="open the page again") from None
    fields: dict[str, list[str]] = {}
    for key, value in pairs:
        fields.setdefault(key, []).append(value)
    if not hmac.compare_digest(first(fields, "csrf").encode(), visit.login.csrf.encode()):
        raise GuardError("this form belongs to another login", hint="reload the page, and repeat it")
    return fields


def first(fields: dict[str, list[str]], key: str) -> str:
    """Take a field's first value; "" where there is none."""
    return next(iter(fields.get(key, ())), "")
