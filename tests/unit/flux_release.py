"""A small release of Flux: of each kind of document that upstream's install.yaml has, one or two."""

from __future__ import annotations

from typing import Any

LABELS = {"app.kubernetes.io/part-of": "flux", "app.kubernetes.io/instance": "flux-system"}
EVENTS = "--events-addr=http://notification-controller.flux-system.svc.cluster.local./"


def _object(api_version: str, kind: str, name: str, **rest: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "labels": dict(LABELS)}
    if kind not in {"Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}:
        metadata["namespace"] = "flux-system"
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def _definition(name: str) -> dict[str, Any]:
    group = name.partition(".")[2]
    return _object(
        "apiextensions.k8s.io/v1", "CustomResourceDefinition", name, spec={"group": group}, status={}
    )


def _controller(name: str, version: str) -> dict[str, Any]:
    container = {
        "name": "manager",
        "image": f"ghcr.io/fluxcd/{name}:{version}",
        "args": [EVENTS, "--log-level=info"],
    }
    return _object("apps/v1", "Deployment", name, spec={"template": {"spec": {"containers": [container]}}})


def release() -> list[dict[str, Any]]:
    rbac = "rbac.authorization.k8s.io/v1"
    names = ["source-controller", "kustomize-controller", "helm-controller", "notification-controller"]
    edit = _object(rbac, "ClusterRole", "flux-edit", rules=[{"verbs": ["create", "patch"]}])
    view = _object(rbac, "ClusterRole", "flux-view", rules=[{"verbs": ["get", "list"]}])
    for role in (edit, view):
        role["metadata"]["labels"] |= {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": "flux-system"} for name in names]
    webhooks = {"podSelector": {"matchLabels": {"app": "notification-controller"}}}
    return [
        _object("v1", "Namespace", "flux-system"),
        _definition("buckets.source.toolkit.fluxcd.io"),
        _definition("kustomizations.kustomize.toolkit.fluxcd.io"),
        _definition("helmreleases.helm.toolkit.fluxcd.io"),
        _definition("alerts.notification.toolkit.fluxcd.io"),
        *(_object("v1", "ServiceAccount", name) for name in names),
        edit,
        view,
        _object(rbac, "ClusterRole", "crd-controller", rules=[{"verbs": ["*"]}]),
        _object(rbac, "ClusterRoleBinding", "crd-controller", subjects=subjects),
        _object("v1", "Service", "source-controller", spec={}),
        _object("v1", "Service", "webhook-receiver", spec={}),
        *(_controller(name, "v1.9.5") for name in names),
        _object("networking.k8s.io/v1", "NetworkPolicy", "allow-egress", spec={"podSelector": {}}),
        _object("networking.k8s.io/v1", "NetworkPolicy", "allow-webhooks", spec=webhooks),
    ]
