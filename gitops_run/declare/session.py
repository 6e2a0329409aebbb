"""A session as one Pulumi component.

This module knows the order: what is declared after another goes before it, so that the drain comes first,
which stops the writer and resumes what is suspended. Then the applier is removed while the account that
prunes for it still may, then the Flux Bucket, the Secrets, the access, the S3 bucket, what bounds the
namespace and, last, the Namespace. An S3 server of the session's own starts while the access is made, and
only Flux waits for it.
"""

from __future__ import annotations

import os
from dataclasses import asdict

import pulumi
import pulumi_kubernetes

from gitops_run.adapters.pulumi.own_plugin import install_own_plugin, plugins_folder
from gitops_run.declare.access import declare_access, declare_record, declare_secrets
from gitops_run.declare.bounds import declare_bounds
from gitops_run.declare.bucket import declare_bucket
from gitops_run.declare.drain import Drain
from gitops_run.declare.flux import declare_applier, declare_source
from gitops_run.declare.objects import KubernetesObject, after
from gitops_run.model.manifests import session as manifests
from gitops_run.model.session.spec import SessionOutputs, SessionSpec


class Session(pulumi.ComponentResource):
    """Declare everything that one session needs, in the one cluster that its spec pins."""

    def __init__(self, spec: SessionSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        _install_plugin()
        super().__init__("gitops-run:index:Session", spec.name.text, None, opts)
        own = pulumi.ResourceOptions(parent=self)
        cluster = pulumi_kubernetes.Provider(
            spec.name.text,
            kubeconfig=spec.cluster.kubeconfig,
            context=spec.cluster.context,
            cluster_identifier=spec.cluster.uid,
            enable_secret_mutable=True,  # a new key updates its Secret in place
            opts=own,
        )
        here = pulumi.ResourceOptions(parent=self, provider=cluster)
        stack = f"{pulumi.get_project()}/{pulumi.get_stack()}"
        namespace = KubernetesObject(f"{spec.name}-namespace", manifests.namespace(spec, stack), here)
        bounds = declare_bounds(spec, after(here, namespace))
        bucket = declare_bucket(
            spec, manifests.labels(spec.name), after(own, namespace), after(here, namespace, *bounds)
        )
        access = declare_access(spec, after(here, namespace, *bucket.made))
        secrets = declare_secrets(spec, bucket, after(here, namespace, *access))
        record = declare_record(spec, after(here, namespace))
        source = declare_source(spec, after(here, namespace, *secrets, *bucket.server))
        applier = declare_applier(spec, after(here, namespace, source, *bounds, *access))
        Drain(f"{spec.name}-drain", spec, after(own, applier, *record))
        self.facts = outputs(spec)
        self.register_outputs(asdict(self.facts))


def _install_plugin() -> None:
    """See that the engine finds the plugin; a project whose Pulumi.yaml names it can do without."""
    try:
        install_own_plugin(os.environ)
    except OSError as error:
        pulumi.log.warn(
            f"the plugin of sessions can't be installed in {plugins_folder(os.environ)}: {error.strerror}"
        )


def outputs(spec: SessionSpec) -> SessionOutputs:
    """List the outputs of a session: where everything is."""
    return SessionOutputs(
        namespace=spec.namespace,
        bucket=spec.bucket,
        endpoint=spec.store.endpoint,
        store=spec.store.kind,
        source=spec.name.text,
        applier=f"{manifests.applier(spec)['kind']} {spec.name}",
        owner=spec.owner,
        context=spec.cluster.context,
    )
