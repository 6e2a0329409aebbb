"""HTTPS to the sandbox's own servers: is a part healthy, and apply and read a few objects.

The standard library's client is enough for the dozen requests of a start, and importing it takes a
tenth of the time of a Kubernetes client.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from gitops_run.errors import SandboxError
from gitops_run.sandbox.certificates import Pair
from gitops_run.sandbox.part import Part
from gitops_run.sandbox.state import Sandbox

_PROBE_TIMEOUT_S = 2.0
_REQUEST_TIMEOUT_S = 30.0
_COLLECTIONS = {
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
}
FIELD_MANAGER = "gitops-run-sandbox"


def is_healthy(part: Part) -> bool:
    """Ask a part once. A server that doesn't answer, or answers anything but 200, is not healthy."""
    url = urlsplit(part.health)
    if url.scheme == "unix":
        return _is_listening(url.path)
    try:
        with closing(_connection(part.health, part.authority, part.identity, _PROBE_TIMEOUT_S)) as connection:
            connection.request("GET", url.path)
            return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


def _is_listening(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_PROBE_TIMEOUT_S)
        return client.connect_ex(path) == 0


class ApiServer:
    """Talk to the sandbox's API server as its administrator."""

    def __init__(self, sandbox: Sandbox) -> None:
        pki = sandbox.folder / "pki"
        self._server = sandbox.server
        self._authority = sandbox.ca
        self._identity = Pair(certificate=pki / "admin.crt", key=pki / "admin.key")

    def apply(self, objects: Iterable[Mapping[str, Any]]) -> None:
        """Apply objects on one connection, by server-side apply, their status as well where they have one."""
        with closing(self._connect()) as connection:
            for body in objects:
                collection = _COLLECTIONS[body["kind"]].format_map(body["metadata"])
                path = f"{collection}/{body['metadata']['name']}"
                options = f"?fieldManager={FIELD_MANAGER}&force=true"
                self._send(connection, path + options, body)
                if body["kind"] == "Node":
                    self._send(connection, f"{path}/status{options}", body)

    def get(self, path: str) -> dict[str, Any]:
        """Read an object or a list. Raises SandboxError unless the answer is 200."""
        with closing(self._connect()) as connection:
            connection.request("GET", path)
            return _answer(connection, f"GET {path}")

    def serves(self, definition: Mapping[str, Any]) -> bool:
        """Report whether a CustomResourceDefinition's served versions can be discovered by now."""
        spec = definition["spec"]
        served = [version["name"] for version in spec["versions"] if version["served"]]
        with closing(self._connect()) as connection:
            for version in served:
                connection.request("GET", f"/apis/{spec['group']}/{version}")
                response = connection.getresponse()
                text = response.read()
                if response.status != http.client.OK:
                    return False
                names = [resource["name"] for resource in json.loads(text)["resources"]]
                if spec["names"]["plural"] not in names:
                    return False
        return True

    def is_ok(self, path: str) -> bool:
        """Report whether the answer is 200, whatever it says."""
        with closing(self._connect()) as connection:
            connection.request("GET", path)
            return connection.getresponse().status == http.client.OK

    def _connect(self) -> http.client.HTTPConnection:
        return _connection(self._server, self._authority, self._identity, _REQUEST_TIMEOUT_S)

    @staticmethod
    def _send(connection: http.client.HTTPConnection, path: str, body: Mapping[str, Any]) -> None:
        headers = {"Content-Type": "application/apply-patch+yaml"}
        connection.request("PATCH", path, body=json.dumps(body), headers=headers)
        _answer(connection, f"applying {body['kind']} {body['metadata']['name']}")


def _answer(connection: http.client.HTTPConnection, request: str) -> dict[str, Any]:
    response = connection.getresponse()
    text = response.read()
    if response.status not in (http.client.OK, http.client.CREATED):
        raise SandboxError(f"{request}: the API server answered {response.status}: {text.decode()[:500]}")
    answer: dict[str, Any] = json.loads(text)
    return answer


def _connection(
    address: str, authority: object, identity: Pair | None, timeout: float
) -> http.client.HTTPConnection:
    url = urlsplit(address)
    if url.scheme == "http":
        return http.client.HTTPConnection(str(url.hostname), url.port, timeout=timeout)
    context = ssl.create_default_context(cafile=str(authority))
    if identity is not None:
        context.load_cert_chain(identity.certificate, identity.key)
    return http.client.HTTPSConnection(str(url.hostname), url.port, timeout=timeout, context=context)
