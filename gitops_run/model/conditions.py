"""What a Flux object's status says about one revision, and what a person should do about it.

Knows the fields of a Bucket's and a Kustomization's status, which of them prove something and which
don't, and Flux's reasons. A condition alone proves nothing here: every verdict compares revisions, and
where a revision was live before, the token of a reconciliation too.
Sources: source-controller 1.9 and kustomize-controller 1.9, api/v1 and internal/controller.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gitops_run.model.session import FENCE_ANNOTATION
from gitops_run.model.sops import WRONG_KEY_HINT, is_wrong_key


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """Hold what a Flux Bucket shows. handled: the last reconcile token that was dealt with."""

    is_suspended: bool = False
    fence: str = ""
    handled: str = ""
    revision: str = ""
    ready: str = ""
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplierStatus:
    """Hold what a Kustomization shows. inventory: the entries of status.inventory, as Flux writes them."""

    path: str = ""
    is_suspended: bool = False
    handled: str = ""
    applied: str = ""
    attempted: str = ""
    ready: str = ""
    reason: str = ""
    message: str = ""
    inventory: tuple[str, ...] = ()


class Standing(StrEnum):
    """Say how far Flux is with a revision."""

    PENDING = "pending"
    FETCHED = "fetched"
    DIFFERS = "differs"
    APPLIED = "applied"
    FAILED = "failed"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Say what Flux made of one revision: how it stands, why, and what to do."""

    standing: Standing
    reason: str = ""
    message: str = ""
    hint: str = ""


PENDING = Verdict(standing=Standing.PENDING)

HINTS = {
    "AuthenticationFailed": "the store refuses the key in Secret bucket-reader: gitops-run up again",
    "BucketOperationFailed": "Flux can't read the store: gitops-run status, then look at the store",
    "ArtifactFailed": "the target's path isn't in what was pushed: check that the target still exists",
    "BuildFailed": "mend the kustomization; the last good state stays live",
    "ReconciliationFailed": "mend what the API server refuses; the last good state stays live",
    "PruneFailed": "an object that should go can't be deleted: look for its finalizers",
    "HealthCheckFailed": "look at the objects named",
    "HealthCheckCanceled": "a newer save took its place",
    "DependencyNotReady": "wait for, or mend, the Kustomization it depends on",
    "AccessDenied": "the session's ServiceAccount may not do this: ask who runs the platform",
    "InvalidCELExpression": "mend the health check's expression",
    "FeatureGateDisabled": "ask who runs the platform to turn this feature of Flux on",
    "InstallFailed": "mend what the chart renders to; what was installed of it is removed again",
    "UpgradeFailed": "mend what the chart renders to; Flux goes back to the last good release",
    "ChartPackageError": "mend the chart: its Chart.yaml, values, and what it depends on",
    "ValuesFilesError": "check that every values file of the session exists",
    "InvalidChartReference": "check the target's Chart.yaml",
    "MissingRollbackTarget": "make the session anew: gitops-run down, then gitops-run up",
    "DirectoryCreationFailed": "source-controller's disk is in trouble: ask who runs the platform",
    "StatOperationFailed": "source-controller's disk is in trouble: ask who runs the platform",
    "ArchiveOperationFailed": "source-controller's disk is in trouble: ask who runs the platform",
    "InvalidPath": "the target's path isn't legal: name another target",
    "URLInvalid": "the store's endpoint isn't legal: gitops-run up with another --endpoint",
}


def to_source_status(live: dict[str, Any]) -> SourceStatus:
    """Read a Flux Bucket as the API server returns it."""
    metadata, spec, status = live["metadata"], live.get("spec", {}), live.get("status", {})
    ready = _ready(status)
    return SourceStatus(
        is_suspended=bool(spec.get("suspend", False)),
        fence=(metadata.get("annotations") or {}).get(FENCE_ANNOTATION, ""),
        handled=status.get("lastHandledReconcileAt", ""),
        revision=(status.get("artifact") or {}).get("revision", ""),
        ready=ready.get("status", ""),
        reason=ready.get("reason", ""),
        message=ready.get("message", ""),
    )


def to_applier_status(live: dict[str, Any]) -> ApplierStatus:
    """Read a Kustomization as the API server returns it."""
    status = live.get("status", {})
    ready = _ready(status)
    entries = (status.get("inventory") or {}).get("entries") or []
    return ApplierStatus(
        path=live.get("spec", {}).get("path", ""),
        is_suspended=bool(live.get("spec", {}).get("suspend", False)),
        handled=status.get("lastHandledReconcileAt", ""),
        applied=status.get("lastAppliedRevision", ""),
        attempted=status.get("lastAttemptedRevision", ""),
        ready=ready.get("status", ""),
        reason=ready.get("reason", ""),
        message=ready.get("message", ""),
        inventory=tuple(entry["id"] for entry in entries),
    )


def _ready(status: dict[str, Any]) -> dict[str, str]:
    conditions: list[dict[str, str]] = status.get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == "Ready"), {})


def source_verdict(status: SourceStatus, *, revision: str, token: str) -> Verdict:
    """Say whether Flux has fetched this revision, asked for by this token."""
    if status.handled != token:
        return PENDING
    if status.revision == revision:
        return Verdict(standing=Standing.FETCHED)
    if status.ready == "False":
        return _failed(status.reason, status.message)
    return Verdict(standing=Standing.DIFFERS, message=f"Flux fetched {status.revision or 'nothing'}")


def applier_verdict(status: ApplierStatus, *, revision: str, token: str = "") -> Verdict:
    """Say what Flux made of this revision.

    token: where given, only what a reconciliation with this token left counts; it must be given where
    this revision was live before, since an older application of it proves nothing.
    """
    if status.is_suspended:
        return Verdict(
            standing=Standing.SUSPENDED,
            message="the session is suspended: this save is stored, and applied when it is resumed",
            hint="kubectl patch its Kustomization: spec.suspend false",
        )
    if token and status.handled != token:
        return PENDING
    if status.ready == "True" and status.applied == revision:
        return Verdict(standing=Standing.APPLIED)
    if status.ready == "False" and status.attempted == revision:
        return _failed(status.reason, status.message)
    if token and status.ready == "False" and status.reason == "ArtifactFailed":
        return _failed(status.reason, status.message)
    return PENDING


def _failed(reason: str, message: str) -> Verdict:
    hint = WRONG_KEY_HINT if is_wrong_key(message) else HINTS.get(reason, "")
    return Verdict(standing=Standing.FAILED, reason=reason, message=_without_noise(message), hint=hint)


def _without_noise(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return "\n".join(dict.fromkeys(lines))
