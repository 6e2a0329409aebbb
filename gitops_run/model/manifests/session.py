"""What a session puts into its cluster, as Kubernetes writes it.

This module turns a SessionSpec into manifests, whole and in order. It knows the forms of core, RBAC and
Flux's v1 kinds, and nothing of how they get there. Source: Flux 2.7 API reference, Bucket v1 and
Kustomization v1.
"""

from __future__ import annotations

from typing import Any

from gitops_run.model.manifests.store_server import forward_rules
from gitops_run.model.names import (
    ACCOUNT,
    CREATED_ANNOTATION,
    DECRYPTION_SECRET,
    ISOLATION_ANNOTATION,
    MANAGED_BY_LABEL,
    MANAGER,
    OWNER_ANNOTATION,
    OWNER_ROLE,
    PART_OF_LABEL,
    READER_SECRET,
    RECORD_MAP,
    ROOT_ANNOTATION,
    SESSION_LABEL,
    STACK_ANNOTATION,
    STATE_MAP,
    STORE_PREFIX,
    STORE_SERVER,
    STORE_SERVER_PORT,
    TARGET_ANNOTATION,
    TEAM_LABEL,
    VARIABLES_SECRET,
    WRITER_SECRET,
    SessionName,
    applied_path,
    cluster_binding_name,
)
from gitops_run.model.rights.access import (
    FLUX_HELM_GROUP,
    FLUX_KUSTOMIZE_GROUP,
    FLUX_SOURCE_GROUP,
    Rule,
    account_rules,
    bound_rules,
    owner_rules,
)
from gitops_run.model.rights.pod_security import pod_security_labels
from gitops_run.model.session.isolation import CLUSTER
from gitops_run.model.session.limits import time_annotations
from gitops_run.model.session.spec import (
    AwsStore,
    HelmApplier,
    InClusterStore,
    KustomizeApplier,
    SessionSpec,
)
from gitops_run.model.store.keys import KeyPair

Manifest = dict[str, Any]

FLUX_INTERVAL = "24h"
"""The loop asks Flux to reconcile after each save; the interval only mends drift."""
FETCH_TIMEOUT = "60s"
APPLY_TIMEOUT = "60s"
RETRY_INTERVAL = "15s"

CLUSTER_ADMIN = "cluster-admin"
"""Kubernetes' own role: a target may define kinds that no list of ours could name."""
_RBAC = "rbac.authorization.k8s.io"


def labels(name: SessionName) -> dict[str, str]:
    """List the labels that everything of a session carries."""
    return {MANAGED_BY_LABEL: MANAGER, PART_OF_LABEL: MANAGER, SESSION_LABEL: name.text}


def team_labels(spec: SessionSpec) -> dict[str, str]:
    """List the label of the session's team; none for a session without one."""
    return {TEAM_LABEL: spec.team} if spec.team else {}


def namespace(spec: SessionSpec, stack: str) -> Manifest:
    """Write the session's namespace, where only pods run that can't harm their node. stack: PROJECT/STACK."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": spec.namespace,
            "labels": labels(spec.name) | team_labels(spec) | pod_security_labels(spec.pod_security),
            "annotations": {STACK_ANNOTATION: stack},
        },
    }


def record_maps(spec: SessionSpec) -> tuple[Manifest, Manifest]:
    """Write the ConfigMaps of the session's state and record, empty: what is in them is the loop's."""
    return (
        session_object(spec, "v1", "ConfigMap", STATE_MAP),
        session_object(spec, "v1", "ConfigMap", RECORD_MAP),
    )


def service_account(spec: SessionSpec) -> Manifest:
    """Write the account under which Flux applies the session."""
    return session_object(spec, "v1", "ServiceAccount", ACCOUNT)


def account_role(spec: SessionSpec) -> Manifest:
    """Write what Flux may apply for the session."""
    return _role(spec, ACCOUNT, account_rules(is_helm=isinstance(spec.applier, HelmApplier)))


def account_binding(spec: SessionSpec) -> Manifest:
    """Write the binding of that role to the session's account."""
    account = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": spec.namespace}
    return _binding(spec, ACCOUNT, account)


def cluster_binding(spec: SessionSpec) -> Manifest:
    """Write what lets Flux apply anything anywhere for a session with isolation cluster."""
    manifest = session_object(spec, f"{_RBAC}/v1", "ClusterRoleBinding", cluster_binding_name(spec.namespace))
    del manifest["metadata"]["namespace"]
    account = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": spec.namespace}
    role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": CLUSTER_ADMIN}
    return {**manifest, "roleRef": role, "subjects": [account]}


