"""The admission policies that keep a session's owner within the session.

This module knows ValidatingAdmissionPolicy v1 and its CEL, and which objects a session consists of: those in
its namespace that carry its label. Who is bound follows from rights alone, so that no names of users or
groups stand here. Reads are never seen by admission. Source: Kubernetes 1.30 and later, its CEL for
admission.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gitops_run.model.names import (
    ACCOUNT,
    EXTENDED_ANNOTATION,
    FENCE_ANNOTATION,
    FORCE_ANNOTATION,
    RECONCILE_ANNOTATION,
    RECORD_MAP,
    REQUEST_ANNOTATION,
    REQUESTED_BY_ANNOTATION,
    RESET_ANNOTATION,
    RESUMED_AT_ANNOTATION,
    SESSION_LABEL,
    STATE_MAP,
    SUSPENDED_AT_ANNOTATION,
    SUSPENDED_BY_ANNOTATION,
    SUSPENDED_REASON_ANNOTATION,
    TOKEN_ACCOUNT,
    TOKEN_TYPE,
)
from gitops_run.model.rights.access import FLUX_HELM_GROUP, FLUX_KUSTOMIZE_GROUP, FLUX_SOURCE_GROUP
from gitops_run.model.rights.policy import annotations_in, of_sessions, requests_to

POLICY_GROUP: Final = "admissionregistration.k8s.io"
POLICY_KINDS: Final = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
OBJECTS_POLICY: Final = "gitops-run-session-objects"
PARTS_POLICY: Final = "gitops-run-session-parts"
REQUESTS_POLICY: Final = "gitops-run-requests"
SESSION_OBJECTS: Final = (
    (FLUX_SOURCE_GROUP, "buckets"),
    (FLUX_KUSTOMIZE_GROUP, "kustomizations"),
    (FLUX_HELM_GROUP, "helmreleases"),
)
OWNER_ANNOTATIONS: Final = (
    FENCE_ANNOTATION,
    RECONCILE_ANNOTATION,
    FORCE_ANNOTATION,
    RESET_ANNOTATION,
    REQUEST_ANNOTATION,
    REQUESTED_BY_ANNOTATION,
    EXTENDED_ANNOTATION,
    SUSPENDED_BY_ANNOTATION,
    SUSPENDED_REASON_ANNOTATION,
    SUSPENDED_AT_ANNOTATION,
    RESUMED_AT_ANNOTATION,
)
"""What the loop writes to a session's Flux objects, what `flux reconcile` does for a person, requests, and
what extend, suspend and resume do. The time policy decides how far an owner may extend.
"""

_IS_BOUND: Final = (
    "!authorizer.group('rbac.authorization.k8s.io').resource('rolebindings').namespace(request.namespace)"
    ".check('create').allowed()"
    " && !authorizer.group(request.resource.group).resource(request.resource.resource)"
    ".check(request.operation.lowerAscii()).allowed()"
)
"""Whoever may neither bind roles in the namespace nor do the same thing in every namespace.

