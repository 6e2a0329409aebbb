"""What a cluster would tell a chart, given."""

from __future__ import annotations

from dataclasses import dataclass, field

from gitops_run.adapters.cluster.discovery import Discovery
from gitops_run.model.charts.capabilities import Capabilities
from gitops_run.model.flux.helm_release import ReleaseFacts
from gitops_run.model.objects.identity import ObjectRef, Resource


@dataclass
class KnownRelease:
    """A cluster of one version with these kinds, and what it has of one release."""

    release: ReleaseFacts = field(default_factory=ReleaseFacts)
    api_versions: tuple[str, ...] = ("v1", "v1/ConfigMap")
    kube_version: str = "v1.36.2"

    async def facts(self) -> ReleaseFacts:
        return self.release

    async def capabilities(self, *, has_kinds: bool) -> Capabilities:
        found = self.api_versions if has_kinds else ()
        return Capabilities(kube_version=self.kube_version, api_versions=found)


class KnownDiscovery(Discovery):
    """A cluster with kinds of both scopes, and no others."""

    def __init__(self) -> None:
        """Know everything already."""

    async def find(self, ref: ObjectRef) -> Resource | None:
        scopes = {"ConfigMap": True, "Deployment": True, "ClusterRole": False}
        if ref.kind not in scopes:
            return None
        return Resource(plural=f"{ref.kind.lower()}s", is_namespaced=scopes[ref.kind])
