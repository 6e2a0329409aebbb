"""What sessions need in a cluster in addition to Flux: roles for people, and admission policies.

This module knows RBAC, and nothing of how the objects get there. Source: Kubernetes 1.30 and later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gitops_run.model.manifests.session import Manifest
from gitops_run.model.manifests.store_server import forward_rules
from gitops_run.model.names import (
    MANAGED_BY_LABEL,
    MANAGER,
    PART_OF_LABEL,
    RECORD_MAP,
    STATE_MAP,
    SessionName,
)
from gitops_run.model.platform.admission import POLICY_GROUP, POLICY_KINDS, SESSION_OBJECTS, binding, policies
from gitops_run.model.platform.collector import COLLECTOR, Collector, collector_objects
from gitops_run.model.platform.flux_install import PLATFORM_LABEL
from gitops_run.model.rights.access import (
    FLUX_HELM_GROUP,
    FLUX_KUSTOMIZE_GROUP,
    FLUX_SOURCE_GROUP,
    READ_VERBS,
    Rule,
    account_rules,
    owner_rules,
    rule_of,
)
from gitops_run.model.rights.pod_security import (
    LEVEL_ANNOTATION,
    POD_SECURITY_POLICY,
    RESTRICTED,
    pod_security_policy,
)
from gitops_run.model.session import isolation, limits
from gitops_run.model.session.isolation import ISOLATION_POLICY, IsolationRules
from gitops_run.model.session.limits import TIME_POLICY, TimeRules

VIEWER_ROLE: Final = "gitops-run-viewer"
MAKER_ROLE: Final = "gitops-run-session-maker"
POLICY_NAMES: Final = (*policies(), POD_SECURITY_POLICY, TIME_POLICY, ISOLATION_POLICY)
"""The admission policies of every platform."""
_RBAC: Final = "rbac.authorization.k8s.io"
_ALL_VERBS: Final = ["create", "delete", "get", "list", "patch", "update", "watch"]


def platform_objects(
    stack: str,
    pod_security: str = RESTRICTED,
    time: TimeRules = limits.NO_RULES,
    rules: IsolationRules = isolation.NO_RULES,
    collector: Collector | None = None,
) -> tuple[Manifest, ...]:
    """Write all of it, for the platform of one stack; a namespace before what lies in it.

    pod_security: the least strict level of sessions. time: the rules for their TTL and idle limit. rules:
    those for their isolation and quota. collector: None for a platform without one.
    """
    level = {LEVEL_ANNOTATION: pod_security}
    specs: dict[str, tuple[dict[str, Any], dict[str, str]]]
    specs = {name: (spec, {}) for name, spec in policies().items()}
    specs[POD_SECURITY_POLICY] = (pod_security_policy(pod_security), level)
    specs[TIME_POLICY] = (limits.time_policy(time), limits.rule_annotations(time))
    specs[ISOLATION_POLICY] = (isolation.quota_policy(rules), isolation.rule_annotations(rules))
    collecting = collector_objects(collector, _labels(stack), viewer_rules()) if collector else ()
    return (
        *collecting,
        _cluster_role(stack, VIEWER_ROLE, viewer_rules()),
        _cluster_role(stack, MAKER_ROLE, maker_rules()),
        *(manifest for name, (spec, said) in specs.items() for manifest in _policy(stack, name, spec, said)),
    )


def viewer_rules() -> list[Rule]:
    """List what somebody may see who looks at all sessions, and at the platform. No Secret is in it."""
    return [
        rule_of(FLUX_SOURCE_GROUP, ["buckets", "helmcharts"], READ_VERBS),
        rule_of(FLUX_KUSTOMIZE_GROUP, ["kustomizations"], READ_VERBS),
        rule_of(FLUX_HELM_GROUP, ["helmreleases"], READ_VERBS),
        rule_of("coordination.k8s.io", ["leases"], READ_VERBS),
        rule_of("", ["namespaces"], READ_VERBS),
        {**rule_of("", ["configmaps"], READ_VERBS), "resourceNames": [STATE_MAP, RECORD_MAP]},
        rule_of("apps", ["deployments"], READ_VERBS),
        {**rule_of("batch", ["cronjobs"], ["get"]), "resourceNames": [COLLECTOR]},
        rule_of("apiextensions.k8s.io", ["customresourcedefinitions"], READ_VERBS),
        rule_of(_RBAC, ["clusterroles", "rolebindings"], READ_VERBS),  # whose a session is, a binding says
        rule_of(
            POLICY_GROUP, ["validatingadmissionpolicies", "validatingadmissionpolicybindings"], READ_VERBS
        ),
    ]


def maker_rules() -> list[Rule]:
    """List what it takes to make and end sessions, and to hand out what a session's roles hold.

    Nobody can grant rights that they lack: a user who creates a session must hold its owner's and its
    applier's, in every namespace. That is nearly an administrator of workloads: a role for engineers.
    """
    name = SessionName.parse("any")
    return [
        rule_of("", ["namespaces"], _ALL_VERBS),
        rule_of(_RBAC, ["roles", "rolebindings"], _ALL_VERBS),
        rule_of(_RBAC, ["clusterrolebindings"], READ_VERBS),  # gc looks for those that sessions have left
        rule_of("coordination.k8s.io", ["leases"], _ALL_VERBS),
        rule_of("", ["limitranges", "resourcequotas"], _ALL_VERBS),
        rule_of("", ["endpoints"], READ_VERBS),  # by which Pulumi sees that a Service has its pods
        rule_of("discovery.k8s.io", ["endpointslices"], READ_VERBS),
        *(rule_of(group, [resource], _ALL_VERBS) for group, resource in SESSION_OBJECTS),
        rule_of(
            POLICY_GROUP, ["validatingadmissionpolicies", "validatingadmissionpolicybindings"], READ_VERBS
        ),
        *account_rules(is_helm=True),
        *(_unnamed(rule) for rule in owner_rules(name, name.namespace, is_helm=True)),
        *forward_rules(),  # the server's pod has the same name in every session: no other pod is reached
    ]


def _unnamed(rule: Rule) -> Rule:
    """Widen an owner's rule to all sessions. Whom one may impersonate stays one account of one name."""
    if "impersonate" in rule["verbs"]:
        return rule
    return {key: value for key, value in rule.items() if key != "resourceNames"}


def _policy(
    stack: str, name: str, spec: Mapping[str, Any], annotations: Mapping[str, str]
) -> tuple[Manifest, Manifest]:
    """Write a policy, and what puts it in force."""
    policy, bound = (_object(stack, f"{POLICY_GROUP}/v1", kind, name) for kind in POLICY_KINDS)
    if annotations:
        policy["metadata"]["annotations"] = dict(annotations)
    return {**policy, "spec": dict(spec)}, {**bound, "spec": binding(name)}


def _cluster_role(stack: str, name: str, rules: list[Rule]) -> Manifest:
    return {**_object(stack, f"{_RBAC}/v1", "ClusterRole", name), "rules": rules}


def _object(stack: str, api_version: str, kind: str, name: str) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": _labels(stack)}}


def _labels(stack: str) -> dict[str, str]:
    return {MANAGED_BY_LABEL: MANAGER, PART_OF_LABEL: MANAGER, PLATFORM_LABEL: stack}
