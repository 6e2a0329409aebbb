"""What it means that an API server could not be asked, or refuses: from aiohttp's errors to ours.

This module knows the client's errors and what helps a person. It holds no connection.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies

import aiohttp

from gitops_run.errors import BackendError, DeniedError, GitOpsRunError, TransientError

_NO_ISSUER: Final = frozenset({2, 18, 19, 20, 21})
"""OpenSSL's codes for a certificate whose authority isn't known, or that is its own."""
_PROXIES: Final = frozenset({"", "http", "https"})
_EXPIRED: Final = frozenset({9, 10})
_OTHER_NAME: Final = frozenset({62, 64})


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Name the way to a cluster. proxy: its URL, "" for none that the kubeconfig names."""

    context: str
    kubeconfig: str = ""
    server: str = ""
    proxy: str = ""

    @property
    def host(self) -> str:
        """Name the host of the API server."""
        return urlsplit(self.server).hostname or self.server

    @property
    def shown_proxy(self) -> str:
        """Name the proxy, without a password: the kubeconfig's, or the environment's."""
        url = urlsplit(self.proxy or getproxies().get(urlsplit(self.server).scheme, ""))
        return f"{url.hostname}:{url.port}" if url.port else url.hostname or "in between"


class AnswerTooLargeError(Exception):
    """Report an answer that was not read to its end."""


def outage(error: Exception, way: Way, *, has_answered: bool) -> BackendError | None:
    """Explain why a cluster could not be asked; None for an error that is none of the network's.

    A fault that a person must fix is retried too, and proves nothing about what is in the cluster. Only
    a certificate that was never trusted is final: something answers there, so that nobody waits for it, and
    nobody takes the cluster for gone.
    """
    found = _cause(error, way)
    if found is None:
        return None
    is_final = isinstance(error, aiohttp.ClientConnectorCertificateError) and not has_answered
    kind = BackendError if is_final else TransientError
    return kind(found[0], hint=found[1])


_REACH: Final = "check that it runs and that this machine reaches it"
_NO_NETWORK: Final = (aiohttp.ClientError, OSError, json.JSONDecodeError, RecursionError)


def _cause(error: Exception, way: Way) -> tuple[str, str] | None:
    """Return message and hint."""
    cluster, found = f"the cluster of context {way.context!r}", None
    match error:
        case AnswerTooLargeError():
            message = f"{cluster} returns far more data than expected: {error}"
            found = message, "check whether an API server runs there"
        case aiohttp.ClientConnectorCertificateError():
            found = _untrusted(error.certificate_error, way)
        case aiohttp.ClientHttpProxyError():
            found = _refused_by_proxy(error, way)
        case aiohttp.ClientConnectorError():
            found = _unconnected(error, way)
        case TimeoutError():
            found = f"{cluster} can't be reached: no answer in time", _REACH
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | ConnectionError():
            found = f"the connection to {cluster} was cut: {_reason(error)}", "check the network"
        case _ if isinstance(error, _NO_NETWORK):
            found = f"{cluster} can't be reached: {_reason(error)}", _REACH
    return found


def _unconnected(error: aiohttp.ClientConnectorError, way: Way) -> tuple[str, str]:
    if isinstance(error, aiohttp.ClientSSLError):
        message = f"no TLS connection can be negotiated with {way.server}: {_reason(error.os_error)}"
        return message, "check the server of that context: is it an API server's https address?"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        message = f"the proxy {way.shown_proxy} can't be reached: {_reason(error.os_error)}"
        return message, "check proxy-url of that cluster in the kubeconfig, or HTTPS_PROXY"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the host {way.host} of context {way.context!r} can't be found", _REACH
    return f"the cluster of context {way.context!r} can't be reached: {_reason(error.os_error)}", _REACH


def _untrusted(error: Exception, way: Way) -> tuple[str, str]:
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else 0
    reason = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else str(error)
    if code in _NO_ISSUER:
        return (
            f"the certificate of {way.server} is by an authority unknown to context {way.context!r}",
            f"set certificate-authority of that cluster in {way.kubeconfig}; a proxy may need its own there",
        )
    if code in _EXPIRED:
        return (
            f"the certificate of {way.server} is not valid at this time: {reason}",
            "check this machine's clock, or renew that certificate",
        )
    if code in _OTHER_NAME:
        return (
            f"the certificate of {way.server} is valid for another name: {reason}",
            f"set tls-server-name of that cluster in {way.kubeconfig} to a name in the certificate",
        )
    return (
        f"the certificate of {way.server} is not trusted: {reason}",
        f"check that cluster in {way.kubeconfig}",
    )


def _refused_by_proxy(error: aiohttp.ClientHttpProxyError, way: Way) -> tuple[str, str]:
    proxy = f"the proxy {way.shown_proxy}"
    if error.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return (
            f"{proxy} requires authentication (407)",
            "put the credentials into proxy-url or HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT",
        )
    if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return (
            f"{proxy} refuses to connect to {way.host} ({error.status} {error.message})",
            f"allow the host there, or bypass the proxy: NO_PROXY={way.host}",
        )
    return (
        f"{proxy} can't reach {way.host} ({error.status} {error.message})",
        "check that the cluster runs and that the proxy reaches it",
    )


def unauthorized(way: Way, *, has_answered: bool, plugin: str = "") -> GitOpsRunError:
    """Report that an API server doesn't take these credentials. plugin: the program that got them."""
    source = f"which {plugin} got" if plugin else f"of {way.kubeconfig}"
    kind = TransientError if has_answered else DeniedError
    return kind(
        f"the cluster of context {way.context!r} rejects the credentials {source}: "
        "they have expired, or were revoked",
        hint=f"log in again; then this must work: kubectl --context {way.context} auth whoami",
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def message_of(text: bytes) -> str:
    """Read the message of a refusal."""
    try:
        return str(json.loads(text).get("message", ""))
    except (ValueError, AttributeError, RecursionError):
        return text.decode("utf-8", "replace")[:200]


def proxy_problem(url: str) -> str:
    """Explain why a proxy can't be used; "" where it can, or there is none."""
    scheme = urlsplit(url).scheme
    return f"its proxy-url is {scheme}://, and only http and https work" if scheme not in _PROXIES else ""
