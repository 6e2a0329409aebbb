"""Upstream's manifests of Flux, made fit for sessions.

This module takes the documents of Flux's install.yaml, leaves out the controllers that no session uses, and
locks the others down. It is pure. Source: flux2 2.9, manifests/install; what it calls its objects isn't
relied on, but for the controllers' own names.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gitops_run.errors import UsageError
from gitops_run.model.manifests.session import Manifest
from gitops_run.model.rights.access import FLUX_HELM_GROUP, FLUX_KUSTOMIZE_GROUP, FLUX_SOURCE_GROUP
from gitops_run.model.rights.lockdown import COMPONENTS, locked_down
from gitops_run.model.rights.pod_security import RESTRICTED, pod_security_labels

PLATFORM_LABEL: Final = "gitops-run.dev/platform"
"""On everything that a platform's stack has made, with the stack's name."""
VERSION_LABEL: Final = "app.kubernetes.io/version"
FLUX_GROUPS: Final = (FLUX_SOURCE_GROUP, FLUX_KUSTOMIZE_GROUP, FLUX_HELM_GROUP)

_OTHERS: Final = (
    "notification-controller",
    "image-reflector-controller",
    "image-automation-controller",
    "source-watcher",
)
_ESTABLISHED: Final = {"pulumi.com/waitFor": "condition=Established"}
_EDITS: Final = "rbac.authorization.k8s.io/aggregate-to-edit"


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxChoice:
    """Describe the wanted Flux. registry: instead of upstream's, "" for that. receiver: of events, or ""."""

    stack: str
    version: str
    registry: str = ""
    receiver: str = ""


def install(documents: Iterable[Manifest | None], choice: FluxChoice) -> tuple[Manifest, ...]:
    """Make upstream's documents ours, in their order. Raises UsageError where something is missing."""
    needed = [document for document in documents if document and _is_needed(document)]
    _refuse_incomplete(needed)
    return tuple(_ours(document, choice) for document in needed)


def images(manifests: Iterable[Manifest]) -> tuple[str, ...]:
    """List the images that manifests run."""
    return tuple(
        sorted({one["image"] for manifest in manifests if is_pods(manifest) for one in _containers(manifest)})
    )


def is_pods(manifest: Manifest) -> bool:
    """Report whether a manifest is one of Flux's controllers."""
    return bool(manifest["kind"] == "Deployment")


def is_kind(manifest: Manifest) -> bool:
    """Report whether a manifest brings a kind."""
    return bool(manifest["kind"] == "CustomResourceDefinition")


def _is_needed(document: Manifest) -> bool:
    if is_kind(document):
        return document["spec"]["group"] in FLUX_GROUPS
    labels = document["metadata"].get("labels") or {}
    if _EDITS in labels and any("create" in rule["verbs"] for rule in document.get("rules") or ()):
        return False  # whoever may edit a namespace would get all rights over Flux's objects in it
    names = {document["metadata"]["name"], labels.get("app.kubernetes.io/component", "")}
    selected = _selected_app(document)
    return not {*names, selected} & set(_OTHERS)


def _selected_app(document: Manifest) -> str:
    spec = document.get("spec") or {}
    selector = spec.get("podSelector") if document["kind"] == "NetworkPolicy" else None
    return str(((selector or {}).get("matchLabels") or {}).get("app", ""))


def _ours(document: Manifest, choice: FluxChoice) -> Manifest:
    manifest: Manifest = copy.deepcopy(document)
    manifest.pop("status", None)
    metadata = manifest["metadata"]
    metadata.pop("creationTimestamp", None)
    metadata["labels"] = {
        **(metadata.get("labels") or {}),
        VERSION_LABEL: f"v{choice.version}",
        PLATFORM_LABEL: choice.stack,
    }
    if is_kind(manifest):
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **_ESTABLISHED}
    if manifest["kind"] == "Namespace":
        metadata["labels"] |= pod_security_labels(RESTRICTED)
    if manifest["kind"] == "ClusterRoleBinding":
        manifest["subjects"] = [one for one in manifest["subjects"] if one["name"] in COMPONENTS]
    if is_pods(manifest):
        _lock_down(manifest, choice)
    return manifest


def _lock_down(deployment: Manifest, choice: FluxChoice) -> None:
    name = deployment["metadata"]["name"]
    for container in _containers(deployment):
        container["image"] = _from_registry(container["image"], choice.registry)
        container["args"] = locked_down(name, container.get("args") or (), choice.receiver)


def _from_registry(image: str, registry: str) -> str:
    return f"{registry.rstrip('/')}/{image.rpartition('/')[2]}" if registry else image


def _containers(deployment: Mapping[str, Any]) -> list[dict[str, Any]]:
    containers: list[dict[str, Any]] = deployment["spec"]["template"]["spec"]["containers"]
    return containers


def _refuse_incomplete(manifests: Sequence[Manifest]) -> None:
    controllers = {manifest["metadata"]["name"] for manifest in manifests if is_pods(manifest)}
    groups = {manifest["spec"]["group"] for manifest in manifests if is_kind(manifest)}
    lacking = [
        *(f"Deployment {name}" for name in COMPONENTS if name not in controllers),
        *(f"the kinds of {group}" for group in FLUX_GROUPS if group not in groups),
    ]
    unknown = controllers - set(COMPONENTS)
    if lacking or unknown:
        said = f"lack {', '.join(lacking)}" if lacking else f"have Deployment {', '.join(sorted(unknown))}"
        raise UsageError(
            f"the manifests {said}, and can't be Flux's",
            hint="manifests: a release's install.yaml, https://github.com/fluxcd/flux2/releases",
        )