def owner_role(spec: SessionSpec) -> Manifest:
    """Write what the session's owner may do."""
    forward = forward_rules() if isinstance(spec.store, InClusterStore) else []
    bounds = bound_rules() if spec.bounds else []
    is_helm = isinstance(spec.applier, HelmApplier)
    rules = owner_rules(spec.name, spec.namespace, is_helm=is_helm)
    return _role(spec, OWNER_ROLE, [*rules, *bounds, *forward])


def owner_binding(spec: SessionSpec) -> Manifest:
    """Write the binding of that role to the owner's Kubernetes user."""
    return _binding(spec, OWNER_ROLE, {"apiGroup": _RBAC, "kind": "User", "name": spec.owner})


def reader_secret(spec: SessionSpec, key: KeyPair, ca: str) -> Manifest:
    """Write the Secret with Flux's key, and the endpoint's CA."""
    data = {"accesskey": key.access_key, "secretkey": key.secret_key, **_ca(ca)}
    return {**session_object(spec, "v1", "Secret", READER_SECRET), "stringData": data}


def writer_secret(spec: SessionSpec, key: KeyPair, ca: str) -> Manifest:
    """Write the Secret with everything that the loop needs to reach the bucket."""
    data = {
        "endpoint": spec.store.endpoint,
        "region": spec.store.region,
        "bucket": spec.bucket,
        "accesskey": key.access_key,
        "secretkey": key.secret_key,
        **_ca(ca),
        **_forward(spec),
    }
    return {**session_object(spec, "v1", "Secret", WRITER_SECRET), "stringData": data}


def decryption_secret(spec: SessionSpec) -> Manifest:
    """Write the Secret with the age key. Flux applies again when it changes, which is what the label asks."""
    manifest = session_object(spec, "v1", "Secret", DECRYPTION_SECRET)
    manifest["metadata"]["labels"] |= {"reconcile.fluxcd.io/watch": "Enabled"}
    key = spec.applier.decryption_key if isinstance(spec.applier, KustomizeApplier) else ""
    return {**manifest, "stringData": {"age.agekey": key}}


def variables_secret(spec: SessionSpec) -> Manifest:
    """Write the Secret with the variables that are secret. Flux applies again when it changes, as above."""
    manifest = session_object(spec, "v1", "Secret", VARIABLES_SECRET)
    manifest["metadata"]["labels"] |= {"reconcile.fluxcd.io/watch": "Enabled"}
    variables = spec.applier.secret_variables if isinstance(spec.applier, KustomizeApplier) else {}
    return {**manifest, "stringData": dict(variables)}


