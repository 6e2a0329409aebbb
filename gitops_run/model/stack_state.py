"""A stack's state as Pulumi exports it, edited.

Knows how resources of a state point to each other. Source: Pulumi 3.259, sdk/go/common/apitype.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Resource = dict[str, Any]

_OF_THE_CLUSTER = ("kubernetes:", "pulumi:providers:kubernetes")


def without_cluster(resources: Sequence[Resource]) -> list[Resource]:
    """Leave out what lies in a Kubernetes cluster, and every word of it in what stays."""
    gone = {resource["urn"] for resource in resources if resource["type"].startswith(_OF_THE_CLUSTER)}
    return [_freed(resource, gone) for resource in resources if resource["urn"] not in gone]


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
