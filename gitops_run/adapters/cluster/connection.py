"""One connection to one context of one kubeconfig, whatever happens to be current.

This module knows requests, watches and how the API server's answers map to our errors. It knows no kind of
object. It uses the kubernetes client for what kubeconfigs can hold (certificates, tokens, exec plugins) and
for HTTP, not its generated classes: they would cost a second of imports for each command.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import anyio
import anyio.lowlevel

from gitops_run.adapters.cluster.client import ApiClient, Configuration
from gitops_run.adapters.cluster.credentials import Credentials
from gitops_run.adapters.cluster.failures import (
    AnswerTooLargeError,
    Way,
    message_of,
    outage,
    unauthorized,
)
from gitops_run.adapters.cluster.go_json import as_go_writes
from gitops_run.adapters.cluster.http_sessions import HttpSessions
from gitops_run.adapters.cluster.paths import with_query
from gitops_run.adapters.cluster.request import Request
from gitops_run.errors import BackendError, DeniedError, GitOpsRunError, NotFound, TransientError, UsageError

REQUEST_S: Final = 8.0
"""Shorter than the lease's margin, so that no request outlives the right to make it."""
WATCH_S: Final = 300
SILENCE_S: Final = 75.0
"""A watch brings a bookmark each minute: one that is silent for longer is a connection that was dropped."""
ANSWER_BYTES_MAX: Final = 32 * 1024 * 1024
"""Thousands of objects: a session's lists have hundreds."""
EVENT_BYTES_MAX: Final = 8 * 1024 * 1024
"""etcd holds objects of 1.5 MiB."""
FRAME_BYTES_MAX: Final = 4 * 1024 * 1024
"""What a pod sends through a forward at once; container runtimes send 32 KiB."""
WEBSOCKET_CLOSE_S: Final = 1.0
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
FIELD_MANAGER: Final = "gitops-run"

Json = dict[str, Any]


class ConflictError(TransientError):
    """Report that somebody else changed an object first."""


class ExpiredError(TransientError):
    """Report that the API server no longer knows a resourceVersion (410): only a new list helps."""


class RejectedError(BackendError):
    """Report that the API server finds a request wrong (422): a failed test of a JSON patch, say."""


