"""What a cluster needs for sessions beside Flux: roles for people, and the rule that owners can't bend.

Knows RBAC and ValidatingAdmissionPolicy v1, and nothing of how they get there. Source: Kubernetes 1.30 and
later, admissionregistration.k8s.io/v1 and its CEL.
"""

from __future__ import annotations

from typing import Final

from gitops_run.model.access import (
    FLUX_HELM_GROUP,
    FLUX_KUSTOMIZE_GROUP,
    FLUX_SOURCE_GROUP,
    READ_VERBS,
    Rule,
    applier_rules,
    owner_rules,
)
from gitops_run.model.flux_install import PLATFORM_LABEL
from gitops_run.model.manifests import Manifest
from gitops_run.model.session import MANAGED_BY_LABEL, MANAGER, PART_OF_LABEL, SESSION_LABEL, SessionName
from gitops_run.model.store_server import forward_rules

VIEWER_ROLE: Final = "gitops-run-viewer"
MAKER_ROLE: Final = "gitops-run-session-maker"
POLICY: Final = "gitops-run-session-objects"
POLICY_KINDS: Final = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
POLICY_GROUP: Final = "admissionregistration.k8s.io"

_RBAC: Final = "rbac.authorization.k8s.io"
_SESSION_OBJECTS: Final = (
    (FLUX_SOURCE_GROUP, "buckets"),
    (FLUX_KUSTOMIZE_GROUP, "kustomizations"),
    (FLUX_HELM_GROUP, "helmreleases"),
)
_ALL_VERBS: Final = ["create", "delete", "get", "list", "patch", "update", "watch"]

_MAY_MAKE: Final = (
    "authorizer.group(request.resource.group).resource(request.resource.resource)"
    ".namespace(request.namespace).check('create').allowed()"
)
_CHANGED: Final = (
    "dyn(object.spec).filter(k, k != 'suspend' && "
    "!(k in dyn(oldObject.spec) && dyn(object.spec)[k] == dyn(oldObject.spec)[k]))"
    " + dyn(oldObject.spec).filter(k, k != 'suspend' && !(k in dyn(object.spec)))"
)
_MARKS: Final = ("labels", "finalizers", "ownerReferences")


def platform_objects(stack: str) -> tuple[Manifest, ...]:
    """Write all of it, for the platform of one stack."""
    return (
        _cluster_role(stack, VIEWER_ROLE, viewer_rules()),
        _cluster_role(stack, MAKER_ROLE, maker_rules()),
        admission_policy(stack),
        policy_binding(stack),
    )


def viewer_rules() -> list[Rule]:
    """List what somebody may see who looks at all sessions, and at the platform. No Secret is in it."""
    return [
        _rule(FLUX_SOURCE_GROUP, ["buckets", "helmcharts"], READ_VERBS),
        _rule(FLUX_KUSTOMIZE_GROUP, ["kustomizations"], READ_VERBS),
        _rule(FLUX_HELM_GROUP, ["helmreleases"], READ_VERBS),
        _rule("coordination.k8s.io", ["leases"], READ_VERBS),
        _rule("", ["namespaces"], READ_VERBS),
        _rule("apps", ["deployments"], READ_VERBS),
        _rule("apiextensions.k8s.io", ["customresourcedefinitions"], READ_VERBS),
        _rule(_RBAC, ["clusterroles"], READ_VERBS),
        _rule(POLICY_GROUP, ["validatingadmissionpolicies", "validatingadmissionpolicybindings"], READ_VERBS),
    ]


def maker_rules() -> list[Rule]:
    """List what it takes to make and end sessions, and to hand out what a session's roles hold.

    Nobody can give rights that he hasn't: whoever makes a session has to hold its owner's and its applier's,
    in every namespace. That is nearly an administrator of workloads: a role for engineers.
    """
    name = SessionName.parse("any")
    return [
        _rule("", ["namespaces"], _ALL_VERBS),
        _rule(_RBAC, ["roles", "rolebindings"], _ALL_VERBS),
        _rule("", ["endpoints"], READ_VERBS),  # by which Pulumi sees that a Service has its pods
        _rule("discovery.k8s.io", ["endpointslices"], READ_VERBS),
        *(_rule(group, [resource], _ALL_VERBS) for group, resource in _SESSION_OBJECTS),
        *applier_rules(),
        *(_unnamed(rule) for rule in owner_rules(name, name.namespace)),
        *forward_rules(),  # the server's pod has the same name in every session: no other pod is reached
    ]


def admission_policy(stack: str) -> Manifest:
    """Write the rule: of a session's Flux objects its owner may change suspend and annotations, nothing more.

    Those who may create such objects (the platform's engineers, Flux's own controllers) may change the rest.
    The garbage collector removes finalizers of what is being deleted.
    """
    variables = [{"name": "changed", "expression": _CHANGED}, {"name": "marks", "expression": _marks()}]
    rules = [
        {
            "apiGroups": [group],
            "apiVersions": ["*"],
            "operations": ["UPDATE"],
            "resources": [resource],
            "scope": "Namespaced",
        }
        for group, resource in _SESSION_OBJECTS
    ]
    return {
        **_object(stack, f"{POLICY_GROUP}/v1", "ValidatingAdmissionPolicy", POLICY),
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": rules,
                "objectSelector": {"matchExpressions": [{"key": SESSION_LABEL, "operator": "Exists"}]},
            },
            "matchConditions": [{"name": "not-a-maker", "expression": f"!{_MAY_MAKE}"}],
            "variables": variables,
            "validations": [
                _validation("variables.changed", "spec."),
                _validation("variables.marks", "metadata."),
            ],
        },
    }


def policy_binding(stack: str) -> Manifest:
    """Write what puts the rule in force, in the whole cluster."""
    return {
        **_object(stack, f"{POLICY_GROUP}/v1", "ValidatingAdmissionPolicyBinding", POLICY),
        "spec": {"policyName": POLICY, "validationActions": ["Deny"]},
    }


def _validation(changed: str, prefix: str) -> dict[str, str]:
    message = (
        "'only suspend and annotations of a session\\'s objects may be changed by its owner, not '"
        f" + {changed}.map(k, '{prefix}' + k).join(', ') + '; who made the session may: gitops-run up'"
    )
    fallback = "only suspend and annotations of a session's objects may be changed by its owner"
    return {"expression": f"{changed}.size() == 0", "messageExpression": message, "message": fallback}


def _marks() -> str:
    """List the fields of metadata that were changed: a session's objects are found by their labels."""
    old, new = "dyn(oldObject.metadata)", "dyn(object.metadata)"
    names = ", ".join(f"'{name}'" for name in _MARKS)
    changed = f"(k in {old}) != (k in {new}) || (k in {old} && {old}[k] != {new}[k])"
    return f"has(oldObject.metadata.deletionTimestamp) ? [] : [{names}].filter(k, {changed})"


def _unnamed(rule: Rule) -> Rule:
    """Widen an owner's rule to all sessions. Whom one may impersonate stays one account of one name."""
    if "impersonate" in rule["verbs"]:
        return rule
    return {key: value for key, value in rule.items() if key != "resourceNames"}


def _rule(group: str, resources: list[str], verbs: list[str]) -> Rule:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _cluster_role(stack: str, name: str, rules: list[Rule]) -> Manifest:
    return {**_object(stack, f"{_RBAC}/v1", "ClusterRole", name), "rules": rules}


def _object(stack: str, api_version: str, kind: str, name: str) -> Manifest:
    labels = {MANAGED_BY_LABEL: MANAGER, PART_OF_LABEL: MANAGER, PLATFORM_LABEL: stack}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": labels}}