def source_bucket(spec: SessionSpec) -> Manifest:
    """Write the Flux Bucket, with what a person wants to know of the session in its annotations."""
    manifest = _flux_object(spec, f"{FLUX_SOURCE_GROUP}/v1", "Bucket")
    manifest["metadata"]["annotations"] |= {
        OWNER_ANNOTATION: spec.owner,
        TARGET_ANNOTATION: spec.target,
        ROOT_ANNOTATION: spec.root,
        CREATED_ANNOTATION: spec.created,
        **time_annotations(spec.limits, spec.created),
        **({ISOLATION_ANNOTATION: spec.isolation} if spec.bounds else {}),
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
    trust = {"certSecretRef": {"name": READER_SECRET}} if spec.store.has_ca else {}
    return {**manifest, "spec": {**source, **trust}}


def applier(spec: SessionSpec) -> Manifest:
    """Write what applies the session: a Kustomization, or a HelmRelease for a chart."""
    if isinstance(spec.applier, HelmApplier):
        return helm_release(spec, spec.applier)
    return kustomization(spec, spec.applier)


def kustomization(spec: SessionSpec, applier: KustomizeApplier) -> Manifest:
    """Write the Kustomization: it prunes, waits for nothing, and takes its objects along when it goes.

    With isolation cluster, each object goes where it says: a namespace for all would rename Namespaces too.
    """
    namespace = {} if spec.isolation == CLUSTER else {"targetNamespace": spec.namespace}
    return {
        **_flux_object(spec, f"{FLUX_KUSTOMIZE_GROUP}/v1", "Kustomization"),
        "spec": {
            "sourceRef": {"kind": "Bucket", "name": spec.name.text},
            "path": applied_path(spec.target),
            "serviceAccountName": ACCOUNT,
            **namespace,
            "prune": True,
            "wait": False,
            "interval": FLUX_INTERVAL,
            "retryInterval": RETRY_INTERVAL,
            "timeout": APPLY_TIMEOUT,
            "deletionPolicy": "WaitForTermination",
            **_post_build(applier),
            **_decryption(applier),
        },
    }


def helm_release(spec: SessionSpec, applier: HelmApplier) -> Manifest:
    """Write the HelmRelease: it waits for nothing, and a failed upgrade goes back to the last good release.

    No retries: a save is tried once, and the next one is a new chart version, which is tried again.
    """
    chart = {
        "chart": applied_path(spec.target),
        "sourceRef": {"kind": "Bucket", "name": spec.name.text},
        "reconcileStrategy": "Revision",
        "interval": FLUX_INTERVAL,
        "valuesFiles": [f"./{STORE_PREFIX}{path}" for path in applier.values_files],
    }
    if not applier.values_files:
        del chart["valuesFiles"]
    remediation = {"retries": 0, "remediateLastFailure": True}
    return {
        **_flux_object(spec, f"{FLUX_HELM_GROUP}/v2", "HelmRelease"),
        "spec": {
            "chart": {"spec": chart},
            "releaseName": applier.release_name,
            "targetNamespace": spec.namespace,
            "storageNamespace": spec.namespace,
            "serviceAccountName": ACCOUNT,
            "interval": FLUX_INTERVAL,
            "timeout": APPLY_TIMEOUT,
            "install": {"disableWait": True, "remediation": remediation},
            "upgrade": {
                "disableWait": True,
                "cleanupOnFail": True,
                "remediation": {**remediation, "strategy": "rollback"},
            },
            "rollback": {"disableWait": True, "cleanupOnFail": True},
        },
    }


def _post_build(applier: KustomizeApplier) -> dict[str, Any]:
    build: dict[str, Any] = {}
    if applier.substitute:
        build["substitute"] = dict(pair.split("=", 1) for pair in applier.substitute)
    own = (f"Secret/{VARIABLES_SECRET}",) if applier.secret_variables else ()
    if applier.substitute_from or own:
        pairs = [source.split("/", 1) for source in (*applier.substitute_from, *own)]
        build["substituteFrom"] = [{"kind": kind, "name": name} for kind, name in pairs]
    return {"postBuild": build} if build else {}


def _decryption(applier: KustomizeApplier) -> dict[str, Any]:
    if not applier.decryption_key:
        return {}
    return {"decryption": {"provider": "sops", "secretRef": {"name": DECRYPTION_SECRET}}}


def session_object(spec: SessionSpec, api_version: str, kind: str, name: str) -> Manifest:
    """Write the head of an object in a session's namespace, with the session's labels."""
    metadata = {"name": name, "namespace": spec.namespace, "labels": labels(spec.name)}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _flux_object(spec: SessionSpec, api_version: str, kind: str) -> Manifest:
    """Write the head of an object of Flux, which Pulumi is to delete in the background.

    A foreground deletion adds a finalizer that Flux's patches then put back: the API server refuses those
    while the object goes, and Flux tries again for seconds. Pulumi waits until it is gone either way.
    """
    manifest = session_object(spec, api_version, kind, spec.name.text)
    manifest["metadata"]["annotations"] = {"pulumi.com/deletionPropagationPolicy": "background"}
    return manifest


def _role(spec: SessionSpec, name: str, rules: list[Rule]) -> Manifest:
    return {**session_object(spec, f"{_RBAC}/v1", "Role", name), "rules": rules}


def _binding(spec: SessionSpec, name: str, subject: dict[str, str]) -> Manifest:
    role = {"apiGroup": _RBAC, "kind": "Role", "name": name}
    return {
        **session_object(spec, f"{_RBAC}/v1", "RoleBinding", name),
        "roleRef": role,
        "subjects": [subject],
    }


def _ca(ca: str) -> dict[str, str]:
    return {"ca.crt": ca} if ca else {}


def _forward(spec: SessionSpec) -> dict[str, str]:
    """Report by which pod the store is reached from outside of the cluster, where that is the way."""
    is_inside = isinstance(spec.store, InClusterStore)
    return {"forward": f"{STORE_SERVER}-0:{STORE_SERVER_PORT}"} if is_inside else {}
