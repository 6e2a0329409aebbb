"""The form in which kustomize-controller sends an object to the API server.

This module knows what matters of the passage through Kubernetes' Go types: fields that a file leaves out and
that Flux owns nevertheless, and fields that it takes out. It does not know the types themselves.
Source: fluxcd/pkg ssa 0.76, normalize/normalize.go and SetOwnerLabels; client-go 0.36, its scheme.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from gitops_run.model.objects.identity import ObjectRef, mapping

Json = Mapping[str, Any]

_TEMPLATE: Final = (("spec", "template"),)
_TEMPLATES: Final[Mapping[tuple[str, str], tuple[tuple[str, ...], ...]]] = {
    ("batch/v1", "Job"): _TEMPLATE,
    ("batch/v1", "CronJob"): (("spec", "jobTemplate"), ("spec", "jobTemplate", "spec", "template")),
    ("apps/v1", "Deployment"): _TEMPLATE,
    ("apps/v1", "StatefulSet"): _TEMPLATE,
    ("apps/v1", "DaemonSet"): _TEMPLATE,
    ("apps/v1", "ReplicaSet"): _TEMPLATE,
}
"""Where native kinds have metadata within: a Go struct, so Flux sends it empty where a file has none.

Without it, the dry run would take away what the API server wrote into it: a Job's template gets labels on
creation, and can't be changed after. A container's resources, into which a LimitRange may write, are alike.
"""
_CONTAINERS: Final = ("containers", "initContainers", "ephemeralContainers")
_CRD: Final = "CustomResourceDefinition"
_GO_TYPED_GROUPS: Final = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apps",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "extensions",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    }
)
_SENT_RAW: Final = (("rbac.authorization.k8s.io/v1", "Role"), ("rbac.authorization.k8s.io/v1", "ClusterRole"))
"""Kinds that Flux leaves out, since the passage would reset their rules (kustomize-controller#1041)."""


def drops_unknown_fields(ref: ObjectRef) -> bool:
    """Report whether an object passes through Go types, which drops the fields that its kind doesn't have."""
    return ref.group in _GO_TYPED_GROUPS and (ref.api_version, ref.kind) not in _SENT_RAW


def drops_labels(body: Json) -> bool:
    """Report whether Flux drops all labels of an object as it adds its own: one that is no text is enough."""
    own = mapping(body.get("metadata")).get("labels")
    is_text = isinstance(own, Mapping) and all(isinstance(value, str) for value in own.values())
    return own is not None and not is_text


def as_flux_applies(body: Json, labels: Json) -> Json:
    """Write an object as Flux sends it. labels: by which Flux marks what it owns."""
    metadata = dict(mapping(body.get("metadata")))
    metadata.pop("creationTimestamp", None)
    own = {} if drops_labels(body) else metadata.get("labels") or {}
    metadata["labels"] = {**own, **labels}
    kept = {key: value for key, value in body.items() if key != "status" or body.get("kind") == _CRD}
    sent: Json = {**kept, "metadata": metadata}
    kind = (str(body.get("apiVersion")), str(body.get("kind")))
    for path in _TEMPLATES.get(kind, ()):
        sent = _changed_at(sent, path, partial(_with_struct, name="metadata"))
        sent = _changed_at(sent, (*path, "spec"), _with_resources)
    return _changed_at(sent, ("spec",), _with_resources) if kind == ("v1", "Pod") else sent


def _changed_at(body: Json, path: tuple[str, ...], change: Callable[[Json], Json]) -> Json:
    """Change what is at a path, where that is a mapping."""
    if not path:
        return change(body)
    inner = body.get(path[0])
    return {**body, path[0]: _changed_at(inner, path[1:], change)} if isinstance(inner, Mapping) else body


def _with_struct(body: Json, name: str) -> Json:
    return {**body, name: {}} if body.get(name) is None else body


def _with_resources(pod: Json) -> Json:
    """Add empty resources to the containers of a pod's spec; what is no list of mappings stays."""
    found = {key: pod[key] for key in _CONTAINERS if isinstance(pod.get(key), list)}
    changed = {
        key: [_with_struct(one, "resources") if isinstance(one, Mapping) else one for one in items]
        for key, items in found.items()
    }
    return {**pod, **changed}
