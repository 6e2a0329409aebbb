"""The Pod Security of sessions' namespaces, by which pods that could harm their node are refused.

This module knows the labels, the two levels that a session may have, and the admission policy by which a
platform says which of them. Source: Pod Security Standards, ValidatingAdmissionPolicy v1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gitops_run.errors import GuardError
from gitops_run.model.rights.policy import of_sessions, requests_to

RESTRICTED: Final = "restricted"
BASELINE: Final = "baseline"
LEVELS: Final = (RESTRICTED, BASELINE)
"""From the stricter one. Neither lets a pod reach its node; baseline lets its processes run as root."""
POD_SECURITY_POLICY: Final = "gitops-run-pod-security"
LEVEL_ANNOTATION: Final = "gitops-run.dev/pod-security"
"""On that policy: the least strict level that sessions may have."""
_ENFORCE: Final = "pod-security.kubernetes.io/enforce"


def pod_security_labels(level: str) -> dict[str, str]:
    """Write a namespace's labels: what the level forbids is refused, and warned of where it is asked for."""
    return {
        f"pod-security.kubernetes.io/{mode}{suffix}": value
        for mode in ("enforce", "warn")
        for suffix, value in (("", level), ("-version", "latest"))
    }


def pod_security_of(labels: Mapping[str, str]) -> str:
    """Read the level that is enforced in a namespace; "" where none is."""
    return labels.get(_ENFORCE, "")


def pod_security_policy(least: str) -> dict[str, Any]:
    """Write the spec of the policy that refuses a session's namespace with a level beyond that."""
    allowed = LEVELS[: LEVELS.index(least) + 1]
    which = f"Pod Security {' or '.join(allowed)}"
    listed = ", ".join(f"'{level}'" for level in allowed)
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [requests_to("", "namespaces", "CREATE", "UPDATE", scope="Cluster")],
            "objectSelector": of_sessions(),
        },
        "validations": [
            {
                "expression": f"has(object.metadata.labels) && '{_ENFORCE}' in object.metadata.labels"
                f" && object.metadata.labels['{_ENFORCE}'] in [{listed}]",
                "message": f"a session's namespace must enforce {which} on this platform",
            }
        ],
    }


def refuse_pod_security(wanted: str, allowed: str) -> None:
    """Refuse a level that the platform doesn't allow. Raises GuardError.

    allowed: the least strict one, "" where the platform says nothing: only the strictest is allowed then.
    """
    if LEVELS.index(wanted) <= (LEVELS.index(allowed) if allowed in LEVELS else 0):
        return
    raise GuardError(
        f"podSecurity {wanted} is not allowed on this platform: its admission policy {POD_SECURITY_POLICY} "
        f"{'allows ' + allowed + ' only' if allowed else 'is missing, or may not be read'}",
        hint=f"to allow it for every session: gitops-run platform up --session-pod-security {wanted}",
    )
