"""The program that was recorded; STEP in the environment says how far its life has gone."""

from __future__ import annotations

import os
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

STEP = int(os.environ["STEP"])
NAME = os.environ["NAME"]
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}

cluster = k8s.Provider(
    "cluster",
    kubeconfig=os.environ["KUBECONFIG"],
    context=os.environ["CONTEXT"],
    cluster_identifier="uid-of-kube-system",
    enable_secret_mutable=True,
)


def after(*resources: pulumi.Resource) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(provider=cluster, depends_on=resources)


def metadata(name: str, **more: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "gitops-run"}
    return {"name": name, "namespace": NAME, "labels": labels, **more}


def bucket(resource: str, secret: pulumi.Resource, secret_name: str, *, interval: str, **more: Any) -> Any:
    return k8s.apiextensions.CustomResource(
        resource,
        api_version="source.toolkit.fluxcd.io/v1",
        kind="Bucket",
        metadata=metadata(resource, **more),
        spec={
            "interval": interval,
            "provider": "generic",
            "bucketName": "sess10",
            "endpoint": os.environ["STORE"],
            "insecure": True,
            "region": "us-east-1",
            "secretRef": {"name": secret_name},
        },
        opts=after(secret),
    )


namespace = k8s.core.v1.Namespace(
    "ns",
    metadata={"name": NAME, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    opts=after(),
)
account = k8s.core.v1.ServiceAccount("sa", metadata=metadata("flux-run"), opts=after(namespace))
role = k8s.rbac.v1.Role(
    "role",
    metadata=metadata("flux-run"),
    rules=[{"apiGroups": ["", "apps"], "resources": ["configmaps", "deployments"], "verbs": ["*"]}],
    opts=after(namespace),
)
binding = k8s.rbac.v1.RoleBinding(
    "rb",
    metadata=metadata("flux-run"),
    role_ref={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "flux-run"},
    subjects=[{"kind": "ServiceAccount", "name": "flux-run", "namespace": NAME}],
    opts=after(account, role),
)
creds = k8s.core.v1.Secret(
    "creds",
    metadata=metadata("creds"),
    string_data={
        "accesskey": "AK",
        "secretkey": pulumi.Output.secret("s3cr3t" if STEP < 2 else "rotated"),
    },
    opts=after(namespace),
)
k8s.core.v1.ConfigMap(
    "settings",
    metadata=metadata("settings"),
    data={"ttl": "8h" if STEP < 2 else "4h"},
    opts=after(namespace),
)
k8s.core.v1.ResourceQuota(
    "quota",
    metadata=metadata("quota"),
    spec={"hard": {"pods": "10" if STEP < 2 else "20"}},
    opts=after(namespace),
)
k8s.core.v1.LimitRange(
    "limits",
    metadata=metadata("limits"),
    spec={"limits": [{"type": "Container", "default": {"memory": "64Mi"}}]},
    opts=after(namespace),
)
k8s.networking.v1.NetworkPolicy(
    "net",
    metadata=metadata("net"),
    spec={"podSelector": {}, "policyTypes": ["Ingress"]},
    opts=after(namespace),
)
deployment = k8s.apps.v1.Deployment(
    "store",
    metadata=metadata("store"),
    spec={
        "replicas": 1 if STEP < 2 else 2,
        "selector": {"matchLabels": {"app": "store"}},
        "template": {
            "metadata": {"labels": {"app": "store"}},
            "spec": {
                "containers": [
                    {
                        "name": "store",
                        "image": "store:1",
                        "ports": [{"containerPort": 9000}],
                        "resources": {"requests": {"memory": "32Mi"}},
                        "securityContext": RESTRICTED,
                    }
                ]
            },
        },
    },
    opts=after(namespace),
)
k8s.core.v1.Service(
    "store",
    metadata=metadata("store"),
    spec={"selector": {"app": "store"}, "ports": [{"port": 9000}]},
    opts=after(deployment),
)
k8s.core.v1.PersistentVolumeClaim(
    "data",
    metadata=metadata("data", annotations={"pulumi.com/skipAwait": "true"}),
    spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    opts=after(namespace),
)
source = bucket("source", creds, "creds", interval="24h" if STEP < 2 else "12h")
k8s.apiextensions.CustomResource(
    "target",
    api_version="kustomize.toolkit.fluxcd.io/v1",
    kind="Kustomization",
    metadata=metadata("target" if STEP < 3 else "target-renamed"),
    spec={
        "interval": "24h",
        "prune": True,
        "path": "./deploy",
        "serviceAccountName": "flux-run",
        "targetNamespace": NAME,
        "sourceRef": {"kind": "Bucket", "name": "source"},
        "suspend": True,
    },
    opts=after(source, binding),
)
waits_creds = k8s.core.v1.Secret(
    "waits-creds",
    metadata=metadata("waits-creds"),
    string_data={
        "accesskey": "AKIAIOSFODNN7EXAMPLE",
        "secretkey": pulumi.Output.secret("wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"),
    },
    opts=after(namespace),
)
bucket(
    "waits",
    waits_creds,
    "waits-creds",
    interval="24h",
    annotations={"pulumi.com/waitFor": "condition=Ready"},
)
k8s.rbac.v1.ClusterRole(
    "cr",
    metadata={"name": f"{NAME}-reader"},
    rules=[{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}],
    opts=after(),
)
pulumi.export("namespace", namespace.metadata["name"])
pulumi.export("bucket", source.metadata["name"])