Engineers who make sessions bind roles; Flux's controllers, the garbage collector and the namespace controller
may do what they do in every namespace. The owner and the applying account may do neither.
"""
_CHANGED_SPEC: Final = (
    "dyn(object.spec).filter(k, k != 'suspend' && "
    "!(k in dyn(oldObject.spec) && dyn(object.spec)[k] == dyn(oldObject.spec)[k]))"
    " + dyn(oldObject.spec).filter(k, k != 'suspend' && !(k in dyn(object.spec)))"
)
_IS_LEASE: Final = "request.kind.group == 'coordination.k8s.io' && request.kind.kind == 'Lease'"
_IS_RECORD: Final = (
    "request.kind.group == '' && request.kind.kind == 'ConfigMap' && request.operation == 'UPDATE'"
    f" && object.metadata.name in ['{STATE_MAP}', '{RECORD_MAP}']"
    f" && request.userInfo.username != 'system:serviceaccount:' + request.namespace + ':{ACCOUNT}'"
)
_WHICH_PART: Final = (
    "request.kind.kind + ' ' + (object == null ? oldObject : object).metadata.name + "
    f"' is a part of the session, or claims to be by its label {SESSION_LABEL}: "
    "only a user who may create sessions may create, change or delete it'"
)
_MARKS: Final = ("labels", "finalizers", "ownerReferences")
_ALLOWED: Final = "[" + ", ".join(f"'{name}'" for name in OWNER_ANNOTATIONS) + "]"
_CHANGED_ANNOTATIONS: Final = (
    f"variables.now.filter(k, !(k in {_ALLOWED}) && !(k in variables.before && "
    "variables.before[k] == variables.now[k]))"
    f" + variables.before.filter(k, !(k in {_ALLOWED}) && !(k in variables.now))"
)
_ONLY: Final = "only suspend and the annotations for fence, reconcile, extend, suspend and requests"


def policies() -> Mapping[str, dict[str, Any]]:
    """Write the spec of each policy, by name."""
    return {
        OBJECTS_POLICY: _objects_policy(),
        PARTS_POLICY: _parts_policy(),
        REQUESTS_POLICY: _requests_policy(),
    }


def binding(name: str) -> dict[str, Any]:
    """Write the spec of what puts a policy in force, in the whole cluster."""
    return {"policyName": name, "validationActions": ["Deny"]}


def _objects_policy() -> dict[str, Any]:
    """Let the owner change suspend and a few annotations of the session's Flux objects, and nothing more.

    Whole specs are compared, so that fields of a later Flux are bound too. Labels, finalizers and owners are
    bound as well: sessions are found by their labels.
    """
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [requests_to(group, resource, "UPDATE") for group, resource in SESSION_OBJECTS],
            "objectSelector": of_sessions(),
        },
        "matchConditions": [{"name": "is-bound", "expression": _IS_BOUND}],
        "variables": [
            {"name": "before", "expression": annotations_in("oldObject")},
            {"name": "now", "expression": annotations_in("object")},
            {"name": "changed", "expression": _CHANGED_SPEC},
            {"name": "marks", "expression": _changed_marks()},
            {"name": "annotations", "expression": _CHANGED_ANNOTATIONS},
        ],
        "validations": [
            _change("variables.changed", "spec."),
            _change("variables.marks", "metadata."),
            _change("variables.annotations", "metadata.annotations."),
        ],
    }


def _requests_policy() -> dict[str, Any]:
    """Let a request on a session's Bucket name nobody but the user who makes it, whoever that is."""
    changed = " || ".join(
        f"({_annotation('object', name)} != {_annotation('oldObject', name)})"
        for name in (REQUEST_ANNOTATION, REQUESTED_BY_ANNOTATION)
    )
    named = _annotation("object", REQUESTED_BY_ANNOTATION)
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [requests_to(FLUX_SOURCE_GROUP, "buckets", "CREATE", "UPDATE")],
            "objectSelector": of_sessions(),
        },
        "matchConditions": [
            {"name": "is-request", "expression": f"oldObject == null ? {named} != '' : ({changed})"}
        ],
        "validations": [
            {
                "expression": f"{named} == request.userInfo.username || "
                f"({named} == '' && {_annotation('object', REQUEST_ANNOTATION)} == '')",
                "messageExpression": "'a request is made in the name of who makes it: set "
                f"{REQUESTED_BY_ANNOTATION} to ' + request.userInfo.username",
                "message": "a request is made in the name of who makes it",
            }
        ],
    }


def _annotation(variable: str, name: str) -> str:
    """Read an annotation; "" where there is none."""
    metadata = f"{variable}.metadata"
    return (
        f"(has({metadata}.annotations) && '{name}' in {metadata}.annotations"
        f" ? {metadata}.annotations['{name}'] : '')"
    )


