"""What a Flux object's status says about one revision, and what a person should do about it.

This module knows the fields of a Bucket's and a Kustomization's status, which of them prove something and
which don't; what the reasons ask for stands in reasons.py. A condition alone proves nothing here: every
verdict compares revisions, and where a revision was live before, the token of a reconciliation too.
Sources: source-controller 1.9 and kustomize-controller 1.9, api/v1 and internal/controller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gitops_run.model.flux.reasons import hint, without_noise
from gitops_run.model.flux.requests import Request, parse_request
from gitops_run.model.names import FENCE_ANNOTATION
from gitops_run.model.text.echoes import without_values


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
    request: Request | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplierStatus:
    """Hold what a Kustomization shows.

    inventory: the entries of status.inventory, as Flux writes them. versions: of each entry, in pairs.
    generation: another one whenever somebody has changed what it is to do.
    """

    path: str = ""
    is_suspended: bool = False
    handled: str = ""
    applied: str = ""
    attempted: str = ""
    ready: str = ""
    reason: str = ""
    message: str = ""
    inventory: tuple[str, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    generation: int = 0

    @property
    def is_at_work(self) -> bool:
        """Whether a reconciliation has begun and not ended."""
        return self.ready == "Unknown" and self.reason == "Progressing"


class Standing(StrEnum):
    """Describe how far Flux is with a revision."""

    PENDING = "pending"
    FETCHED = "fetched"
    DIFFERS = "differs"
    APPLIED = "applied"
    FAILED = "failed"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Describe what Flux made of one revision: how it stands, why, and what to do."""

    standing: Standing
    reason: str = ""
    message: str = ""
    hint: str = ""


PENDING = Verdict(standing=Standing.PENDING)


def to_source_status(live: dict[str, Any]) -> SourceStatus:
    """Read a Flux Bucket as the API server returns it."""
    metadata, spec, status = live["metadata"], live.get("spec", {}), live.get("status", {})
    ready = find_condition(status, "Ready")
    return SourceStatus(
        is_suspended=bool(spec.get("suspend", False)),
        fence=(metadata.get("annotations") or {}).get(FENCE_ANNOTATION, ""),
        handled=status.get("lastHandledReconcileAt", ""),
        revision=(status.get("artifact") or {}).get("revision", ""),
        ready=ready.get("status", ""),
        reason=ready.get("reason", ""),
        message=without_values(ready.get("message", "")),
        request=parse_request(metadata.get("annotations") or {}),
    )


def to_applier_status(live: dict[str, Any]) -> ApplierStatus:
    """Read a Kustomization as the API server returns it."""
    status = live.get("status", {})
    ready = find_condition(status, "Ready")
    sources = (live.get("spec", {}).get("postBuild") or {}).get("substituteFrom") or ()
    is_any_secret = any(source.get("kind") == "Secret" for source in sources)
    entries = (status.get("inventory") or {}).get("entries") or []
    return ApplierStatus(
        path=live.get("spec", {}).get("path", ""),
        is_suspended=bool(live.get("spec", {}).get("suspend", False)),
        handled=status.get("lastHandledReconcileAt", ""),
        applied=status.get("lastAppliedRevision", ""),
        attempted=status.get("lastAttemptedRevision", ""),
        ready=ready.get("status", ""),
        reason=ready.get("reason", ""),
        message=without_values(ready.get("message", ""), is_any_secret=is_any_secret),
        inventory=tuple(entry["id"] for entry in entries),
        versions=tuple((entry["id"], entry["v"]) for entry in entries),
        generation=int(live.get("metadata", {}).get("generation", 0)),
    )


def find_condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Find a condition of any object's status by its type; empty where there is none."""
    conditions: list[Mapping[str, Any]] = status.get("conditions") or []
    return next((one for one in conditions if one.get("type") == kind), {})


def source_verdict(status: SourceStatus, *, revision: str, token: str) -> Verdict:
    """Report whether Flux has fetched this revision, asked for by this token."""
    if status.handled != token:
        return PENDING
    if status.revision == revision:
        return Verdict(standing=Standing.FETCHED)
    if status.ready == "False":
        return _failed(status.reason, status.message)
    return Verdict(standing=Standing.DIFFERS, message=f"Flux fetched {status.revision or 'nothing'}")


def applier_verdict(status: ApplierStatus, *, revision: str, token: str = "") -> Verdict:
    """Describe what Flux made of this revision.

    token: where given, only what a reconciliation with this token left counts; it must be given where
    this revision was live before, since an older application of it proves nothing.
    """
    if status.is_suspended:
        return Verdict(
            standing=Standing.SUSPENDED,
            message="the session is suspended: this save is stored, and applied when it is resumed",
            hint="to apply it: gitops-run resume NAME",
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
    return Verdict(
        standing=Standing.FAILED,
        reason=reason,
        message=without_noise(message),
        hint=hint(reason, message),
    )
