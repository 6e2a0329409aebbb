"""What a chart can see of its cluster: its version, its kinds, and the release that is there."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from gitops_run.adapters.cluster.connection import Connection, Json, refusal
from gitops_run.adapters.cluster.paths import chart_path, release_path
from gitops_run.adapters.cluster.request import Request
from gitops_run.model.charts.capabilities import Capabilities
from gitops_run.model.flux.helm_release import ReleaseFacts, to_release_facts
from gitops_run.model.names import chart_name

_AGGREGATED: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class ClusterCharts:
    """Look at one session's release."""

    def __init__(self, connection: Connection, namespace: str, name: str) -> None:
        self._connection = connection
        self._release_path = release_path(namespace, name)
        self._chart_path = chart_path(namespace, chart_name(namespace, name))
        self._kube_version = ""

    async def facts(self) -> ReleaseFacts:
        """Read the HelmRelease and its HelmChart, which isn't there at first."""
        release = await self._connection.find(self._release_path)
        return to_release_facts(release, await self._connection.find(self._chart_path))

    async def capabilities(self, *, has_kinds: bool) -> Capabilities:
        """Ask for the version once, and for the kinds each time, since they come and go."""
        if not self._kube_version:
            self._kube_version = str((await self._connection.get("/version"))["gitVersion"])
        found: set[str] = set()
        for path in ("/api", "/apis") if has_kinds else ():
            found |= to_api_versions(await self._discovered(path))
        return Capabilities(kube_version=self._kube_version, api_versions=tuple(sorted(found)))

    async def _discovered(self, path: str) -> Json:
        request = Request(method="GET", path=path, headers={"Accept": _AGGREGATED})
        status, answer = await self._connection.ask(request)
        if status >= HTTPStatus.BAD_REQUEST:
            raise refusal(self._connection.context, status, str(answer.get("message") or "no reason given"))
        return answer


def to_api_versions(listing: Json) -> set[str]:
    """Read aggregated discovery as Helm reads it: each version, and each kind with its version."""
    found = set()
    for group in listing.get("items") or ():
        name = str((group.get("metadata") or {}).get("name") or "")
        for version in group.get("versions") or ():
            written = f"{name}/{version['version']}" if name else str(version["version"])
            found.add(written)
            found |= {f"{written}/{kind}" for kind in _kinds(version)}
    return found


def _kinds(version: Json) -> set[str]:
    resources = version.get("resources") or ()
    entries = [entry for one in resources for entry in (one, *(one.get("subresources") or ()))]
    return {str(kind) for entry in entries if (kind := (entry.get("responseKind") or {}).get("kind"))}
