"""What bounds a session's namespace: a quota, requests for containers that name none, and who may connect.

Nobody who is bound by the session may change these objects: docs/security.md says what keeps them from it.
Sources: Kubernetes' ResourceQuota, LimitRange and NetworkPolicy.
"""

from __future__ import annotations

from typing import Any, Final

from gitops_run.model.manifests.session import Manifest, session_object, team_labels
from gitops_run.model.names import INGRESS_POLICY, QUOTA, REQUEST_DEFAULTS, STORE_SERVER
from gitops_run.model.session.isolation import Bounds
from gitops_run.model.session.spec import InClusterStore, SessionSpec

CONTAINER_REQUESTS: Final = {"cpu": "50m", "memory": "64Mi"}
"""What a container counts for that names no requests: with a quota of cpu or memory, it would be refused."""


def bounds_objects(spec: SessionSpec) -> tuple[Manifest, ...]:
    """Write all of them; none for a session without bounds, and no quota where nothing has a limit."""
    if spec.bounds is None:
        return ()
    quota = (resource_quota(spec, spec.bounds),) if spec.bounds.quota.amounts else ()
    return (*quota, limit_range(spec), network_policy(spec, spec.bounds))


def resource_quota(spec: SessionSpec, bounds: Bounds) -> Manifest:
    """Write how much the session's objects may take together."""
    manifest = session_object(spec, "v1", "ResourceQuota", QUOTA)
    manifest["metadata"]["labels"] |= team_labels(spec)
    return {**manifest, "spec": {"hard": bounds.quota.hard}}


def limit_range(spec: SessionSpec) -> Manifest:
    """Write what a container requests that names nothing. It limits none: that could end a process."""
    limits = [{"type": "Container", "defaultRequest": dict(CONTAINER_REQUESTS)}]
    return {**session_object(spec, "v1", "LimitRange", REQUEST_DEFAULTS), "spec": {"limits": limits}}


def network_policy(spec: SessionSpec, bounds: Bounds) -> Manifest:
    """Write who may connect to the session's pods: pods of its own namespace, and of those that are named.

    The bucket's server is left out, where there is one: policies add up, and its own lets only Flux in.
    """
    own: dict[str, Any] = {"podSelector": {}}
    has_server = isinstance(spec.store, InClusterStore)
    others = [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}
        for name in bounds.ingress_from
    ]
    but_a_server = {"key": "app.kubernetes.io/name", "operator": "NotIn", "values": [STORE_SERVER]}
    return {
        **session_object(spec, "networking.k8s.io/v1", "NetworkPolicy", INGRESS_POLICY),
        "spec": {
            "podSelector": {"matchExpressions": [but_a_server]} if has_server else {},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [own, *others]}],
        },
    }
