"""The cluster's REST API: requests, watches, and what the cluster says of its custom resources.

The only module of the plugin that knows the Kubernetes client, which it imports when first needed
(0.5 s, of which the engine waits for none at the plugin's start). Objects travel as plain JSON.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from urllib3 import Retry, Timeout
from urllib3.exceptions import HTTPError
from urllib3.util import make_headers

from gitops_run.errors import BackendError, UsageError
from gitops_run.sandbox.kubernetes_plugin.kinds import Kind, KindName, Place, known
from gitops_run.sandbox.kubernetes_plugin.objects import metadata
from gitops_run.sandbox.kubernetes_plugin.options import Options, load_kubeconfig
from gitops_run.sandbox.kubernetes_plugin.values import Object

APPLY_PATCH = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
_CONNECT_TIMEOUT_S = 5.0
_READ_TIMEOUT_S = 60.0
# A watch is renewed this often, which is how soon a cancelled operation ends.
_WATCH_S = 2
_POOL_SIZE = 32
# A connection that broke is tried again, a server that doesn't take any isn't.
_RETRIES = Retry(total=3, connect=0, redirect=0)


class ApiError(BackendError):
    """Report what the API server refused, by its code and reason."""

    def __init__(self, message: str, *, code: int, reason: str = "", kind: str = "") -> None:
        """code: the HTTP status. reason, kind: of the Status object, such as NotFound and namespaces."""
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.kind = kind


class Unreachable(BackendError):
    """Report a cluster that doesn't answer, or a kubeconfig that leads to none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to the API server; body: as JSON, None for none."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"


class Api:
    """One cluster, as one user."""

    def __init__(self, client: Any) -> None:
        """client: a kubernetes.client.ApiClient."""
        self._client = client
        self._custom: dict[KindName, Kind] = {}

    def send(self, request: Request) -> Object:
        """Send a request and return the object of the answer.

        Raises ApiError where the server refuses, Unreachable where none answers.
        """
        response = self._open(request, _READ_TIMEOUT_S)
        answer = _parse(response.data)
        if not 200 <= response.status < 300:
            raise _error(response.status, answer)
        return answer

    def get(self, place: Place) -> Object:
        """Read one object."""
        return self.send(Request(method="GET", path=place.path))

    def find(self, name: KindName) -> Kind | None:
        """Find a kind; None for a custom one that the cluster doesn't have."""
        return known(name) or self._custom.get(name) or self._discover(name)

    def _discover(self, name: KindName) -> Kind | None:
        try:
            listing = self.send(Request(method="GET", path=f"/apis/{name.api_version}"))
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        for entry in listing.get("resources", []):
            if entry["kind"] == name.name and "/" not in entry["name"]:
                kind = Kind(
                    api_version=name.api_version,
                    name=name.name,
                    plural=entry["name"],
                    namespaced=entry["namespaced"],
                )
                self._custom[name] = kind
                return kind
        return None

    def follow(
        self, place: Place, start: Object | None, *, until: float, cancelled: threading.Event
    ) -> Iterator[Object | None]:
        """Yield an object as it changes, and None where it is gone or not there yet.

        start: the object as it was last seen, which is yielded first; None to read it. until: when to
        stop, by time.monotonic(). Yields the last again where nothing happens for two seconds.
        """
        live = start if start is not None else self._get_or_none(place)
        version = _version(live)
        while True:
            yield live
            if cancelled.is_set() or time.monotonic() >= until:
                return
            try:
                for event in self._watch(place, version):
                    if event["type"] == "ERROR":
                        live = self._get_or_none(place)
                        version = _version(live)
                        break
                    live = None if event["type"] == "DELETED" else event["object"]
                    version = _version(event["object"])
                    yield live
            except Unreachable:
                cancelled.wait(_WATCH_S)

    def _get_or_none(self, place: Place) -> Object | None:
        try:
            return self.get(place)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def _watch(self, place: Place, version: str) -> Iterator[Object]:
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={place.name}",
            "timeoutSeconds": str(_WATCH_S),
            "resourceVersion": version,
        }
        request = Request(method="GET", path=place.collection, query=query)
        response = self._open(request, _WATCH_S + _READ_TIMEOUT_S)
        try:
            if response.status != 200:
                raise _error(response.status, _parse(response.data))
            buffered = b""
            for chunk in response.stream():
                *lines, buffered = (buffered + chunk).split(b"\n")
                yield from (json.loads(line) for line in lines if line)
        except HTTPError as error:
            raise self._unreachable() from error
        finally:
            response.close()

    def _open(self, request: Request, read_timeout_s: float) -> Any:
        headers = {"Accept": "application/json", "User-Agent": "gitops-run"}
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        path = f"{request.path}?{urlencode(request.query)}" if request.query else request.path
        _, url, headers, _, _ = self._client.param_serialize(
            request.method, path, header_params=headers, auth_settings=["BearerToken"]
        )
        try:
            return self._client.rest_client.pool_manager.request(
                request.method,
                url,
                # An apply is read as YAML, which has no surrogate pairs.
                body=None if request.body is None else json.dumps(request.body, ensure_ascii=False).encode(),
                headers=headers,
                timeout=Timeout(connect=_CONNECT_TIMEOUT_S, read=read_timeout_s),
                retries=_RETRIES,
                preload_content=False,
            )
        except HTTPError as error:
            raise self._unreachable() from error

    def _unreachable(self) -> Unreachable:
        return Unreachable(f"the cluster at {self._client.configuration.host} does not answer")


def connect(options: Options) -> Api:
    """Make a client for the cluster that the provider is configured for; sends nothing yet."""
    from kubernetes import client, config  # noqa: PLC0415  500 ms

    configuration = client.Configuration()
    text = options.kubeconfig_text()
    path = options.kubeconfig_path()
    context = options.context or None
    try:
        if text is not None:
            config.load_kube_config_from_dict(
                dict(load_kubeconfig(options)), context=context, client_configuration=configuration
            )
        else:
            config.load_kube_config(
                config_file=None if path is None else str(path),
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
    except config.ConfigException as error:
        raise UsageError(
            f"the provider's kubeconfig has no usable context {options.context or '(the current one)'}",
            hint="check the provider's kubeconfig and context",
        ) from error
    configuration.connection_pool_maxsize = _POOL_SIZE
    configuration.disable_strict_ssl_verification = True  # like client-go
    if credentials := urlsplit(configuration.proxy or "").username:
        password = urlsplit(configuration.proxy).password or ""
        known = f"{unquote(credentials)}:{unquote(password)}"
        configuration.proxy_headers = make_headers(proxy_basic_auth=known)
    return Api(client.ApiClient(configuration))


def _parse(content: bytes) -> Object:
    try:
        answer = json.loads(content)
    except ValueError:
        return {"message": content.decode(errors="replace").strip()}
    return answer if isinstance(answer, dict) else {}


def _error(code: int, status: Mapping[str, Any]) -> ApiError:
    return ApiError(
        str(status.get("message") or f"the API server answered {code}"),
        code=code,
        reason=str(status.get("reason") or ""),
        kind=str((status.get("details") or {}).get("kind") or ""),
    )


def _version(live: Object | None) -> str:
    return str(metadata(live or {}).get("resourceVersion", ""))
