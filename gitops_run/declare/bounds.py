"""What bounds a session's namespace."""

from __future__ import annotations

import pulumi

from gitops_run.declare.objects import KubernetesObject
from gitops_run.model.manifests.bounds import bounds_objects
from gitops_run.model.session.spec import SessionSpec


def declare_bounds(spec: SessionSpec, opts: pulumi.ResourceOptions) -> tuple[pulumi.Resource, ...]:
    """Declare the quota, the requests of containers that name none, and who may connect; each by its name."""
    return tuple(
        KubernetesObject(f"{spec.name}-{manifest['kind'].lower()}", manifest, opts)
        for manifest in bounds_objects(spec)
    )
