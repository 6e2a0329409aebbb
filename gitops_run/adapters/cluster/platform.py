"""The state of a cluster's platform: its Flux, its other objects, and its users. Changes nothing.

This module knows the paths of these kinds, and that a reader may be allowed some of them only: the rest is
named, never guessed. Sources: Kubernetes' apiextensions and admissionregistration v1, Flux 2.9's install
manifests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import anyio

from gitops_run.adapters.cluster.connection import Connection, Json, connect
from gitops_run.adapters.cluster.discovery import served_kinds
from gitops_run.adapters.cluster.paths import (
    KUSTOMIZATIONS,
    RBAC,
    RELEASES,
    SOURCES,
    deployments_path,
    namespace_path,
    path_of,
    plural_of,
    version_path,
)
from gitops_run.adapters.cluster.remains import remove_leftovers
from gitops_run.adapters.machine.kubeconfig import read_kubeconfig
from gitops_run.errors import BackendError, NotFound, TransientError
from gitops_run.model.names import SESSION_LABEL
from gitops_run.model.platform.admission import POLICY_GROUP
from gitops_run.model.platform.facts import Component, PlatformFacts
from gitops_run.model.platform.flux_install import PLATFORM_LABEL, VERSION_LABEL
from gitops_run.model.platform.objects import MAKER_ROLE, POLICY_NAMES, VIEWER_ROLE
from gitops_run.model.platform.platform import NEEDED_KINDS
from gitops_run.model.rights.access import FLUX_HELM_GROUP, FLUX_KUSTOMIZE_GROUP, FLUX_SOURCE_GROUP
from gitops_run.model.rights.lockdown import COMPONENTS
from gitops_run.model.stack.events import PendingObject

ANSWER_WITHIN_S: Final = 15.0
"""Some thirty questions, and each that is refused is asked again."""
_TRIES: Final = 8
_PAUSE_S: Final = 0.25
_PART_OF_FLUX: Final = {"labelSelector": "app.kubernetes.io/part-of=flux"}
_EXTENSIONS: Final = "apiextensions.k8s.io/v1"
_DEFINITIONS: Final = (
    f"buckets.{FLUX_SOURCE_GROUP}",
    f"kustomizations.{FLUX_KUSTOMIZE_GROUP}",
    f"helmreleases.{FLUX_HELM_GROUP}",
)
_ADMISSION: Final = f"{POLICY_GROUP}/v1"
_POLICIES: Final = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
_USES: Final = (
    (SOURCES, "gitrepositories", "GitRepository"),
    (SOURCES, "ocirepositories", "OCIRepository"),
    (SOURCES, "helmrepositories", "HelmRepository"),
    (SOURCES, "buckets", "Bucket"),
    (KUSTOMIZATIONS, "kustomizations", "Kustomization"),
    (RELEASES, "helmreleases", "HelmRelease"),
)


class PlatformCluster:
    """Ask one cluster about its platform, and clean it of what a killed run has left."""

    def __init__(self, kubeconfig: str, context: str) -> None:
        self._kubeconfig = kubeconfig
        self._context = context

    async def facts(self) -> PlatformFacts:
        """Ask for everything at once. Raises UsageError on a context that isn't there, BackendError."""
        read_kubeconfig(self._kubeconfig).require(self._context)
        try:
            async with connect(self._kubeconfig, self._context) as connection:
                with anyio.fail_after(ANSWER_WITHIN_S):
                    return await _Reader(connection).read()
        except TimeoutError as error:
            raise TransientError(
                f"the cluster of context {self._context!r} did not answer within {ANSWER_WITHIN_S:.0f} s",
                hint="check that it runs and that this machine reaches it",
            ) from error

    async def remove(self, stack: str, leftovers: Sequence[PendingObject]) -> None:
        """Delete what a killed run may have made. Raises GuardError on what isn't the stack's."""
        async with connect(self._kubeconfig, self._context) as connection:
            await remove_leftovers(connection, (PLATFORM_LABEL, stack), leftovers)


