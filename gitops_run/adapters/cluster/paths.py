"""The API paths of what this room asks for, all of which are written here.

A namespace that is left out means an object of the cluster, or a collection across all namespaces; a name
that is left out means the collection. Source: Kubernetes' API conventions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from gitops_run.model.names import OWNER_ROLE
from gitops_run.model.objects.identity import ObjectRef, Resource
from gitops_run.model.rights.access import FLUX_HELM_GROUP, FLUX_KUSTOMIZE_GROUP, FLUX_SOURCE_GROUP

RBAC: Final = "rbac.authorization.k8s.io/v1"
SOURCES: Final = f"{FLUX_SOURCE_GROUP}/v1"
KUSTOMIZATIONS: Final = f"{FLUX_KUSTOMIZE_GROUP}/v1"
RELEASES: Final = f"{FLUX_HELM_GROUP}/v2"


def with_query(path: str, query: Mapping[str, str] | None) -> str:
    """Add a query to a path."""
    return f"{path}?{urlencode(query)}" if query else path


def version_path(api_version: str) -> str:
    """Write the path under which a version of an API lists its kinds. api_version: "v1", "apps/v1"."""
    group, _, version = api_version.rpartition("/")
    return group_path(group, version)


def group_path(group: str, version: str) -> str:
    """Write the path of a version of an API. group: "" for the core API."""
    root = f"/apis/{quote(group, safe='')}" if group else "/api"
    return f"{root}/{quote(version, safe='')}"


def path_of(api_version: str, plural: str, namespace: str = "", name: str = "") -> str:
    """Write the path of an object, or of a collection."""
    return _within(version_path(api_version), plural, namespace, name)


def _within(root: str, plural: str, namespace: str, name: str = "") -> str:
    place = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    end = f"/{quote(name, safe='')}" if name else ""
    return f"{root}{place}/{plural}{end}"


def plural_of(kind: str) -> str:
    """Write a kind as paths have it: one that this project makes, whose plural is regular."""
    lower = kind.lower()
    return f"{lower.removesuffix('y')}ies" if lower.endswith("y") else f"{lower}s"


def object_path(ref: ObjectRef, resource: Resource, namespace: str) -> str:
    """Write an object's path. namespace: of an object that names none, but needs one."""
    return f"{collection_path(ref, resource, namespace)}/{quote(ref.name, safe='')}"


def collection_path(ref: ObjectRef, resource: Resource, namespace: str) -> str:
    """Write the path of all objects of a kind that lie where this one does."""
    where = (ref.namespace or namespace) if resource.is_namespaced else ""
    return _within(group_path(ref.group, ref.version), resource.plural, where)


def source_path(namespace: str = "", name: str = "") -> str:
    """Write the path of a Flux Bucket."""
    return path_of(SOURCES, "buckets", namespace, name)


def chart_path(namespace: str = "", name: str = "") -> str:
    """Write the path of a HelmChart."""
    return path_of(SOURCES, "helmcharts", namespace, name)


def applier_path(namespace: str = "", name: str = "") -> str:
    """Write the path of a Kustomization."""
    return path_of(KUSTOMIZATIONS, "kustomizations", namespace, name)


def release_path(namespace: str = "", name: str = "") -> str:
    """Write the path of a HelmRelease."""
    return path_of(RELEASES, "helmreleases", namespace, name)


def lease_path(namespace: str = "", name: str = "") -> str:
    """Write the path of a session's Lease."""
    return path_of("coordination.k8s.io/v1", "leases", namespace, name)


def map_path(namespace: str = "", name: str = "") -> str:
    """Write the path of a ConfigMap."""
    return path_of("v1", "configmaps", namespace, name)


def secret_path(namespace: str, name: str) -> str:
    """Write the path of a Secret."""
    return path_of("v1", "secrets", namespace, name)


def pod_path(namespace: str, name: str = "") -> str:
    """Write the path of a pod."""
    return path_of("v1", "pods", namespace, name)


def namespace_path(name: str = "") -> str:
    """Write the path of a Namespace."""
    return path_of("v1", "namespaces", name=name)


def owner_path(namespace: str) -> str:
    """Write the path of the RoleBinding whose subject is a session's owner."""
    return path_of(RBAC, "rolebindings", namespace, OWNER_ROLE)


def deployments_path() -> str:
    """Write the path of all Deployments."""
    return path_of("apps/v1", "deployments")
