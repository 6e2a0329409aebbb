"""Whose an object in the cluster is: this session's, or someone else's, and then whose.

This module knows the marks that Flux, Helm, Kubernetes' controllers and sessions leave on what they own. An
object without any mark, that this session didn't make, is someone's too: a person's, or the cluster's.
Source: kustomize-controller 1.9, helm-controller 1.6, Helm 3 and 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitops_run.model.names import (
    ACCOUNT,
    DECRYPTION_SECRET,
    INGRESS_POLICY,
    OWNER_ROLE,
    QUOTA,
    READER_SECRET,
    RECORD_MAP,
    REQUEST_DEFAULTS,
    SESSION_LABEL,
    STATE_MAP,
    STORE_SERVER,
    TOKEN_ACCOUNT,
    TOKEN_TYPE,
    VARIABLES_SECRET,
    WRITER_SECRET,
    chart_name,
    cluster_binding_name,
)
from gitops_run.model.objects.identity import ObjectRef, RenderedObject, mapping

Json = Mapping[str, Any]

KUSTOMIZE_LABEL = "kustomize.toolkit.fluxcd.io"
HELM_LABEL = "helm.toolkit.fluxcd.io"
_HELM_RELEASE = "meta.helm.sh/release-name"
_HELM_NAMESPACE = "meta.helm.sh/release-namespace"
OWNER_LABELS = frozenset(
    f"{prefix}/{what}" for prefix in (KUSTOMIZE_LABEL, HELM_LABEL) for what in ("name", "namespace")
)
_MACHINERY = ("kube-controller-manager", "kube-apiserver")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlace:
    """Name the session that applies: its Kustomization or HelmRelease has its name, in its namespace.

    is_wide: its objects go where they say, in the whole cluster.
    """

    name: str
    namespace: str
    is_wide: bool = False

    def is_own_part(self, ref: ObjectRef) -> bool:
        """Report whether an object is one that the session itself is made of: nothing may apply it."""
        if ref.kind == "Namespace":
            return ref.name == self.namespace
        if ref.namespace not in ("", self.namespace):
            return False
        parts = {
            "ServiceAccount": {ACCOUNT},
            "ConfigMap": {STATE_MAP, RECORD_MAP},
            "Secret": {READER_SECRET, WRITER_SECRET, DECRYPTION_SECRET, VARIABLES_SECRET, STORE_SERVER},
            "StatefulSet": {STORE_SERVER},
            "Pod": {f"{STORE_SERVER}-0"},
            "Service": {STORE_SERVER},
            "NetworkPolicy": {STORE_SERVER, INGRESS_POLICY},
            "ResourceQuota": {QUOTA},
            "LimitRange": {REQUEST_DEFAULTS},
            "Role": {ACCOUNT, OWNER_ROLE},
            "RoleBinding": {ACCOUNT, OWNER_ROLE},
            "ClusterRoleBinding": {cluster_binding_name(self.namespace)},
            "Bucket": {self.name},
            "Kustomization": {self.name},
            "HelmRelease": {self.name},
            "HelmChart": {chart_name(self.namespace, self.name)},
            "Lease": {self.name},
        }
        return ref.name in parts.get(ref.kind, ())


def own_claim(item: RenderedObject, session: SessionPlace) -> str:
    """Describe what a rendered object has of the session itself, as a sentence's end; "" for nothing.

    The session's label makes an object a part of it to the platform's admission policies, and a token of the
    account that applies would outlive every change of its rights.
    """
    if session.is_own_part(item.ref):
        return "belongs to the session itself"
    metadata = mapping(item.body.get("metadata"))
    if SESSION_LABEL in mapping(metadata.get("labels")):
        return f"has the label {SESSION_LABEL}, which marks the session's own objects"
    account = mapping(metadata.get("annotations")).get(TOKEN_ACCOUNT)
    if item.ref.kind == "Secret" and item.body.get("type") == TOKEN_TYPE and account == ACCOUNT:
        return f"is a token of {ACCOUNT}, the session's own account"
    return ""


def owner_labels(session: SessionPlace) -> Mapping[str, str]:
    """List the labels by which a session's Kustomization marks each object that it applies."""
    return {f"{KUSTOMIZE_LABEL}/name": session.name, f"{KUSTOMIZE_LABEL}/namespace": session.namespace}


def foreign_owner(live: Json, session: SessionPlace) -> str:
    """Report who owns a live object, as a sentence's end: "belongs to Kustomization a/b"; "" where we do."""
    metadata = live.get("metadata") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    owners = [
        (kind, _pair(labels, prefix))
        for kind, prefix in (("Kustomization", KUSTOMIZE_LABEL), ("HelmRelease", HELM_LABEL))
        if _pair(labels, prefix) != ("", "")
    ]
    if any(pair == (session.namespace, session.name) for _, pair in owners):
        return ""
    if owners:
        kind, (namespace, name) = owners[0]
        return f"belongs to {kind} {namespace}/{name}"
    if SESSION_LABEL in labels:
        return f"belongs to session {labels[SESSION_LABEL]} itself"
    if release := annotations.get(_HELM_RELEASE):
        return f"belongs to Helm release {annotations.get(_HELM_NAMESPACE, '')}/{release}"
    if parent := next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), None):
        return f"belongs to {parent['kind']} {parent['name']}"
    return _maker(metadata)


def _pair(labels: Mapping[str, str], prefix: str) -> tuple[str, str]:
    return labels.get(f"{prefix}/namespace", ""), labels.get(f"{prefix}/name", "")


def _maker(metadata: Json) -> str:
    """Name who made an object that bears no mark, from the managers of its fields."""
    managers = sorted({str(entry.get("manager")) for entry in metadata.get("managedFields") or ()} - {"None"})
    if not managers or set(managers) <= set(_MACHINERY):
        return "was created by Kubernetes itself"
    return f"was created by someone else, with {', '.join(managers)}"