class _Reader:
    """Read a cluster, and note what may not be read."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._unread: list[str] = []

    async def read(self) -> PlatformFacts:
        """Read everything at once, as far as it may be read."""
        system, namespaces, crds, controllers, uses = await asyncio.gather(
            self._get("Namespace kube-system", namespace_path("kube-system")),
            self._list("Namespaces", namespace_path(), _PART_OF_FLUX),
            self._definitions(),
            self._controllers(),
            self._uses(),
        )
        kinds, bounds, roles, admission = await asyncio.gather(
            self._kinds(), self._policies(), self._roles(), self._get(POLICY_GROUP, version_path(_ADMISSION))
        )
        ours = [*crds, *controllers]
        labelled = (*ours, *bounds.values(), *roles)
        sessions, others = uses
        return PlatformFacts(
            uid=system.get("metadata", {}).get("uid", ""),
            version=_version([*namespaces, *ours]),
            kinds=kinds,
            components=tuple(_component(one) for one in controllers),
            flux_stack=next((stack for one in ours if (stack := _stack(one))), ""),
            stacks=tuple(sorted({stack for one in labelled if (stack := _stack(one))})),
            policy=tuple(bounds),
            roles=tuple(one["metadata"]["name"] for one in roles),
            sessions=sessions,
            others=others,
            unread=tuple(sorted(set(self._unread))),
            can_bound=served_kinds(admission).issuperset(_POLICIES),
        )

    async def _definitions(self) -> list[Json]:
        kind = "CustomResourceDefinitions"
        places = [path_of(_EXTENSIONS, kind.lower(), name=name) for name in _DEFINITIONS]
        found = await asyncio.gather(*(self._get(kind, path) for path in places))
        return [one for one in found if one]

    async def _controllers(self) -> list[Json]:
        """Find Flux's controllers by their names, in any namespace: labels differ by who installed it."""
        named = [{"fieldSelector": f"metadata.name={name}"} for name in COMPONENTS]
        path = deployments_path()
        listings = await asyncio.gather(*(self._list("Deployments", path, query) for query in named))
        return [one for listing in listings for one in listing]

    async def _kinds(self) -> tuple[str, ...]:
        versions = [needed.split()[0] for needed in NEEDED_KINDS]
        listings = await asyncio.gather(*(self._get(version, version_path(version)) for version in versions))
        served = {
            f"{version} {kind}"
            for version, listing in zip(versions, listings, strict=True)
            for kind in served_kinds(listing)
        }
        return tuple(kind for kind in NEEDED_KINDS if kind in served)

    async def _policies(self) -> dict[str, Json]:
        """Read what there is of the admission policies, by kind and name."""
        places = {
            f"{kind} {name}": path_of(_ADMISSION, plural_of(kind), name=name)
            for name in POLICY_NAMES
            for kind in _POLICIES
        }
        found = await asyncio.gather(*(self._get(what, path) for what, path in places.items()))
        return {what: one for what, one in zip(places, found, strict=True) if one}

    async def _roles(self) -> list[Json]:
        names = (VIEWER_ROLE, MAKER_ROLE)
        found = await asyncio.gather(
            *(self._get(f"ClusterRole {name}", path_of(RBAC, "clusterroles", name=name)) for name in names)
        )
        return [one for one in found if one]

    async def _uses(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """List what uses Flux: the sessions, and the rest."""
        listings = await asyncio.gather(
            *(self._list(f"{kind} objects", path_of(version, plural)) for version, plural, kind in _USES)
        )
        sessions, others = set(), set()
        for (_, _, kind), listing in zip(_USES, listings, strict=True):
            for one in listing:
                metadata = one["metadata"]
                session = (metadata.get("labels") or {}).get(SESSION_LABEL)
                if session:
                    sessions.add(f"{metadata['namespace']}/{session}")
                else:
                    others.add(f"{kind} {metadata['namespace']}/{metadata['name']}")
        return tuple(sorted(sessions)), tuple(sorted(others))

    async def _list(self, what: str, path: str, query: Mapping[str, str] | None = None) -> list[Json]:
        items: list[Json] = (await self._get(what, path, query)).get("items", [])
        return items

    async def _get(self, what: str, path: str, query: Mapping[str, str] | None = None) -> Json:
        """Get what may be absent: nothing then. What may not be read is noted."""
        try:
            return await self._get_when_ready(path, query)
        except TransientError:
            raise
        except NotFound:
            return {}
        except BackendError:
            self._unread.append(what)
            return {}

    async def _get_when_ready(self, path: str, query: Mapping[str, str] | None) -> Json:
        """Get again for a moment: a kind that has just been made is "storage is (re)initializing" first."""
        for _ in range(_TRIES):
            try:
                return await self._connection.get(path, query)
            except TransientError:
                await anyio.sleep(_PAUSE_S)
        return await self._connection.get(path, query)


def _component(deployment: Json) -> Component:
    container: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return Component(
        name=deployment["metadata"]["name"],
        namespace=deployment["metadata"]["namespace"],
        image=container.get("image", ""),
        ready=(deployment.get("status") or {}).get("readyReplicas", 0),
        wanted=deployment["spec"].get("replicas", 1),
        arguments=tuple(container.get("args") or ()),
    )


def _version(objects: Sequence[Json]) -> str:
    """Read the version from the first label that has it."""
    versions = ((one["metadata"].get("labels") or {}).get(VERSION_LABEL, "") for one in objects)
    return str(next((version for version in versions if version), ""))


def _stack(live: Json) -> str:
    return str((live["metadata"].get("labels") or {}).get(PLATFORM_LABEL, ""))
