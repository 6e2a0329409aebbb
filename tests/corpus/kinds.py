"""Kinds of other projects that targets apply objects of; they accept any content."""

from __future__ import annotations

from typing import Any

_KINDS = (
    ("cert-manager.io", "v1", "Certificate Issuer"),
    ("monitoring.coreos.com", "v1", "PodMonitor PrometheusRule ServiceMonitor"),
)


def _definition(group: str, version: str, kind: str) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural},
            "scope": "Namespaced",
            "versions": [served],
        },
    }


KINDS = tuple(_definition(group, version, kind) for group, version, kinds in _KINDS for kind in kinds.split())
