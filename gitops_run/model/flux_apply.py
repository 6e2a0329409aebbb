"""The form in which kustomize-controller sends an object to the API server.

Knows what matters of the passage through Kubernetes' Go types: fields that a file leaves out and that Flux
owns nevertheless, and fields that it takes out. Does not know the types themselves.
Source: fluxcd/pkg ssa 0.76, normalize/normalize.go and SetOwnerLabels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from gitops_run.model.objects import mapping

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


def as_flux_applies(body: Json, labels: Json) -> Json:
    """Write an object as Flux sends it. labels: by which Flux marks what it owns."""
    metadata = dict(mapping(body.get("metadata")))
    metadata.pop("creationTimestamp", None)
    own = metadata.get("labels")
    if own is None or isinstance(own, Mapping):
        metadata["labels"] = {**(own or {}), **labels}
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
