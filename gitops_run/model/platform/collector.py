"""The collector in a cluster: `gc --apply` as a CronJob, with an account that may do no more than it does.

RBAC can't bind rights to labels, so an admission policy does: the account changes and deletes only what
carries a session's label, and tombstones. It reads no Secret: those go with a session's namespace. Source:
Kubernetes 1.30 and later.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gitops_run.model.manifests.session import Manifest
from gitops_run.model.names import RECORD_MAP, SESSION_LABEL, STATE_MAP
from gitops_run.model.platform.admission import POLICY_GROUP, POLICY_KINDS, SESSION_OBJECTS, binding
from gitops_run.model.rights.access import READ_VERBS, Rule, rule_of
from gitops_run.model.rights.policy import requests_to
from gitops_run.model.session.tombstone import TOMBSTONE_LABEL, TOMBSTONE_NAMESPACE

COLLECTOR: Final = "gitops-run-collector"
COLLECTOR_NAMESPACE: Final = "gitops-run-system"
COLLECTOR_CONTEXT: Final = "in-cluster"
_ACCOUNT: Final = {"kind": "ServiceAccount", "name": COLLECTOR, "namespace": COLLECTOR_NAMESPACE}
_USER: Final = f"system:serviceaccount:{COLLECTOR_NAMESPACE}:{COLLECTOR}"
_RBAC: Final = "rbac.authorization.k8s.io"
_FILES: Final = "/etc/gitops-run"
_GIVEN: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_RUN_S: Final = 900
"""How long one run may take: ending a session takes seconds, a stuck one is reported after a minute."""
_DELETED: Final = (
    ("", ["configmaps", "limitranges", "resourcequotas", "serviceaccounts", "services"]),
    ("apps", ["statefulsets"]),
    ("networking.k8s.io", ["networkpolicies"]),
    (_RBAC, ["clusterrolebindings", "roles", "rolebindings"]),
)
"""What a session is made of, but for its Flux objects and its Secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Say how the collector runs. image: of this project. schedule: as cron writes it, in UTC."""

    image: str
    schedule: str


def collector_rules(viewer: list[Rule]) -> list[Rule]:
    """List what collecting takes. viewer: what it takes to see every session."""
    return [
        *viewer,
        rule_of("", ["namespaces"], ["delete"]),
        *(rule_of(group, [plural], ["delete", "patch"]) for group, plural in SESSION_OBJECTS),
        rule_of("coordination.k8s.io", ["leases"], ["delete", "update"]),
        *(rule_of(group, plurals, [*READ_VERBS, "delete"]) for group, plurals in _DELETED),
        {**rule_of("", ["configmaps"], ["patch"]), "resourceNames": [STATE_MAP, RECORD_MAP]},
    ]


def collector_objects(
    collector: Collector, labels: Mapping[str, str], viewer: list[Rule]
) -> tuple[Manifest, ...]:
    """Write the collector's objects, its namespace first. viewer: as in collector_rules."""

    def made(api_version: str, kind: str, name: str = COLLECTOR, namespace: str = "") -> Manifest:
        where = {"namespace": namespace} if namespace else {}
        metadata = {"name": name, **where, "labels": dict(labels)}
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata}

    here, policy = COLLECTOR_NAMESPACE, f"{POLICY_GROUP}/v1"
    space = made("v1", "Namespace", here)
    space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "restricted"
    words = made(f"{_RBAC}/v1", "Role", namespace=TOMBSTONE_NAMESPACE)
    bound = made(f"{_RBAC}/v1", "RoleBinding", namespace=TOMBSTONE_NAMESPACE)
    return (
        space,
        made("v1", "ServiceAccount", namespace=here),
        {**made(f"{_RBAC}/v1", "ClusterRole"), "rules": collector_rules(viewer)},
        {**made(f"{_RBAC}/v1", "ClusterRoleBinding"), **_binds("ClusterRole")},
        {**words, "rules": [rule_of("", ["configmaps"], ["create", "patch"])]},
        {**bound, **_binds("Role")},
        {**made(policy, POLICY_KINDS[0]), "spec": _policy()},
        {**made(policy, POLICY_KINDS[1]), "spec": binding(COLLECTOR)},
        {**made("v1", "ConfigMap", namespace=here), "data": {"kubeconfig": json.dumps(_kubeconfig())}},
        {**made("batch/v1", "CronJob", namespace=here), "spec": _cron_job(collector)},
    )


def _policy() -> dict[str, Any]:
    labels = "(oldObject == null ? object : oldObject).metadata"
    known = " || ".join(f"'{label}' in {labels}.labels" for label in (SESSION_LABEL, TOMBSTONE_LABEL))
    rule = requests_to("*", "*", "CREATE", "UPDATE", "DELETE", scope="*")
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [
            {"name": "is-collector", "expression": f"request.userInfo.username == '{_USER}'"}
        ],
        "validations": [
            {
                "expression": f"has({labels}.labels) && ({known})",
                "message": "the collector changes and deletes only what carries a session's label",
            }
        ],
    }


def _kubeconfig() -> dict[str, Any]:
    """Write how a pod reaches its cluster, so that gc needs no other way to connect than everywhere."""
    cluster = {"server": "https://kubernetes.default.svc", "certificate-authority": f"{_GIVEN}/ca.crt"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": COLLECTOR_CONTEXT, "cluster": cluster}],
        "users": [{"name": COLLECTOR_CONTEXT, "user": {"tokenFile": f"{_GIVEN}/token"}}],
        "contexts": [
            {
                "name": COLLECTOR_CONTEXT,
                "context": {"cluster": COLLECTOR_CONTEXT, "user": COLLECTOR_CONTEXT},
            }
        ],
        "current-context": COLLECTOR_CONTEXT,
    }


def _container(image: str) -> dict[str, Any]:
    where = ("--kubeconfig", f"{_FILES}/kubeconfig", "--context", COLLECTOR_CONTEXT)
    return {
        "name": "collector",
        "image": image,
        "args": ["gc", "--apply", *where, "--allow-contexts", COLLECTOR_CONTEXT],
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108 - the pod's own
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "volumeMounts": [
            {"name": "kubeconfig", "mountPath": _FILES, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the same
        ],
    }


def _cron_job(collector: Collector) -> dict[str, Any]:
    pod = {
        "serviceAccountName": COLLECTOR,
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(collector.image)],
        "volumes": [
            {"name": "kubeconfig", "configMap": {"name": COLLECTOR}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    job = {"backoffLimit": 0, "activeDeadlineSeconds": _RUN_S, "template": {"spec": pod}}
    return {
        "schedule": collector.schedule,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"spec": job},
    }


def _binds(kind: str) -> dict[str, Any]:
    return {"roleRef": {"apiGroup": _RBAC, "kind": kind, "name": COLLECTOR}, "subjects": [dict(_ACCOUNT)]}
