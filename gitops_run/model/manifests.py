"""What a session puts into its cluster, as Kubernetes writes it.

Turns a SessionSpec into manifests, whole and in order. Knows the forms of core, RBAC and Flux's v1 kinds, and
nothing of how they get there. Source: Flux 2.7 API reference, Bucket v1 and Kustomization v1.
"""

from __future__ import annotations

from typing import Any

from gitops_run.model.access import (
    FLUX_KUSTOMIZE_GROUP,
    FLUX_SOURCE_GROUP,
    Rule,
    applier_rules,
    owner_rules,
)
from gitops_run.model.session import (
    APPLIER,
    CREATED_ANNOTATION,
    MANAGED_BY_LABEL,
    MANAGER,
    OWNER_ANNOTATION,
    PART_OF_LABEL,
    READER_SECRET,
    ROOT_ANNOTATION,
    SESSION_LABEL,
    TARGET_ANNOTATION,
    WRITER_SECRET,
    SessionName,
    applied_path,
)
from gitops_run.model.session_spec import AwsStore, KeyPair, SessionSpec

Manifest = dict[str, Any]

OWNER_ROLE = "session-owner"

FLUX_INTERVAL = "24h"
"""The loop asks Flux to reconcile after each save; the interval only mends drift."""
FETCH_TIMEOUT = "60s"
APPLY_TIMEOUT = "60s"
RETRY_INTERVAL = "15s"

_RBAC = "rbac.authorization.k8s.io"


def labels(name: SessionName) -> dict[str, str]:
    """List the labels that everything of a session carries."""
    return {MANAGED_BY_LABEL: MANAGER, PART_OF_LABEL: MANAGER, SESSION_LABEL: name.text}


def namespace(spec: SessionSpec) -> Manifest:
    """Write the session's namespace."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": spec.namespace, "labels": labels(spec.name)},
    }


def service_account(spec: SessionSpec) -> Manifest:
    """Write the account under which Flux applies the session."""
    return _object(spec, "v1", "ServiceAccount", APPLIER)


def applier_role(spec: SessionSpec) -> Manifest:
    """Write what Flux may apply for the session."""
    return _role(spec, APPLIER, applier_rules())


def applier_binding(spec: SessionSpec) -> Manifest:
    """Write the binding of that role to the session's account."""
    account = {"kind": "ServiceAccount", "name": APPLIER, "namespace": spec.namespace}
    return _binding(spec, APPLIER, account)


def owner_role(spec: SessionSpec) -> Manifest:
    """Write what the session's owner may do."""
    return _role(spec, OWNER_ROLE, owner_rules(spec.name))


def owner_binding(spec: SessionSpec) -> Manifest:
    """Write the binding of that role to the owner's Kubernetes user."""
    return _binding(spec, OWNER_ROLE, {"apiGroup": _RBAC, "kind": "User", "name": spec.owner})


def reader_secret(spec: SessionSpec, key: KeyPair) -> Manifest:
    """Write the Secret with Flux's key, and the endpoint's CA beside it."""
    data = {"accesskey": key.access_key, "secretkey": key.secret_key, **_ca(spec)}
    return {**_object(spec, "v1", "Secret", READER_SECRET), "stringData": data}


def writer_secret(spec: SessionSpec, key: KeyPair) -> Manifest:
    """Write the Secret with everything that the loop needs to reach the bucket."""
    data = {
        "endpoint": spec.store.endpoint,
        "region": spec.store.region,
        "bucket": spec.bucket,
        "accesskey": key.access_key,
        "secretkey": key.secret_key,
        **_ca(spec),
    }
    return {**_object(spec, "v1", "Secret", WRITER_SECRET), "stringData": data}


def source_bucket(spec: SessionSpec) -> Manifest:
    """Write the Flux Bucket, with what a person wants to know of the session in its annotations."""
    manifest = _flux_object(spec, f"{FLUX_SOURCE_GROUP}/v1", "Bucket")
    manifest["metadata"]["annotations"] |= {
        OWNER_ANNOTATION: spec.owner,
        TARGET_ANNOTATION: spec.target,
        ROOT_ANNOTATION: spec.root,
        CREATED_ANNOTATION: spec.created,
    }
    source = {
        "provider": "aws" if isinstance(spec.store, AwsStore) else "generic",
        "bucketName": spec.bucket,
        "endpoint": spec.store.endpoint.removeprefix("https://"),
        "region": spec.store.region,
        "interval": FLUX_INTERVAL,
        "timeout": FETCH_TIMEOUT,
        "secretRef": {"name": READER_SECRET},
    }
    trust = {"certSecretRef": {"name": READER_SECRET}} if spec.store.ca else {}
    return {**manifest, "spec": {**source, **trust}}


def kustomization(spec: SessionSpec) -> Manifest:
    """Write the Kustomization: it prunes, waits for nothing, and takes its objects along when it goes."""
    return {
        **_flux_object(spec, f"{FLUX_KUSTOMIZE_GROUP}/v1", "Kustomization"),
        "spec": {
            "sourceRef": {"kind": "Bucket", "name": spec.name.text},
            "path": applied_path(spec.target),
            "serviceAccountName": APPLIER,
            "targetNamespace": spec.namespace,
            "prune": True,
            "wait": False,
            "interval": FLUX_INTERVAL,
            "retryInterval": RETRY_INTERVAL,
            "timeout": APPLY_TIMEOUT,
            "deletionPolicy": "WaitForTermination",
        },
    }


def _object(spec: SessionSpec, api_version: str, kind: str, name: str) -> Manifest:
    metadata = {"name": name, "namespace": spec.namespace, "labels": labels(spec.name)}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _flux_object(spec: SessionSpec, api_version: str, kind: str) -> Manifest:
    """Write the head of an object of Flux, which Pulumi is to delete in the background.

    A foreground deletion adds a finalizer that Flux's patches then put back: the API server refuses those
    while the object goes, and Flux tries again for seconds. Pulumi waits until it is gone either way.
    """
    manifest = _object(spec, api_version, kind, spec.name.text)
    manifest["metadata"]["annotations"] = {"pulumi.com/deletionPropagationPolicy": "background"}
    return manifest


def _role(spec: SessionSpec, name: str, rules: list[Rule]) -> Manifest:
    return {**_object(spec, f"{_RBAC}/v1", "Role", name), "rules": rules}


def _binding(spec: SessionSpec, name: str, subject: dict[str, str]) -> Manifest:
    role = {"apiGroup": _RBAC, "kind": "Role", "name": name}
    return {**_object(spec, f"{_RBAC}/v1", "RoleBinding", name), "roleRef": role, "subjects": [subject]}


def _ca(spec: SessionSpec) -> dict[str, str]:
    return {"ca.crt": spec.store.ca} if spec.store.ca else {}
