"""A platform as one Pulumi component.

This module knows the order: a namespace and kinds before what lies in them, accounts and rights before the
controllers, and the rule for sessions' objects last; the other way round when it goes.
"""

from __future__ import annotations

import pulumi
import pulumi_kubernetes

from gitops_run.declare.objects import KubernetesObject, after
from gitops_run.model.manifests.session import Manifest
from gitops_run.model.platform.flux_install import is_kind, is_pods
from gitops_run.model.platform.objects import platform_objects
from gitops_run.model.platform.platform import PlatformSpec, platform_outputs


class Platform(pulumi.ComponentResource):
    """Declare what sessions need of the one cluster that its spec pins."""

    def __init__(self, spec: PlatformSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gitops-run:index:Platform", spec.stack, None, opts)
        cluster = pulumi_kubernetes.Provider(
            spec.stack,
            kubeconfig=spec.cluster.kubeconfig,
            context=spec.cluster.context,
            cluster_identifier=spec.cluster.uid,
            opts=pulumi.ResourceOptions(parent=self),
        )
        here = pulumi.ResourceOptions(parent=self, provider=cluster)
        flux = _declare_flux(spec.flux, here)
        made = list(flux)
        for manifest in platform_objects(
            spec.stack, spec.pod_security, spec.time, spec.isolation, spec.collector
        ):
            declared = _declare(manifest, after(here, *made))
            if manifest["kind"] == "Namespace":
                made.append(declared)
        self.register_outputs(dict(platform_outputs(spec)))


def _declare_flux(
    manifests: tuple[Manifest, ...], opts: pulumi.ResourceOptions
) -> tuple[pulumi.Resource, ...]:
    """Declare Flux in three steps, each after those before it."""
    made: tuple[pulumi.Resource, ...] = ()
    for step in range(3):
        now = [manifest for manifest in manifests if _step_of(manifest) == step]
        made += tuple(_declare(manifest, after(opts, *made)) for manifest in now)
    return made


def _step_of(manifest: Manifest) -> int:
    if is_pods(manifest) or manifest["kind"] == "Service":
        return 2  # a Service is waited for until pods stand behind it
    return 0 if is_kind(manifest) or manifest["kind"] == "Namespace" else 1


def _declare(manifest: Manifest, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    return KubernetesObject(f"{manifest['kind'].lower()}-{manifest['metadata']['name']}", manifest, opts)
