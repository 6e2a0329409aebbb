"""What every request must satisfy before it is routed, and what every answer carries.

Host is compared with an exact list, which a rebound name never matches. A request that changes something
comes from a page of this server, by the browser's own word. Source: OWASP, Cross-Site Request Forgery
Prevention; W3C, Fetch Metadata and Trusted Types.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gitops_run.api.caller import Report
from gitops_run.errors import ungrouped
from gitops_run.web.unexpected import line_of

BODY_BYTES_MAX: Final = 1024 * 1024
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; worker-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types gitops-run"
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Say why a request is not answered."""

    status: HTTPStatus
    message: str


def refusal_of(method: str, headers: Headers, hosts: Collection[str]) -> Refusal | None:
    """Say why a request is refused before it is routed; None for one that isn't. hosts: with their ports."""
    host = headers.get("host", "")
    if host not in hosts or len(headers.getlist("host")) != 1:
        return Refusal(HTTPStatus.MISDIRECTED_REQUEST, "This server doesn't have that name.")
    if method not in SAFE_METHODS and not _is_from_own_page(headers, host):
        return Refusal(HTTPStatus.FORBIDDEN, "This request doesn't come from a page of this server.")
    if _is_too_large(headers):
        return Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request has at most {BODY_BYTES_MAX:,} bytes."
        )
    return None


def _is_from_own_page(headers: Headers, host: str) -> bool:
    """Take the browser's word: of where it comes from, or of the origin where it doesn't say that."""
    if (site := headers.get("sec-fetch-site")) is not None:
        return site == "same-origin"
    return headers.get("origin") in (f"http://{host}", f"https://{host}")


def _is_too_large(headers: Headers) -> bool:
    length = headers.get("content-length", "0")
    return not length.isascii() or not length.isdigit() or int(length[:20]) > BODY_BYTES_MAX


class Guard:
    """Refuse requests that don't belong here, and add the headers to every answer."""

    def __init__(self, app: ASGIApp, hosts: Collection[str], report: Report) -> None:
        """report: takes a line for each request that fails unexpectedly."""
        self._app = app
        self._report = report
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        refusal = refusal_of(scope["method"], Headers(scope=scope), self._hosts)
        if refusal is not None:
            refused = PlainTextResponse(refusal.message, status_code=refusal.status)
            await refused(scope, receive, send_with_headers)
            return
        try:
            with ungrouped(Exception):
                await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            pass
        except Exception as error:  # noqa: BLE001 - the application has answered with 500, if it still could
            self._report(line_of(error))
