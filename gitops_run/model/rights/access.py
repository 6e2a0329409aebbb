"""Who may do what in a session's namespace.

This module knows the two roles of a session: what Flux may apply for it, and what its owner may see and
touch. Never a wildcard, and never the built-in edit or admin, since Flux's own kinds are aggregated into
them: who may create a Kustomization under a Flux without lockdown is cluster-admin.
"""

from __future__ import annotations

from typing import Any

from gitops_run.model.names import (
    ACCOUNT,
    OWNER_ROLE,
    RECORD_MAP,
    STATE_MAP,
    WRITER_SECRET,
    SessionName,
    chart_name,
)

Rule = dict[str, Any]

FLUX_SOURCE_GROUP = "source.toolkit.fluxcd.io"
FLUX_KUSTOMIZE_GROUP = "kustomize.toolkit.fluxcd.io"
FLUX_HELM_GROUP = "helm.toolkit.fluxcd.io"

APPLICABLE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ("configmaps", "persistentvolumeclaims", "pods", "secrets", "serviceaccounts", "services")),
    ("apps", ("daemonsets", "deployments", "replicasets", "statefulsets")),
    ("autoscaling", ("horizontalpodautoscalers",)),
    ("batch", ("cronjobs", "jobs")),
    ("networking.k8s.io", ("ingresses", "networkpolicies")),
    ("policy", ("poddisruptionbudgets",)),
)
"""What a session may apply: workloads, and what they need within the namespace.

Not in it, on purpose: roles and bindings (a session could widen itself), kinds of Flux (it could apply as
someone else), quotas and limits (they bound it), endpoints and endpointslices (they reach into other
namespaces), leases (the loop's lock is one), and everything that isn't namespaced.
"""

APPLY_VERBS = ["create", "delete", "get", "list", "patch"]
HELM_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
"""Helm updates the Secrets of its releases, and watches the pods of its hooks."""
READ_VERBS = ["get", "list", "watch"]


def account_rules(*, is_helm: bool) -> list[Rule]:
    """List what Flux may do in the session's name. is_helm: a chart is applied, by Helm's own requests.

    RBAC can't leave out names: that this reaches the session's own Secrets and NetworkPolicies too is for the
    platform's admission policies to bar (docs/security.md).
    """
    verbs = HELM_VERBS if is_helm else APPLY_VERBS
    return [rule_of(group, list(resources), verbs) for group, resources in APPLICABLE]


def owner_rules(name: SessionName, namespace: str, *, is_helm: bool) -> list[Rule]:
    """List what the session's owner may do: drive this session, read what it applies, and one Secret.

    To impersonate Flux's account is how preflight asks what Flux may apply. It gives nothing that saving
    doesn't: whoever saves can run a Pod as that account.
    A create can't be bound to a name, so the owner may create any Lease and change only one. is_helm: a chart
    is applied, by a HelmRelease instead of a Kustomization.
    """
    driven, other = [*READ_VERBS, "patch"], READ_VERBS
    return [
        rule_of(FLUX_SOURCE_GROUP, ["buckets"], driven, name.text),
        rule_of(FLUX_KUSTOMIZE_GROUP, ["kustomizations"], other if is_helm else driven, name.text),
        rule_of(FLUX_HELM_GROUP, ["helmreleases"], driven if is_helm else other, name.text),
        rule_of(FLUX_SOURCE_GROUP, ["helmcharts"], READ_VERBS, chart_name(namespace, name.text)),
        rule_of("", ["secrets"], ["get"], WRITER_SECRET),
        {**rule_of("", ["configmaps"], ["patch"]), "resourceNames": [STATE_MAP, RECORD_MAP]},
        rule_of("coordination.k8s.io", ["leases"], ["create"]),
        rule_of("coordination.k8s.io", ["leases"], ["get", "update"], name.text),
        rule_of("", ["serviceaccounts"], ["impersonate"], ACCOUNT),
        rule_of("rbac.authorization.k8s.io", ["rolebindings"], ["get"], OWNER_ROLE),
        rule_of("", ["events", "pods/log"], READ_VERBS),
        rule_of("", ["events"], ["create"]),  # an action on the page leaves one
        rule_of("events.k8s.io", ["events"], READ_VERBS),
        *_reading_rules(),
    ]


def bound_rules() -> list[Rule]:
    """Let the owner of a bounded session see its quota, and how much of it is used."""
    return [rule_of("", ["limitranges", "resourcequotas"], READ_VERBS)]


def _reading_rules() -> list[Rule]:
    """Let the owner read what may be applied, but for Secrets: those could be Flux's key."""
    return [
        rule_of(group, [resource for resource in resources if resource != "secrets"], READ_VERBS)
        for group, resources in APPLICABLE
    ]


def rule_of(group: str, resources: list[str], verbs: list[str], name: str = "") -> Rule:
    """Write one rule of a Role. name: of the one object that it is about, "" for all."""
    rule: Rule = {"apiGroups": [group], "resources": resources, "verbs": verbs}
    return {**rule, "resourceNames": [name]} if name else rule
