"""Why a cluster can't be reached, in words of its own for each cause.

Knows what aiohttp and ssl raise. A certificate that isn't trusted is told from a cluster that isn't there:
only the latter is mended by starting something.
"""

from __future__ import annotations

import ssl

import aiohttp

from gitops_run.errors import TransientError

_RUNS = "check that it runs and that this machine reaches it"


def unreached(context: str, kubeconfig: str, error: BaseException) -> TransientError:
    """Make the error of a request that got no answer. All of these may pass: a network can be in the way."""
    place = f"the cluster of context {context!r}"
    match error:
        case aiohttp.ClientConnectorCertificateError():
            reason = _reason(error.certificate_error)
            return TransientError(
                f"{place} is reached, but its certificate is not trusted: {reason}",
                hint=f"check server and certificate-authority of its cluster in {kubeconfig}, and what lies "
                "between: a proxy, or a login page of the network",
            )
        case aiohttp.ClientConnectorSSLError() | aiohttp.ClientConnectorDNSError() | ssl.SSLError():
            return _of_address(place, kubeconfig, error)
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return TransientError(
                f"the proxy before {place} can't be used: {_reason(error)}",
                hint=f"check proxy-url of its cluster in {kubeconfig}, HTTPS_PROXY and NO_PROXY",
            )
        case aiohttp.ClientConnectorError():
            address = f"{error.host}:{error.port}"
            return TransientError(f"{place} can't be reached at {address}: {_reason(error)}", hint=_RUNS)
        case aiohttp.ClientOSError() if isinstance(error.__cause__, ssl.SSLError):
            return _of_address(place, kubeconfig, error.__cause__)
    return TransientError(f"{place} can't be reached: {_reason(error)}", hint=_RUNS)


def _of_address(place: str, kubeconfig: str, error: BaseException) -> TransientError:
    """Make the error of a server's address that can't be right."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return TransientError(
            f"{place} can't be reached: the name {error.host} can't be resolved",
            hint=f"check the network, and server of its cluster in {kubeconfig}",
        )
    return TransientError(
        f"{place} is reached, but not by TLS: {_reason(error)}",
        hint=f"check server of its cluster in {kubeconfig}, and what lies between",
    )


def _reason(error: BaseException) -> str:
    """Say why, without the name of a library's class or its source line."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    if isinstance(cause, ssl.SSLError):
        return (cause.reason or str(cause)).replace("_", " ").lower()
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"it answered {error.status} {error.message}"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(error) or "no answer in time"