def _parts_policy() -> dict[str, Any]:
    """Keep what a session consists of from everybody who is bound, and a token of its account as well.

    What carries the session's label in a session's namespace is a part of it. The Lease is the owner's to
    take and to renew, the data of state and record to write; the Flux objects are the other policy's where
    they are updated.
    """
    is_part = f"{_is_labelled('object')} || {_is_labelled('oldObject')}"
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [requests_to("*", "*", "CREATE", "UPDATE", "DELETE")],
            "excludeResourceRules": [
                requests_to(group, resource, "UPDATE") for group, resource in SESSION_OBJECTS
            ],
            "namespaceSelector": of_sessions(),
        },
        "matchConditions": [
            {"name": "is-part-or-token", "expression": f"{is_part} || {_is_token()}"},
            {"name": "is-bound", "expression": _IS_BOUND},
        ],
        "variables": [
            {"name": "isLease", "expression": _IS_LEASE},
            {"name": "isRecord", "expression": _IS_RECORD},
            {"name": "isPart", "expression": is_part},
            {"name": "marks", "expression": f"object == null || oldObject == null ? [] : {_changed_marks()}"},
        ],
        "validations": [
            {
                "expression": f"!{_is_token()}",
                "message": "only a user who may create sessions may create a token of the session's "
                f"account {ACCOUNT}",
            },
            {
                "expression": "variables.isLease || variables.isRecord || !variables.isPart",
                "messageExpression": _WHICH_PART,
                "message": "only a user who may create sessions may create, change or delete the "
                "session's own objects",
            },
            {
                "expression": f"!variables.isLease || ({_is_proper_lease()})",
                "message": "the owner may take and renew the session's Lease, but not delete or relabel it",
            },
            {
                "expression": f"!variables.isRecord || ({_is_proper_record()})",
                "message": "the owner may change only the data of the session's state and record",
            },
        ],
    }


def _is_labelled(variable: str) -> str:
    return (
        f"({variable} != null && has({variable}.metadata) && has({variable}.metadata.labels)"
        f" && '{SESSION_LABEL}' in {variable}.metadata.labels)"
    )


def _is_token() -> str:
    """Ask whether the object is to hold a token of the session's account, which Kubernetes then fills in."""
    return (
        "(request.kind.group == '' && request.kind.kind == 'Secret' && object != null && has(object.type)"
        f" && object.type == '{TOKEN_TYPE}' && has(object.metadata.annotations)"
        f" && '{TOKEN_ACCOUNT}' in object.metadata.annotations"
        f" && object.metadata.annotations['{TOKEN_ACCOUNT}'] == '{ACCOUNT}')"
    )


def _is_proper_lease() -> str:
    name = f"namespaceObject.metadata.labels['{SESSION_LABEL}']"
    created = f"object.metadata.name == {name} && object.metadata.labels['{SESSION_LABEL}'] == {name}"
    return f"oldObject == null ? ({created}) : object != null && variables.marks.size() == 0"


def _is_proper_record() -> str:
    """Ask whether data alone was changed. The applying account is no owner: a manifest could say anything."""
    annotations = f"({annotations_in('object')}) == ({annotations_in('oldObject')})"
    return f"variables.marks.size() == 0 && !has(object.immutable) && {annotations}"


def _changed_marks() -> str:
    """List the fields of metadata, other than annotations, that were changed."""
    old, new = "dyn(oldObject.metadata)", "dyn(object.metadata)"
    names = ", ".join(f"'{name}'" for name in _MARKS)
    changed = f"(k in {old}) != (k in {new}) || (k in {old} && {old}[k] != {new}[k])"
    return f"[{names}].filter(k, {changed})"


def _change(changed: str, prefix: str) -> dict[str, str]:
    message = (
        f"'{_ONLY} of a session\\'s objects may be changed by its owner, not '"
        f" + {changed}.map(k, '{prefix}' + k).join(', ') + '; a user who may create sessions can: "
        "gitops-run up'"
    )
    fallback = f"{_ONLY} of a session's objects may be changed by its owner"
    return {"expression": f"{changed}.size() == 0", "messageExpression": message, "message": fallback}
