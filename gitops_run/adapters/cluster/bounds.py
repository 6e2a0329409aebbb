"""What of a cluster keeps sessions' owners in bounds: how Flux's controllers run, and the admission policies.

This module changes nothing, and decides nothing: model/session/bounds.py does. Sources: Flux 2.7's install
manifests, admissionregistration.k8s.io/v1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.adapters.cluster.paths import deployments_path, namespace_path, path_of
from gitops_run.errors import BackendError, NotFound, TransientError
from gitops_run.model.names import QUOTA, TEAM_LABEL
from gitops_run.model.platform.admission import POLICY_GROUP, policies
from gitops_run.model.rights.lockdown import (
    ARGUMENTS_ANNOTATION,
    HELM_CONTROLLER,
    KUSTOMIZE_CONTROLLER,
    Controller,
    parse_declared,
)
from gitops_run.model.rights.pod_security import LEVEL_ANNOTATION, POD_SECURITY_POLICY
from gitops_run.model.session import isolation
from gitops_run.model.session.limits import TIME_POLICY, TimeRules, read_rules
from gitops_run.model.session.teams import TeamSession

_APPLIERS: Final = (KUSTOMIZE_CONTROLLER, HELM_CONTROLLER)
_ADMISSION: Final = f"{POLICY_GROUP}/v1"
_POLICIES: Final = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
_AUTHORIZATION: Final = "authorization.k8s.io/v1"
_CONTAINER: Final = "manager"
FLUX_NAMESPACES: Final = {"labelSelector": "app.kubernetes.io/part-of=flux"}


async def read_controllers(connection: Connection) -> tuple[tuple[str, Controller], ...]:
    """Find the controllers that apply, by their names, in any namespace: labels differ by who installed them.

    Returns each with its namespace; nothing where there are none, or where they may not be read.
    """
    named = [{"fieldSelector": f"metadata.name={name}"} for name in _APPLIERS]
    listings = await asyncio.gather(*(connection.find(deployments_path(), query) for query in named))
    return tuple(
        (
            str(item["metadata"]["namespace"]),
            Controller(name=item["metadata"]["name"], arguments=_arguments(item)),
        )
        for listing in listings
        for item in listing.get("items", ())
    )


async def read_flux_controllers(connection: Connection) -> tuple[Controller, ...]:
    """Find Flux's controllers that apply; nothing where they may not be read."""
    found, namespaces = await asyncio.gather(
        read_controllers(connection), connection.find(namespace_path(), FLUX_NAMESPACES)
    )
    return controllers_of_flux(found, namespaces)


def controllers_of_flux(found: Iterable[tuple[str, Controller]], namespaces: Json) -> tuple[Controller, ...]:
    """Choose Flux's controllers among Deployments of their names, which anybody may make in their namespace.

    namespaces: Flux's, by their labels. Where there are none, every Deployment counts.
    """
    known = {item["metadata"]["name"] for item in namespaces.get("items", ())}
    inside = tuple(controller for namespace, controller in found if not known or namespace in known)
    return inside or declared_controllers(namespaces)


def declared_controllers(namespaces: Json) -> tuple[Controller, ...]:
    """Read what Flux's namespaces declare of controllers that run outside of Deployments."""
    annotations = [item["metadata"].get("annotations") or {} for item in namespaces.get("items", ())]
    texts = [one.get(ARGUMENTS_ANNOTATION, "") for one in annotations]
    return tuple(controller for text in texts for controller in parse_declared(text))


async def has_policies(connection: Connection) -> bool | None:
    """Ask whether the platform's policies are in force; None where that may not be read."""
    paths = [path_of(_ADMISSION, kind, name=name) for kind in _POLICIES for name in policies()]
    found = await asyncio.gather(*(_is_there(connection, path) for path in paths))
    return None if None in found else all(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformRules:
    """Hold what a platform says of sessions; nothing where it doesn't say it, or not to this user.

    pod_security: the least strict level, or "". team_sessions: as in ClusterFacts.
    """

    pod_security: str
    time: TimeRules
    isolation: isolation.IsolationRules
    team_sessions: tuple[TeamSession, ...] | None


async def read_platform_rules(connection: Connection) -> PlatformRules:
    """Read the platform's rules, each from the policy that enforces it."""
    names = (POD_SECURITY_POLICY, TIME_POLICY, isolation.ISOLATION_POLICY)
    pods, time, quota = await asyncio.gather(*(_said_on(connection, name) for name in names))
    rules = isolation.read_rules(quota)
    return PlatformRules(
        pod_security=pods.get(LEVEL_ANNOTATION, ""),
        time=read_rules(time),
        isolation=rules,
        team_sessions=await read_team_sessions(connection, rules),
    )


async def read_team_sessions(
    connection: Connection, rules: isolation.IsolationRules
) -> tuple[TeamSession, ...] | None:
    """Read the quotas of sessions that name a team, where the platform has quotas of teams.

    None where this user may not see them.
    """
    if not rules.teams:
        return ()
    try:
        listing = await connection.get(path_of("v1", "resourcequotas"), {"labelSelector": TEAM_LABEL})
    except TransientError:
        raise
    except BackendError:
        return None
    return tuple(
        TeamSession(
            team=item["metadata"]["labels"][TEAM_LABEL],
            namespace=item["metadata"]["namespace"],
            hard=item["spec"].get("hard") or {},
        )
        for item in listing["items"]
        if item["metadata"]["name"] == QUOTA
    )


async def may_bound(connection: Connection, namespace: str) -> bool:
    """Ask whether this user may create quotas in a namespace."""
    attributes = {"verb": "create", "resource": "resourcequotas", "namespace": namespace}
    review = {
        "apiVersion": _AUTHORIZATION,
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = await connection.create(path_of(_AUTHORIZATION, "selfsubjectaccessreviews"), review)
    return bool(answer["status"]["allowed"])


async def _said_on(connection: Connection, policy: str) -> dict[str, str]:
    path = path_of(_ADMISSION, _POLICIES[0], name=policy)
    metadata = (await connection.find(path)).get("metadata", {})
    return dict(metadata.get("annotations") or {})


def _arguments(deployment: Json) -> tuple[str, ...]:
    """Read a controller's arguments, wherever its manifest has them; the pod may have other containers."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    container = next((one for one in containers if one["name"] == _CONTAINER), containers[0])
    return (*(container.get("command") or ()), *(container.get("args") or ()))


async def _is_there(connection: Connection, path: str) -> bool | None:
    """Ask for an object; None where it may not be read."""
    try:
        await connection.get(path)
    except TransientError:
        raise
    except NotFound:
        return False
    except BackendError:
        return None
    return True
