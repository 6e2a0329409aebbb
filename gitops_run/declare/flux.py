"""The two objects by which Flux follows a session: the Bucket it fetches, and what applies it."""

from __future__ import annotations

import pulumi

from gitops_run.declare.objects import KubernetesObject, after
from gitops_run.model.manifests import session as manifests
from gitops_run.model.names import CREATED_ANNOTATION
from gitops_run.model.session.spec import SessionSpec

_FIXED_ONCE = f'metadata.annotations["{CREATED_ANNOTATION}"]'


def declare_source(spec: SessionSpec, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    """Declare the Flux Bucket. When the session was made is what the first run said."""
    return KubernetesObject(
        f"{spec.name}-source", manifests.source_bucket(spec), after(opts, ignore_changes=[_FIXED_ONCE])
    )


def declare_applier(spec: SessionSpec, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    """Declare the Kustomization or HelmRelease. It waits for nothing: the source is empty at first."""
    manifest = manifests.applier(spec)
    return KubernetesObject(f"{spec.name}-{manifest['kind'].lower()}", manifest, opts)
