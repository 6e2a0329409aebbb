"""One connection to one context of one kubeconfig, whatever happens to be current.

Knows requests, watches and how the API server's answers map to our errors. Knows no kind of object. Uses
the kubernetes client for what kubeconfigs can hold (certificates, tokens, exec plugins) and for HTTP, not
its generated classes: they would cost a second of imports for each command.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import anyio
from kubernetes.aio import client, config
from kubernetes.aio.config.config_exception import ConfigException

from gitops_run.errors import BackendError, GitOpsRunError, NotFound, TransientError, UsageError

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


class RejectedError(BackendError):
    """Report that the API server finds a request wrong (422): a failed test of a JSON patch, say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request whose refusal is an answer too. query: with the path. headers: beyond the usual ones."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: object = field(default=None, repr=False)
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Connection:
    """Ask one cluster. Made by `connect`."""

    def __init__(self, api: client.ApiClient, kubeconfig: str, context: str) -> None:
        self._api = api
        self._kubeconfig = kubeconfig
        self.context = context

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        """Get one object, or a list."""
        return await self._request("GET", _with_query(path, query))

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
        with _translated(self.context), anyio.fail_after(REQUEST_S):
            limits = aiohttp.ClientTimeout(total=REQUEST_S)
            response = await self._send("GET", _with_query(path, query), None, "application/json", limits)
            return (await _read(response)).decode("utf-8", "replace")

    async def create(self, path: str, body: Json) -> Json:
        """Create an object in the collection at path. Raises ConflictError where it exists."""
        return await self._request("POST", path, body)

    async def replace(self, path: str, body: Json) -> Json:
        """Replace an object. Raises ConflictError where its resourceVersion is not the current one."""
        return await self._request("PUT", path, body)

    async def patch(self, path: str, body: Json | list[Json], content_type: str = MERGE_PATCH) -> Json:
        """Patch an object. Raises RejectedError where a JSON patch's test fails."""
        return await self._request(
            "PATCH", _with_query(path, {"fieldManager": FIELD_MANAGER}), body, content_type
        )

    async def delete(self, path: str) -> None:
        """Delete an object. Raises NotFound where there is none."""
        await self._request("DELETE", path)

    async def ask(self, request: Request) -> tuple[int, Json]:
        """Send a request and return status and answer, a refusal's too. Raises TransientError only."""
        with _translated(self.context), anyio.fail_after(REQUEST_S):
            limits = aiohttp.ClientTimeout(total=REQUEST_S)
            response = await self._send_fresh(request, limits)
            text = await _read(response)
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        if isinstance(answer, dict):
            return response.status, answer
        return response.status, {"message": _message(text) or str(response.reason)}

    async def watch(self, path: str, query: Mapping[str, str]) -> AsyncIterator[tuple[str, Json]]:
        """Yield (type, object) from a collection until the server ends the watch.

        query: with the resourceVersion of a list, so that nothing between is missed.
        """
        full = {**query, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_S)}
        with _translated(self.context):
            limits = aiohttp.ClientTimeout(total=WATCH_S + 30, sock_read=SILENCE_S)
            response = await self._send("GET", _with_query(path, full), None, "application/json", limits)
            try:
                rest = b""
                async for chunk in response.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    if len(rest) > EVENT_BYTES_MAX:
                        raise _AnswerTooLargeError("an event of a watch has no end")
                    for line in lines:
                        event = json.loads(line)
                        yield event["type"], event["object"]
            finally:
                response.close()

    async def websocket(
        self, path: str, query: Mapping[str, str], protocol: str
    ) -> aiohttp.ClientWebSocketResponse:
        """Open a websocket of a subprotocol. The caller closes it.

        Without a heartbeat: the other end answers a ping only when it has taken what was sent before it.
        """
        with _translated(self.context), anyio.fail_after(REQUEST_S):
            try:
                return await self._open_websocket(_with_query(path, query), protocol)
            except aiohttp.WSServerHandshakeError as error:
                if error.status == HTTPStatus.UNAUTHORIZED:
                    await _read_kubeconfig(self._kubeconfig, self.context, self._api.configuration)
                elif error.status == HTTPStatus.FORBIDDEN:
                    await self._refuse_starting(aiohttp.ClientTimeout(total=REQUEST_S))
                else:
                    raise refusal(self.context, error.status, error.message) from error
            try:
                return await self._open_websocket(_with_query(path, query), protocol)
            except aiohttp.WSServerHandshakeError as error:
                raise refusal(self.context, error.status, error.message) from error

    async def _open_websocket(self, path: str, protocol: str) -> aiohttp.ClientWebSocketResponse:
        """Open a websocket with the client's own TLS and credentials, as its own ws_client does."""
        _, url, headers, *_ = await self._api.param_serialize("GET", path, auth_settings=["BearerToken"])
        rest = self._api.rest_client
        if rest.pool_manager is None:
            rest.pool_manager = rest._create_pool_manager()  # noqa: SLF001 - nothing public makes it
        session: aiohttp.ClientSession = rest.pool_manager
        return await session.ws_connect(
            url,
            headers=headers,
            protocols=(protocol,),
            proxy=rest.proxy,
            proxy_headers=rest.proxy_headers,
            timeout=aiohttp.ClientWSTimeout(ws_close=WEBSOCKET_CLOSE_S),
            max_msg_size=FRAME_BYTES_MAX,
        )

    async def _request(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> Json:
        with _translated(self.context), anyio.fail_after(REQUEST_S):
            limits = aiohttp.ClientTimeout(total=REQUEST_S)
            response = await self._send(method, path, body, content_type, limits)
            answer: Json = json.loads(await _read(response))
            return answer

    async def _send(
        self, method: str, path: str, body: object, content_type: str, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """Send a request. Raises what a refusal means."""
        request = Request(method=method, path=path, body=body, content_type=content_type)
        response = await self._send_fresh(request, limits)
        if response.status >= HTTPStatus.BAD_REQUEST:
            text = await _read(response)
            raise refusal(self.context, response.status, _message(text) or str(response.reason))
        return response

    async def _send_fresh(self, request: Request, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """Send a request; once more with fresh credentials where the server doesn't know these any more."""
        response = await self._send_once(request, limits)
        if response.status == HTTPStatus.UNAUTHORIZED:
            response.close()
            await _read_kubeconfig(self._kubeconfig, self.context, self._api.configuration)
            response = await self._send_once(request, limits)
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
                f"the API server of context {self.context!r} is starting", hint="nothing: it is tried again"
            )
        if response.status == HTTPStatus.FORBIDDEN:
            raise TransientError(
                f"the API server of context {self.context!r} doesn't even say whether it is ready",
                hint="it is starting, or this user may do nothing there: kubectl auth whoami",
            )

    async def _send_once(self, request: Request, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        is_read_as_yaml = request.content_type == APPLY_PATCH
        content_type = f"{APPLY_PATCH}; charset=utf-8" if is_read_as_yaml else request.content_type
        headers = {"Accept": "application/json", "Content-Type": content_type, **request.headers}
        arguments = await self._api.param_serialize(
            request.method,
            _with_query(request.path, request.query),
            header_params=headers,
            body=as_go_writes(request.body) if is_read_as_yaml else request.body,
            auth_settings=["BearerToken"],
        )
        answer = await self._api.call_api(*arguments, _request_timeout=limits)
        response: aiohttp.ClientResponse = answer.response
        return response


def as_go_writes(body: object) -> str:
    """Write JSON as Flux and Helm do: the API server reads an apply as YAML, which has no surrogate pairs.

    What is a line's end to YAML is escaped. Source: Go 1.26, encoding/json.
    """
    text = json.dumps(body, ensure_ascii=False)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


class _AnswerTooLargeError(Exception):
    """Report an answer that was not read to its end."""


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Read an answer whole. Raises _AnswerTooLargeError."""
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            response.close()
            raise _AnswerTooLargeError(f"more than {ANSWER_BYTES_MAX // 2**20} MiB")
    return bytes(content)


class _translated:  # noqa: N801 - reads as a statement
    """Turn what HTTP raises into our errors."""

    def __init__(self, context: str) -> None:
        self._context = context

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _AnswerTooLargeError):
            raise TransientError(
                f"the cluster of context {self._context!r} answers with far more than was asked for: {error}",
                hint="look at what answers there: is it an API server?",
            ) from error
        if isinstance(
            error, aiohttp.ClientError | TimeoutError | OSError | json.JSONDecodeError | RecursionError
        ):
            reason = str(error) or "no answer in time"
            raise TransientError(
                f"the cluster of context {self._context!r} can't be reached: {reason}",
                hint="check that it runs and that this machine reaches it",
            ) from error


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
        return TransientError(
            f"the cluster of context {context!r} answered {status}: {message}",
            hint="look at the API server's log",
        )
    return BackendError(
        f"the cluster of context {context!r} refuses: {message}",
        hint=f"check who you are there: kubectl --context {context} auth whoami",
    )


def _message(text: bytes) -> str:
    try:
        return str(json.loads(text).get("message", ""))
    except (ValueError, AttributeError, RecursionError):
        return text.decode("utf-8", "replace")[:200]


def _with_query(path: str, query: Mapping[str, str] | None) -> str:
    return f"{path}?{urlencode(query)}" if query else path


@asynccontextmanager
async def connect(kubeconfig: str, context: str) -> AsyncIterator[Connection]:
    """Open a connection to one context. Raises UsageError where the kubeconfig can't be used."""
    configuration = client.Configuration()
    await _read_kubeconfig(kubeconfig, context, configuration)
    async with client.ApiClient(configuration) as api:
        yield Connection(api, kubeconfig, context)


async def _read_kubeconfig(kubeconfig: str, context: str, configuration: client.Configuration) -> None:
    """Read the credentials of a context, by its exec plugin where it has one."""
    try:
        await config.load_kube_config(
            config_file=kubeconfig,
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
    except (ConfigException, OSError) as error:
        raise UsageError(
            f"context {context!r} of {kubeconfig} can't be used: {error}",
            hint="name another: --kubeconfig FILE --context NAME",
        ) from error
