"""A session's bucket in the cluster: an S3 server in its namespace, with its own CA and accounts.

This module knows what is made before what. Nothing outside of the cluster is asked: the server has its bucket
and its accounts from its first second on, and all of it goes with the namespace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from gitops_run.declare.objects import DELETE_WITHIN, KubernetesObject, after
from gitops_run.declare.server_credentials import MadeCredentials
from gitops_run.model.manifests import store_server
from gitops_run.model.manifests.store_server import ServerCredentials, StoreServer
from gitops_run.model.session.spec import InClusterStore, SessionSpec

START_WITHIN = "3m"
"""Only one small image is pulled: a pod that isn't ready by then won't become ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterBucket:
    """Hold the server's objects, and what its credentials are."""

    made: tuple[pulumi.Resource, ...]
    credentials: pulumi.Output[ServerCredentials]


def declare_cluster_bucket(
    spec: SessionSpec,
    store: InClusterStore,
    labels: Mapping[str, str],
    opts: pulumi.ResourceOptions,
    cluster: pulumi.ResourceOptions,
) -> ClusterBucket:
    """Declare the server. opts: for what is no object of the cluster. cluster: for what is."""
    server = _server(spec, store, labels)
    made = MadeCredentials(
        f"{spec.name}-credentials", server_names=store_server.server_names(spec.namespace), opts=opts
    )
    credentials = made.known()
    files = credentials.apply(lambda known: store_server.server_files(spec.bucket, known))
    secret = KubernetesObject(
        f"{spec.name}-server-secret", store_server.server_secret(server, {}) | {"stringData": files}, cluster
    )
    closed = KubernetesObject(f"{spec.name}-server-policy", store_server.server_policy(server), cluster)
    manifest = store_server.server_set(server, "")
    manifest["spec"]["template"]["metadata"]["annotations"] = {
        store_server.CREDENTIALS_ANNOTATION: made.fingerprint
    }
    soon = pulumi.ResourceOptions(
        custom_timeouts=pulumi.CustomTimeouts(create=START_WITHIN, update=START_WITHIN, delete=DELETE_WITHIN)
    )
    # Open to nobody before it is closed to everybody but those who may.
    pod = KubernetesObject(
        f"{spec.name}-server",
        manifest,
        pulumi.ResourceOptions.merge(after(cluster, secret, closed), soon),
    )
    service = KubernetesObject(
        f"{spec.name}-server-service",
        store_server.server_service(server),
        pulumi.ResourceOptions.merge(after(cluster, secret), soon),  # it waits for the pod as well
    )
    return ClusterBucket(made=(secret, closed, pod, service), credentials=credentials)


def _server(spec: SessionSpec, store: InClusterStore, labels: Mapping[str, str]) -> StoreServer:
    return StoreServer(
        namespace=spec.namespace,
        bucket=spec.bucket,
        region=store.region,
        image=store.image,
        flux_namespace=store.flux_namespace,
        labels=labels,
    )
