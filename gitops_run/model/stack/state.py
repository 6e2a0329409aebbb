"""A stack's state as Pulumi exports it, edited.

This module knows how resources of a state point to each other. Source: Pulumi 3.259, sdk/go/common/apitype.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gitops_run.model.stack.events import KnownResources, PendingObject

Resource = dict[str, Any]

_OF_THE_CLUSTER = ("kubernetes:", "pulumi:providers:kubernetes", "gitops-run:index:Drain")


def without_cluster(resources: Sequence[Resource]) -> list[Resource]:
    """Leave out what lies in a Kubernetes cluster, and every word of it in what stays."""
    gone = {resource["urn"] for resource in resources if resource["type"].startswith(_OF_THE_CLUSTER)}
    return [_freed(resource, gone) for resource in resources if resource["urn"] not in gone]


def has_made_nothing(deployment: Mapping[str, Any]) -> bool:
    """Report whether a state knows of nothing but components and providers, and of nothing begun."""
    made = (
        resource
        for resource in deployment.get("resources") or ()
        if resource.get("custom") and not resource["type"].startswith("pulumi:")
    )
    return not deployment.get("pending_operations") and not any(made)


def known_resources(resources: Sequence[Resource]) -> KnownResources:
    """Report what a state knows about its session."""
    return KnownResources(
        objects=frozenset(
            object_of(resource["inputs"])
            for resource in resources
            if resource["type"].startswith("kubernetes:") and "kind" in (resource.get("inputs") or {})
        ),
        has_bucket=any(resource["type"].endswith(":S3Bucket") for resource in resources),
    )


def object_of(inputs: Mapping[str, Any]) -> PendingObject:
    """Name the object that a resource of the kubernetes plugin stands for."""
    metadata = inputs["metadata"]
    return PendingObject(
        api_version=str(inputs["apiVersion"]),
        kind=str(inputs["kind"]),
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
    )


def _freed(resource: Resource, gone: set[str]) -> Resource:
    freed = dict(resource)
    if "dependencies" in freed:
        freed["dependencies"] = [urn for urn in freed["dependencies"] if urn not in gone]
    if "propertyDependencies" in freed:
        freed["propertyDependencies"] = {
            name: [urn for urn in urns if urn not in gone]
            for name, urns in freed["propertyDependencies"].items()
        }
    return freed
