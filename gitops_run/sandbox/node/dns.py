"""The cluster's name server: CoreDNS in a pod, as Kubernetes' own deployments have it.

It knows the cluster's names alone. Names outside are refused: no pod of a sandbox reaches further.
"""

from __future__ import annotations

from typing import Any

from gitops_run.sandbox.node.configuration import CLUSTER_DOMAIN
from gitops_run.sandbox.node.images import coredns_image
from gitops_run.sandbox.node.network import DNS_ADDRESS

NAMESPACE = "kube-system"
READY_PATH = f"/api/v1/namespaces/{NAMESPACE}/services/kube-dns:ready/proxy/ready"
"""Where the API server asks a running CoreDNS, through the service: 200 once it answers for the cluster."""

_NAME = "coredns"
_DNS_PORT, _READY_PORT, _HEALTH_PORT = 10053, 8181, 8080
_LABELS = {"k8s-app": "kube-dns"}
_COREFILE = f""".:{_DNS_PORT} {{
    errors
    health :{_HEALTH_PORT}
    ready :{_READY_PORT}
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa {{
        pods insecure
        ttl 5
    }}
    cache 5
    loadbalance
}}
"""


def dns_objects() -> tuple[dict[str, Any], ...]:
    """Describe everything that CoreDNS needs, in an order in which it can be applied."""
    return (_account(), _role(), _binding(), _settings(), _deployment(), _service())


def _metadata(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": NAMESPACE, "labels": _LABELS}


def _account() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(_NAME)}


def _role() -> dict[str, Any]:
    read = ["list", "watch"]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "system:coredns"},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": read},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
        ],
    }


def _binding() -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "system:coredns"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:coredns",
        },
        "subjects": [{"kind": "ServiceAccount", "name": _NAME, "namespace": NAMESPACE}],
    }


def _settings() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(_NAME),
        "data": {"Corefile": _COREFILE},
    }


def _deployment() -> dict[str, Any]:
    pod = {
        "serviceAccountName": _NAME,
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "containers": [_container()],
        "volumes": [{"name": "settings", "configMap": {"name": _NAME}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(_NAME),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": pod},
        },
    }


def _container() -> dict[str, Any]:
    ports = (("dns", _DNS_PORT, "UDP"), ("dns-tcp", _DNS_PORT, "TCP"))
    return {
        "name": _NAME,
        "image": coredns_image(),
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [{"name": n, "containerPort": port, "protocol": proto} for n, port, proto in ports],
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/coredns", "readOnly": True}],
        "resources": {"requests": {"cpu": "50m", "memory": "40Mi"}, "limits": {"memory": "170Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": _READY_PORT}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": _HEALTH_PORT}, "failureThreshold": 5},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _service() -> dict[str, Any]:
    ports = (
        ("dns", 53, _DNS_PORT, "UDP"),
        ("dns-tcp", 53, _DNS_PORT, "TCP"),
        ("ready", 8181, _READY_PORT, "TCP"),
    )
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata("kube-dns"),
        "spec": {
            "clusterIP": DNS_ADDRESS,
            "selector": _LABELS,
            "ports": [
                {"name": name, "port": port, "targetPort": target, "protocol": protocol}
                for name, port, target, protocol in ports
            ],
        },
    }
