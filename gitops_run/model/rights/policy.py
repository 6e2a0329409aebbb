"""Parts that admission policies have in common. Source: Kubernetes, admissionregistration.k8s.io/v1."""

from __future__ import annotations

from typing import Any

from gitops_run.model.names import SESSION_LABEL


def of_sessions() -> dict[str, Any]:
    """Select what has a session's label."""
    return {"matchExpressions": [{"key": SESSION_LABEL, "operator": "Exists"}]}


def requests_to(group: str, resource: str, *operations: str, scope: str = "Namespaced") -> dict[str, Any]:
    """Match requests to one resource, in every version. group, resource: "*" for all."""
    return {
        "apiGroups": [group],
        "apiVersions": ["*"],
        "operations": list(operations),
        "resources": [resource],
        "scope": scope,
    }


def annotations_in(variable: str) -> str:
    """Write in CEL an object's annotations, empty where it has none."""
    return f"has({variable}.metadata.annotations) ? dyn({variable}.metadata.annotations) : dyn({{}})"
