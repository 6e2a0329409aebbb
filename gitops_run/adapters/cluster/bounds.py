"""What of a cluster keeps sessions' owners in bounds: how Flux's controllers run, and the admission policies.

This module changes nothing, and decides nothing: model/session/bounds.py does. Sources: Flux 2.7's install
manifests, admissionregistration.k8s.io/v1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.adapters.cluster.paths import deployments_path, path_of
from gitops_run.errors import BackendError, NotFound, TransientError
from gitops_run.model.platform.admission import POLICY_GROUP, policies
from gitops_run.model.rights.lockdown import (
    ARGUMENTS_ANNOTATION,
    HELM_CONTROLLER,
    KUSTOMIZE_CONTROLLER,
    Controller,
    parse_declared,
)
from gitops_run.model.rights.pod_security import LEVEL_ANNOTATION, POD_SECURITY_POLICY
from gitops_run.model.session.limits import TIME_POLICY, TimeRules, read_rules

_APPLIERS: Final = (KUSTOMIZE_CONTROLLER, HELM_CONTROLLER)
_ADMISSION: Final = f"{POLICY_GROUP}/v1"
_POLICIES: Final = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
_CONTAINER: Final = "manager"


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


async def allowed_pod_security(connection: Connection) -> str:
    """Read the least strict Pod Security that the platform allows; "" where it doesn't say, or to nobody."""
    return (await _said_on(connection, POD_SECURITY_POLICY)).get(LEVEL_ANNOTATION, "")


async def read_time_rules(connection: Connection) -> TimeRules:
    """Read the platform's rules for TTL and idle limit; none where it doesn't say, or not to this user."""
    return read_rules(await _said_on(connection, TIME_POLICY))


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
