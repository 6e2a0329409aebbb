"""Facts about a cluster before anything is created in it: its identity, the user, and its Flux.

This module knows which contexts a kubeconfig has, the API server's word on who a user is, and how Flux labels
its installation. It changes nothing. Sources: Kubernetes' authentication.k8s.io/v1, Flux 2.7's install
manifests.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final

import anyio

from gitops_run.adapters.cluster.bounds import (
    FLUX_NAMESPACES,
    controllers_of_flux,
    has_policies,
    may_bound,
    read_controllers,
    read_platform_rules,
)
from gitops_run.adapters.cluster.connection import Connection, Json, connect
from gitops_run.adapters.cluster.discovery import served_kinds
from gitops_run.adapters.cluster.paths import (
    KUSTOMIZATIONS,
    SOURCES,
    applier_path,
    namespace_path,
    owner_path,
    path_of,
    release_path,
    source_path,
    version_path,
)
from gitops_run.adapters.cluster.sessions import present
from gitops_run.adapters.cluster.states import bound_owner
from gitops_run.adapters.machine.kubeconfig import read_kubeconfig
from gitops_run.errors import TransientError, UsageError
from gitops_run.model.names import (
    CREATED_ANNOTATION,
    EXTENDED_ANNOTATION,
    ISOLATION_ANNOTATION,
    OWNER_ANNOTATION,
    STACK_ANNOTATION,
    TARGET_ANNOTATION,
)
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.spec import ClusterFacts
from gitops_run.model.session.tombstone import TOMBSTONE_NAMESPACE, read_tombstone, tombstone_name

ANSWER_WITHIN_S: Final = 5.0
FLUX_AT_LEAST: Final = (2, 7)

_KINDS: Final = (
    (SOURCES, "Bucket"),
    (KUSTOMIZATIONS, "Kustomization"),
)
_INSTALL_HINT: Final = "install it: gitops-run platform up"


async def read_facts(key: SessionKey) -> ClusterFacts:
    """Ask a cluster what a session needs to know of it.

    Raises UsageError on a kubeconfig or context that isn't there, or a Flux that is missing or too old;
    BackendError where the cluster doesn't answer within 5 s, or refuses to.
    """
    read_kubeconfig(key.kubeconfig).require(key.context)
    try:
        async with connect(key.kubeconfig, key.context) as connection:
            # From here on: an exec plugin may take longer to connect than an answer may.
            with anyio.fail_after(ANSWER_WITHIN_S):
                return await _ask(connection, key)
    except TimeoutError as error:
        raise TransientError(
            f"the cluster of context {key.context!r} did not answer within {ANSWER_WITHIN_S:.0f} s",
            hint="check that it runs and that this machine reaches it",
        ) from error


async def read_cluster_uid(connection: Connection) -> str:
    """Read by what a cluster is known whatever its context is called: the UID of its namespace kube-system.

    Raises BackendError where this user may not read it.
    """
    system = await connection.get(namespace_path("kube-system"))
    return str(system["metadata"]["uid"])


async def _objects(connection: Connection, key: SessionKey) -> list[Json]:
    """Get the cluster's and the session's objects, and the versions of Flux's API; each may be empty."""
    namespace = key.namespace
    return await asyncio.gather(
        connection.get(namespace_path("kube-system")),
        present(connection, source_path(namespace, key.name.text)),
        connection.find(owner_path(namespace)),
        connection.find(namespace_path(), FLUX_NAMESPACES),
        connection.find(namespace_path(namespace)),
        connection.find(tombstone_path(namespace)),
        *(present(connection, version_path(version)) for version, _ in _KINDS),
    )


async def _ask(connection: Connection, key: SessionKey) -> ClusterFacts:
    answers, user, controllers, (is_bound, can_bound), rules, is_applied = await asyncio.gather(
        _objects(connection, key),
        read_user(connection),
        read_controllers(connection),
        asyncio.gather(has_policies(connection), may_bound(connection, key.namespace)),
        read_platform_rules(connection),
        _is_applied(connection, key),
    )
    system, session, binding, installations, own_namespace, stone, *kinds = answers
    flux_namespace, flux = _flux(installations)
    _refuse_flux(flux, kinds)
    annotations = session.get("metadata", {}).get("annotations", {})
    return ClusterFacts(
        uid=system["metadata"]["uid"],
        user=user,
        flux=flux,
        flux_namespace=flux_namespace,
        controllers=controllers_of_flux(controllers, installations),
        has_policies=is_bound,
        pod_security=rules.pod_security,
        time=rules.time,
        rules=rules.isolation,
        may_bound=can_bound,
        team_sessions=rules.team_sessions,
        isolation=annotations.get(ISOLATION_ANNOTATION, ""),
        created=annotations.get(CREATED_ANNOTATION, ""),
        extended=annotations.get(EXTENDED_ANNOTATION, ""),
        ended=read_tombstone(stone),
        owner=(session and bound_owner(binding)) or annotations.get(OWNER_ANNOTATION, ""),
        target=annotations.get(TARGET_ANNOTATION, ""),
        stack=own_namespace.get("metadata", {}).get("annotations", {}).get(STACK_ANNOTATION, ""),
        is_whole=bool(session) and is_applied,
    )


async def _is_applied(connection: Connection, key: SessionKey) -> bool:
    """Ask whether there is what applies the session."""
    where = (key.namespace, key.name.text)
    found = await asyncio.gather(*(connection.find(path(*where)) for path in (applier_path, release_path)))
    return any(found)


def tombstone_path(namespace: str) -> str:
    """Write the API path of the tombstone of a session's namespace."""
    return f"/api/v1/namespaces/{TOMBSTONE_NAMESPACE}/configmaps/{tombstone_name(namespace)}"


async def read_user(connection: Connection) -> str:
    """Ask the cluster who this user is."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    me = await connection.create(path_of(review["apiVersion"], "selfsubjectreviews"), review)
    return str(me["status"]["userInfo"]["username"])


def _flux(namespaces: Json) -> tuple[str, str]:
    """Read where Flux is, and its version, as far as its namespace's labels show."""
    for item in namespaces.get("items", ()):
        version = item["metadata"].get("labels", {}).get("app.kubernetes.io/version")
        if version:
            return item["metadata"]["name"], str(version)
    return "", ""


def _refuse_flux(version: str, kinds: list[Json]) -> None:
    """Refuse a Flux that is too old, if that is known, or that lacks a kind in the version we use."""
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    if numbers and (int(numbers[1]), int(numbers[2])) < FLUX_AT_LEAST:
        raise UsageError(
            f"this cluster's Flux is {version}, and 2.7 or later is required",
            hint="upgrade it the way it was installed",
        )
    for (api_version, kind), found in zip(_KINDS, kinds, strict=True):
        if kind not in served_kinds(found):
            raise UsageError(f"this cluster has no {kind} in {api_version}", hint=_INSTALL_HINT)
