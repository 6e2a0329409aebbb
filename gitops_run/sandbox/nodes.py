"""The objects that a fresh control plane needs before a session can use it: Flux's kinds and a node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import yaml

from gitops_run.model.rights.lockdown import ARGUMENTS_ANNOTATION, write_declared
from gitops_run.sandbox.build import folder_of
from gitops_run.sandbox.programs import (
    FLUX_CONTROLLERS,
    FLUX_MANIFESTS,
    FLUX_VERSION,
    flux_kinds_folder,
)
from gitops_run.sandbox.state import NODE

NODES_PATH = "/api/v1/nodes"
NODE_LEASE_S = 40
FLUX_NAMESPACE = "flux-system"

_CAPACITY = {"cpu": "32", "memory": "256Gi", "pods": "500", "ephemeral-storage": "1Ti"}


def flux_kinds() -> Iterator[dict[str, Any]]:
    """Read the CustomResourceDefinitions of Flux's controllers, of the releases that are built."""
    for name in FLUX_CONTROLLERS:
        for file in sorted((folder_of(FLUX_MANIFESTS) / flux_kinds_folder(name)).glob("*.yaml")):
            yield yaml.load(file.read_text(), Loader=yaml.CSafeLoader)


def flux_namespace(arguments: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Describe the namespace by whose labels Flux and its version are found.

    arguments: of the controllers that run as processes, by which `up` sees whether they are locked down.
    """
    labels = {
        "app.kubernetes.io/instance": FLUX_NAMESPACE,
        "app.kubernetes.io/part-of": "flux",
        "app.kubernetes.io/version": FLUX_VERSION,
    }
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": FLUX_NAMESPACE,
            "labels": labels,
            "annotations": {ARGUMENTS_ANNOTATION: write_declared(arguments)},
        },
    }


def node() -> dict[str, Any]:
    """Describe the one node, large enough that no quota but a session's own is ever met."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE,
            "labels": {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux", "type": "kwok"},
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "status": {"capacity": _CAPACITY, "allocatable": _CAPACITY},
    }


def has_ready_node(answer: Mapping[str, Any], since: datetime | None = None) -> bool:
    """Report whether a list of nodes has one that is ready.

    since: the moment before which its own word doesn't count, since a former run may have left it.
    """
    conditions = [c for item in answer["items"] for c in item["status"].get("conditions", ())]
    ready = [c for c in conditions if c["type"] == "Ready" and c["status"] == "True"]
    return any(not since or datetime.fromisoformat(c["lastHeartbeatTime"]) >= since for c in ready)
