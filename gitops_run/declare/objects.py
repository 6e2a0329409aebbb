"""A manifest as a Pulumi resource.

This module knows how pulumi-kubernetes names the types of objects, so that one function declares every kind.
The classes of pulumi_kubernetes do the same for 0.3 s of imports. Source: pulumi-kubernetes 4.34, type tokens
in states.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from gitops_run.model.manifests.session import Manifest

DELETE_WITHIN = "3m"
"""A finalizer that hangs is reported after this, not after the plugin's ten minutes."""


class KubernetesObject(pulumi.CustomResource):
    """Declare one object of the cluster, exactly as its manifest says."""

    def __init__(self, name: str, manifest: Manifest, opts: pulumi.ResourceOptions) -> None:
        own = pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(delete=DELETE_WITHIN))
        if manifest["kind"] == "Secret":
            own.additional_secret_outputs = ["data", "stringData"]
        super().__init__(_token(manifest), name, dict(manifest), pulumi.ResourceOptions.merge(own, opts))


def after(
    opts: pulumi.ResourceOptions, *dependencies: pulumi.Resource, ignore_changes: Sequence[str] = ()
) -> pulumi.ResourceOptions:
    """Add what a resource is made after, and removed before."""
    return pulumi.ResourceOptions.merge(
        opts,
        pulumi.ResourceOptions(depends_on=list(dependencies), ignore_changes=list(ignore_changes)),
    )


def _token(manifest: Manifest) -> str:
    group, _, version = str(manifest["apiVersion"]).rpartition("/")
    return f"kubernetes:{group or 'core'}/{version}:{manifest['kind']}"
