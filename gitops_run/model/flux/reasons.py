"""What Flux's reasons ask of a person, and Flux's messages without their noise.

This module knows the reasons that a Bucket, a Kustomization and a HelmRelease give while they are not Ready,
and the forms of their messages. Flux gives the facts as text only: the patterns stand in two tables, each row
with a test. Sources: source-controller 1.9, kustomize-controller 1.9, helm-controller 1.6 (api and
internal/controller), fluxcd/pkg ssa and apis/meta.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gitops_run.model.names import QUOTA, STORE_PREFIX

_DISK = "source-controller's disk has a problem: ask the platform engineer"
_FLUX_ACCESS = "ask the platform engineer to check Flux's access to the cluster"
_MEND_CHART = "fix the chart or its values; the last good release stays recorded"

OVER_QUOTA = "request less, or raise the session's quota, such as: gitops-run up NAME --quota pods=100"

HINTS: Mapping[str, str] = {
    # Bucket
    "AuthenticationFailed": "the store refuses the key in bucket-reader; to renew it: gitops-run up NAME",
    "BucketOperationFailed": "Flux can't read the store: check that it runs and that the cluster reaches it",
    "InvalidSTSConfiguration": "the Bucket's spec.sts is not valid: ask the platform engineer",
    "URLInvalid": "the store's endpoint is not valid; to set another: gitops-run up NAME --endpoint URL",
    "NewRevision": "wait: Flux fetches the new revision",
    "DirectoryCreationFailed": _DISK,
    "StatOperationFailed": _DISK,
    "ReadOperationFailed": _DISK,
    "ArchiveOperationFailed": _DISK,
    "AcquireLockFailed": _DISK,
    "SymlinkUpdateFailed": _DISK,
    "CacheOperationFailed": _DISK,
    "PatchOperationFailed": _FLUX_ACCESS,
    "InvalidPath": "the target's path is not valid: name another target",
    # of every kind
    "Failed": "the next save retries; if it persists, ask the platform engineer for Flux's log",
    "Progressing": "wait: Flux is working on it",
    "ProgressingWithRetry": "wait: Flux retries",
    "AccessDenied": "the session's ServiceAccount may not do this: ask the platform engineer",
    "FeatureGateDisabled": "ask the platform engineer to enable this feature of Flux",
    "InvalidCELExpression": "fix the health check's expression",
    "ArtifactFailed": "the target's path is not among the pushed files: check that the target still exists",
    "DependencyNotReady": "wait for its dependencies, or fix them",
    # Kustomization
    "BuildFailed": "fix the kustomization; the last good state stays live",
    "ReconciliationFailed": "fix what the API server refuses; the last good state stays live",
    "PruneFailed": "an object can't be deleted: check its finalizers",
    "HealthCheckFailed": "check the named objects",
    "HealthCheckCanceled": "a newer save replaced it",
    # HelmRelease
    "SourceNotReady": "wait for the chart's source, or fix it",
    "ValuesError": "fix the release's values: a ConfigMap or Secret of spec.valuesFrom, or their YAML",
    "ChartMutateError": "fix the chart's Chart.yaml",
    "RESTClientError": _FLUX_ACCESS,
    "ResourceManagerError": _FLUX_ACCESS,
    "FactoryError": _FLUX_ACCESS,
    "ConfigFactoryErr": _FLUX_ACCESS,
    "StateError": "the release's records can't be read: helm history, then helm uninstall",
    "ReconcileError": "the next save retries; if it persists, ask the platform engineer for Flux's log",
    "InstallFailed": _MEND_CHART,
    "UpgradeFailed": _MEND_CHART,
    "TestFailed": "check the chart's test pods, and fix what they test",
    "RollbackFailed": "fix the chart; if it persists, run helm rollback",
    "UninstallFailed": "an object of the release can't be deleted: check its finalizers",
    "DriftDetected": "somebody changed the release's objects: undo that, or put it into the chart",
    "PendingRelease": "an older action was interrupted: the next save unlocks the release",
    "InventoryBuildFailed": "fix what the chart renders: some documents are not objects",
    "NamespaceCheckSkipped": _FLUX_ACCESS,
    "ChartPackageError": "fix the chart: its Chart.yaml, values, and what it depends on",
    "ValuesFilesError": "check that every values file of the session exists",
    "InvalidChartReference": "check the target's Chart.yaml",
    "RetriesExceeded": "fix the chart; its next change retries",
    "MissingRollbackTarget": "there is no good release to roll back to: fix the chart",
}
"""The reasons that Flux gives, each with what to do."""

DEFAULT_HINT = "read the message; if that is not enough, ask the platform engineer for Flux's log"

BY_MESSAGE: tuple[tuple[str, str], ...] = (
    (
        r"cannot get sops data key",
        "the age key doesn't decrypt it; to set another: gitops-run up NAME --decryption-key-file FILE",
    ),
    (
        r"(?i)decrypt|\bsops\b|data key",
        "encrypt the file for the key that Flux holds, or remove it from the target",
    ),
    (r"dependency '[^']*' not found", "create its dependency, or remove it from spec.dependsOn"),
    (
        r"Source '[^']*' not found|unable to get source",
        "the session's Bucket is gone; to recreate it: gitops-run up NAME",
    ),
    (r"artifact not found", "wait: Flux fetches it again"),
    (r"variable not set", "define the variable, give it a default (${NAME:=value}), or write $${NAME}"),
    (
        r"is immutable|immutable field",
        "this can't be changed in place: rename the object, or delete it and save",
    ),
    (rf"exceeded quota: {QUOTA}", OVER_QUOTA),
    (r"exceeded quota", "request less, or ask the platform engineer for more"),
    (
        r"violates PodSecurity",
        (
            "set each field that it names in the pod's securityContext; an image that runs as root needs "
            "another one, such as nginxinc/nginx-unprivileged for nginx; where the platform allows it: "
            "gitops-run up NAME --pod-security baseline"
        ),
    ),
    (r"no matches for kind", "check apiVersion and kind; or have its CustomResourceDefinition installed"),
    (
        r"is forbidden: User|cannot (get|create|patch|delete|list) resource",
        "the session's ServiceAccount may not do this: ask the platform engineer",
    ),
    (r"invalid ownership metadata", "the object exists and belongs to another owner: delete or rename it"),
    (r"don't meet the specifications of the schema", "fix the values: the chart's schema names them"),
    (r"(?i)context deadline exceeded|not ready in time", "check the objects' health: it took too long"),
)
"""Patterns of a message that say more than its reason does; the first that is found counts."""

NOISE: tuple[tuple[str, str], ...] = (
    (r"\n+Last Helm logs:[\s\S]*$", ""),
    (r"\n+Group \d+: (?:FAILED|SUCCESS)[\s\S]*$", ""),
    (r"(?m)^\w+/\S+ (?:created|configured|unchanged|deleted|skipped|unknown)$", ""),
    (rf"[^\s'\":]*/kustomization-\d+/(?:{STORE_PREFIX})?", ""),
    (r"^Helm (\w+)(?: remediation)? failed for release (\S+) with chart \S+: ", r"\1 of release \2 failed: "),
    (
        (
            r"^Helm (?:uninstall remediation|rollback to previous release) (?:for release )?"
            r"(\S+) with chart \S+ failed: "
        ),
        r"the rollback of release \1 failed: ",
    ),
    (r"(?:INSTALLATION|UPGRADE) FAILED: ", ""),
    (r"kustomize build failed: ", ""),
    (r"error decrypting sources: ", "decryption failed: "),
    (
        (
            r"(?:(?:accumulating|merging) (?:resources|components|generators|transformers)"
            r"(?: from '[^']*')?: |accumulation err=['\"])+"
        ),
        "",
    ),
    (r"\b(?:open|lstat|stat) (?=\S+: no such file)", ""),
    (r"['\"]?: must build at directory: .*$", ""),
    (
        (
            r"(decryption|post build) failed for '(\w+)\.[^/']*/([^']+)': (?:envsubst error: )?"
            r"(?:variable substitution failed: )?"
        ),
        r"\2 \3: \1 failed: ",
    ),
    (
        r"(\w+)/(\S+) is SOPS encrypted, configuring decryption is required.*",
        r"\1 \2 is encrypted with SOPS, and Flux has no key for it",
    ),
    (r"(\w+)/(\S+) dry-run failed(?: \((\w+)\))?: ", r"\1 \2: "),
    (r"(\w+)/(\S+) (apply failed|immutable field detected)", r"\1 \2: \3"),
    (r"failed to create typed patch object \([^)]*\): ", ""),
    (r"\b(?:cannot patch|failed to create resource) \"([^\"]+)\" with kind (\w+): ", r"\2 \1: "),
    (r"\b[A-Z]\w+(?:\.[\w.-]+)? \"[^\"]+\" is invalid: ", ""),
    (r"\b[a-z]\w*(?:\.[\w.-]+)? \"[^\"]+\" is forbidden: (?!User)", "forbidden: "),
    (r"health check failed after [\w.]+: timeout waiting for: ", "not ready in time: "),
    (r"health check failed after [\w.]+: failed early due to stalled resources: ", "failed: "),
    (r"(\w+)/([^\s\[\],]+) status: '(\w+)'", r"\1 \2 is \3"),
    (r"((?:[^\s:][^:\n]*): )\1+", r"\1"),
)
"""Patterns of what says nothing to a person, and what takes their place; one after another."""


def hint(reason: str, message: str) -> str:
    """Describe what to do about a reason of Flux."""
    telling = (text for pattern, text in BY_MESSAGE if re.search(pattern, message))
    return next(telling, HINTS.get(reason, DEFAULT_HINT))


def without_noise(message: str) -> str:
    """Cut a message of Flux to the object and the fact, each line once."""
    for pattern, instead in NOISE:
        message = re.sub(pattern, instead, message)
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return "\n".join(dict.fromkeys(lines))