class Connection:
    """Ask one cluster. Made by `connect`."""

    def __init__(self, api: ApiClient, credentials: Credentials, way: Way) -> None:
        self._api = api
        self._credentials = credentials
        self._way = way
        self._has_answered = False
        self._sessions = HttpSessions(api)
        self.context = way.context

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        """Get one object, or a list."""
        return await self._request("GET", with_query(path, query))

    async def find(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        """Get what may be absent, or hidden from this user: nothing then. Raises TransientError only."""
        try:
            return await self.get(path, query)
        except TransientError:
            raise
        except (NotFound, BackendError):
            return {}

    async def get_text(self, path: str, query: Mapping[str, str]) -> str:
        """Get what isn't JSON: a container's log."""
        async with self._answered("GET", with_query(path, query)) as response:
            return (await _read(response)).decode("utf-8", "replace")

    async def date(self) -> str:
        """Ask for the API server's clock, as its answers' Date has it; "" where they have none."""
        async with self._answered("GET", "/version") as response:
            response.close()
            return response.headers.get("Date", "")

    async def create(self, path: str, body: Json) -> Json:
        """Create an object in the collection at path. Raises ConflictError where it exists."""
        return await self._request("POST", path, body)

    async def replace(self, path: str, body: Json) -> Json:
        """Replace an object. Raises ConflictError where its resourceVersion is not the current one."""
        return await self._request("PUT", path, body)

    async def patch(self, path: str, body: Json | list[Json], content_type: str = MERGE_PATCH) -> Json:
        """Patch an object. Raises RejectedError where a JSON patch's test fails."""
        return await self._request(
            "PATCH", with_query(path, {"fieldManager": FIELD_MANAGER}), body, content_type
        )

    async def delete(self, path: str) -> None:
        """Delete an object. Raises NotFound where there is none."""
        await self._request("DELETE", path)

    async def ask(self, request: Request) -> tuple[int, Json]:
        """Send a request and return status and answer, a refusal's too. Raises TransientError only."""
        with self._translated(), anyio.fail_after(REQUEST_S):
            limits = aiohttp.ClientTimeout(total=REQUEST_S)
            response = await self._send_fresh(request, limits)
            text = await _read(response)
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        if isinstance(answer, dict):
            return response.status, answer
        return response.status, {"message": message_of(text) or str(response.reason)}

    async def watch(
        self, path: str, query: Mapping[str, str], opened: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[tuple[str, Json], None]:
        """Yield (type, object) from a collection until the server ends the watch.

        query: with the resourceVersion of a list, so that nothing between is missed. opened: called once the
        server has accepted the watch.
        """
        full = {**query, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_S)}
        limits = aiohttp.ClientTimeout(total=WATCH_S + 30, sock_read=SILENCE_S)
        async with aclosing(self._lines(with_query(path, full), limits)) as lines:
            async for line in lines:
                if line is None:
                    opened()
                else:
                    event = json.loads(line)
                    yield event["type"], event["object"]

    async def follow_text(self, path: str, query: Mapping[str, str]) -> AsyncGenerator[str, None]:
        """Yield the lines of what isn't JSON until the server ends it: a container's log."""
        limits = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_S)
        async with aclosing(self._lines(with_query(path, query), limits)) as lines:
            async for line in lines:
                if line is not None:
                    yield line.decode("utf-8", "replace")

    async def _lines(self, path: str, limits: aiohttp.ClientTimeout) -> AsyncGenerator[bytes | None, None]:
        """Yield None once the answer begins, and then each of its lines."""
        with self._translated():
            response = await self._send("GET", path, None, "application/json", limits)
            try:
                yield None
                rest = b""
                async for chunk in response.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    if len(rest) > EVENT_BYTES_MAX:
                        raise AnswerTooLargeError("a line of a stream has no end")
                    for line in lines:
                        yield line
                if rest:
                    yield rest
            finally:
                response.close()

    async def websocket(
        self, path: str, query: Mapping[str, str], protocol: str
    ) -> aiohttp.ClientWebSocketResponse:
        """Open a websocket of a subprotocol. The caller closes it.

        Without a heartbeat: the other end answers a ping only when it has taken what was sent before it.
        """
        with self._translated(), anyio.fail_after(REQUEST_S):
            used = self._credentials.generation
            try:
                return await self._open_websocket(with_query(path, query), protocol)
            except aiohttp.WSServerHandshakeError as error:
                if error.status == HTTPStatus.UNAUTHORIZED:
                    await self._credentials.renew(used)
                elif error.status == HTTPStatus.FORBIDDEN:
                    await self._refuse_starting(aiohttp.ClientTimeout(total=REQUEST_S))
                else:
                    raise refusal(self.context, error.status, error.message) from error
            try:
                return await self._open_websocket(with_query(path, query), protocol)
            except aiohttp.WSServerHandshakeError as error:
                raise refusal(self.context, error.status, error.message) from error

    async def _open_websocket(self, path: str, protocol: str) -> aiohttp.ClientWebSocketResponse:
        """Open a websocket with the client's own TLS and credentials, as its own ws_client does."""
        _, url, headers, *_ = await self._api.param_serialize("GET", path, auth_settings=["BearerToken"])
        await self._sessions.prepare(self._credentials.generation)
        rest = self._api.rest_client
        session: aiohttp.ClientSession = rest.pool_manager
        return await session.ws_connect(
            url,
            headers=headers,
            protocols=(protocol,),
            server_hostname=self._api.configuration.tls_server_name,
            proxy=rest.proxy,
            proxy_headers=rest.proxy_headers,
            timeout=aiohttp.ClientWSTimeout(ws_close=WEBSOCKET_CLOSE_S),
            max_msg_size=FRAME_BYTES_MAX,
        )

    async def _request(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> Json:
        async with self._answered(method, path, body, content_type) as response:
            answer: Json = json.loads(await _read(response))
            return answer

    @asynccontextmanager
    async def _answered(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; what is done with the answer counts towards its time."""
        with self._translated(), anyio.fail_after(REQUEST_S):
            limits = aiohttp.ClientTimeout(total=REQUEST_S)
            yield await self._send(method, path, body, content_type, limits)

    async def _send(
        self, method: str, path: str, body: object, content_type: str, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """Send a request. Raises what a refusal means."""
        request = Request(method=method, path=path, body=body, content_type=content_type)
        response = await self._send_fresh(request, limits)
        if response.status >= HTTPStatus.BAD_REQUEST:
            text = await _read(response)
            raise refusal(self.context, response.status, message_of(text) or str(response.reason))
        return response

    async def _send_fresh(self, request: Request, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """Send a request; once more with fresh credentials where the server doesn't know these any more."""
        await self._credentials.ready()
        used = self._credentials.generation
        response = await self._send_once(request, limits)
        if response.status == HTTPStatus.UNAUTHORIZED:
            response.close()
            await self._credentials.renew(used)
            response = await self._send_once(request, limits)
        if response.status == HTTPStatus.UNAUTHORIZED:
            response.close()
            raise unauthorized(self._way, has_answered=self._has_answered, plugin=self._credentials.plugin)
        self._has_answered = True
        if response.status == HTTPStatus.FORBIDDEN:
            response.close()
            await self._refuse_starting(limits)
            response = await self._send_once(request, limits)
        return response

    async def _refuse_starting(self, limits: aiohttp.ClientTimeout) -> None:
        """Raise TransientError where the API server has just started.

        It refuses everything then, since it has no roles yet: seen for two seconds with 1.36. To users who
        are no administrators that includes the question whether it is ready, which anybody may ask later.
        """
        response = await self._send_once(Request(method="GET", path="/readyz"), limits)
        response.close()
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise TransientError(
                f"the API server of context {self.context!r} is starting",
                hint="nothing: the request is retried automatically",
            )
        if response.status == HTTPStatus.FORBIDDEN:
            raise TransientError(
                f"the API server of context {self.context!r} does not report whether it is ready",
                hint="it may be starting, or this user may have no rights there: kubectl auth whoami",
            )

    async def close(self) -> None:
        """Close every connection."""
        await self._sessions.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what HTTP raises into our errors."""
        try:
            yield
        except GitOpsRunError as error:
            if self._has_answered and type(error) is BackendError and self._credentials.has_failed(error):
                raise TransientError(error.message, hint=error.hint) from error
            raise
        except TimeoutError as error:
            if self._credentials.is_awaited:
                raise TransientError(
                    f"{self._credentials.plugin}, which provides the credentials of context "
                    f"{self.context!r}, "
                    "has not printed any yet",
                    hint=f"wait for it; to see what it does: kubectl --context {self.context} auth whoami",
                ) from error
            raise self._outage(error) from error
        except Exception as error:
            found = self._outage(error)
            if found is error:
                raise
            raise found from error

    def _outage(self, error: Exception) -> Exception:
        return outage(error, self._way, has_answered=self._has_answered) or error

    async def _send_once(self, request: Request, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        is_read_as_yaml = request.content_type == APPLY_PATCH
        content_type = f"{APPLY_PATCH}; charset=utf-8" if is_read_as_yaml else request.content_type
        headers = {"Accept": "application/json", "Content-Type": content_type, **request.headers}
        arguments = await self._api.param_serialize(
            request.method,
            with_query(request.path, request.query),
            header_params=headers,
            body=as_go_writes(request.body) if is_read_as_yaml else request.body,
            auth_settings=["BearerToken"],
        )
        await self._sessions.prepare(self._credentials.generation)
        answer = await self._api.call_api(*arguments, _request_timeout=limits)
        response: aiohttp.ClientResponse = answer.response
        return response


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Read an answer whole. Raises AnswerTooLargeError."""
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            response.close()
            raise AnswerTooLargeError(f"more than {ANSWER_BYTES_MAX // 2**20} MiB")
    return bytes(content)


def refusal(context: str, status: int, message: str) -> GitOpsRunError:
    """Make the error that a refusing answer means."""
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(message)
    if status == HTTPStatus.CONFLICT:
        return ConflictError(message)
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return RejectedError(message)
    if (
        status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.GONE}
        or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    ):
        kind = ExpiredError if status == HTTPStatus.GONE else TransientError
        return kind(
            f"the cluster of context {context!r} answered {status}: {message}",
            hint="check the API server's log",
        )
    is_denied = status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    return (DeniedError if is_denied else BackendError)(
        f"the cluster of context {context!r} refuses: {message}",
        hint=f"check who you are there: kubectl --context {context} auth whoami",
    )


@asynccontextmanager
async def connect(kubeconfig: str, context: str) -> AsyncIterator[Connection]:
    """Open a connection to one context.

    Raises UsageError where the kubeconfig can't be used, BackendError where its plugin gives no credentials.
    """
    configuration = Configuration()
    configuration.disable_strict_ssl_verification = True  # like kubectl: private authorities are often plain
    credentials = Credentials(kubeconfig, context, configuration)
    try:
        await credentials.load()
        way = Way(
            context=context,
            kubeconfig=kubeconfig,
            server=configuration.host,
            proxy=configuration.proxy or "",
        )
        try:
            api = ApiClient(configuration)
        except OSError as error:  # ssl.SSLError is one
            raise UsageError(
                f"the certificates of context {context!r} in {kubeconfig} can't be used",
                hint="check certificate-authority, client-certificate and client-key: each must be PEM",
            ) from error
        connection = Connection(api, credentials, way)
        try:
            yield connection
        finally:
            with anyio.CancelScope(shield=True):  # a caller that is cancelled closes its connections too
                await connection.close()
                await api.close()
                await anyio.lowlevel.checkpoint()  # asyncio closes transports in its next turn
    finally:
        await credentials.close()
