"""What Flux's reasons and messages come to for a person: a test for each row of the tables."""

from __future__ import annotations

import re

import pytest

from gitops_run.model.flux.conditions import SourceStatus, source_verdict, to_applier_status
from gitops_run.model.flux.reasons import BY_MESSAGE, DEFAULT_HINT, HINTS, NOISE, hint, without_noise

BUCKET = """
AuthenticationFailed BucketOperationFailed InvalidSTSConfiguration URLInvalid FeatureGateDisabled
DirectoryCreationFailed StatOperationFailed ReadOperationFailed AcquireLockFailed InvalidPath
ArchiveOperationFailed SymlinkUpdateFailed CacheOperationFailed PatchOperationFailed NewRevision Failed
Progressing ProgressingWithRetry
"""
KUSTOMIZATION = """
ArtifactFailed AccessDenied DependencyNotReady BuildFailed ReconciliationFailed PruneFailed
HealthCheckFailed HealthCheckCanceled InvalidCELExpression FeatureGateDisabled DirectoryCreationFailed
Progressing ProgressingWithRetry
"""
HELM_RELEASE = """
ArtifactFailed AccessDenied DependencyNotReady SourceNotReady ValuesError ChartMutateError RESTClientError
ResourceManagerError FactoryError ConfigFactoryErr StateError ReconcileError InstallFailed UpgradeFailed
TestFailed RollbackFailed UninstallFailed DriftDetected PendingRelease HealthCheckCanceled
InvalidCELExpression InventoryBuildFailed NamespaceCheckSkipped RetriesExceeded MissingRollbackTarget
Progressing ProgressingWithRetry
"""
HELM_CHART = "ChartPackageError ValuesFilesError InvalidChartReference"
REASONS = {*HELM_CHART.split(), *BUCKET.split(), *KUSTOMIZATION.split(), *HELM_RELEASE.split()}


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_every_reason_of_flux_has_a_hint_of_its_own(reason: str) -> None:
    assert hint(reason, "") == HINTS[reason]
    assert HINTS[reason] != DEFAULT_HINT


def test_the_table_names_no_reason_that_flux_does_not_give() -> None:
    assert set(HINTS) == REASONS


def test_an_unknown_reason_gets_a_hint_too() -> None:
    assert hint("MoonIsFull", "the moon is full") == DEFAULT_HINT


TELLING = (
    (
        "BuildFailed",
        "decryption failed for 'Secret.v1.[noGrp]/key': cannot get sops data key",
        "--decryption-key-file",
    ),
    ("BuildFailed", "Secret/run-web/key is encrypted with SOPS", "remove it from the target"),
    ("DependencyNotReady", "dependency 'run-web/base' not found: not there", "spec.dependsOn"),
    ("ArtifactFailed", "Source 'Bucket/run-web/web' not found", "gitops-run up"),
    ("ArtifactFailed", "Source is not ready, artifact not found, retrying in 30s", "wait"),
    ("BuildFailed", "envsubst error: variable not set (strict mode): NAME", "default"),
    ("ReconciliationFailed", "spec.selector: Invalid value: {}: field is immutable", "rename"),
    ("ReconciliationFailed", 'pods "x" is forbidden: exceeded quota: gitops-run-quota, requested', "--quota"),
    ("ReconciliationFailed", 'pods "x" is forbidden: exceeded quota: session', "ask the platform engineer"),
    ("ReconciliationFailed", 'pods "x" is forbidden: violates PodSecurity "restricted"', "securityContext"),
    ("ReconciliationFailed", 'no matches for kind "Wheel" in version "v1"', "CustomResourceDefinition"),
    ("ReconciliationFailed", 'roles is forbidden: User "x" cannot patch resource "roles"', "ServiceAccount"),
    ("InstallFailed", "cannot be imported: invalid ownership metadata; label", "belongs to another owner"),
    ("InstallFailed", "values don't meet the specifications of the schema(s)", "schema"),
    ("UpgradeFailed", "context deadline exceeded", "took too long"),
)


def test_each_telling_message_has_a_sample() -> None:
    found = [next(i for i, (p, _) in enumerate(BY_MESSAGE) if re.search(p, text)) for _, text, _ in TELLING]
    assert found == list(range(len(BY_MESSAGE)))


@pytest.mark.parametrize(("reason", "message", "words"), TELLING)
def test_a_telling_message_gets_its_own_hint(reason: str, message: str, words: str) -> None:
    assert words in hint(reason, message)
    assert hint(reason, message) != HINTS[reason]


MESSAGES = (
    (
        (
            "Helm upgrade failed for release ns/web with chart web@0.1.0+abc: context deadline exceeded\n\n"
            "Last Helm logs:\n\n2026-11-23T19:00:00Z: creating 3 resources\nchecking"
        ),
        "upgrade of release ns/web failed: context deadline exceeded",
    ),
    (
        (
            "decryption failed for 'Secret.v1.[noGrp]/key': cannot get sops data key: Failed to get the data "
            "key required to decrypt the SOPS file.\n\nGroup 0: FAILED\n  age1abc: FAILED\n    - | no key\n\n"
            "Recovery failed because no master key was able to decrypt the file."
        ),
        (
            "Secret key: decryption failed: cannot get sops data key: Failed to get the data key required to "
            "decrypt the SOPS file."
        ),
    ),
    (
        (
            'Deployment/ns/web dry-run failed (Invalid): Deployment.apps "web" is invalid: spec.replicas: '
            "Invalid value: -1: must be greater than or equal to 0\nConfigMap/ns/settings configured\n"
        ),
        "Deployment ns/web: spec.replicas: Invalid value: -1: must be greater than or equal to 0",
    ),
    (
        "kustomization path not found: stat /tmp/kustomization-3891/src/app: no such file or directory",
        "kustomization path not found: app: no such file or directory",
    ),
    (
        (
            "Helm install failed for release ns/web with chart web@0.1.0: template: web/templates/x.yaml:3: "
            "nil pointer"
        ),
        "install of release ns/web failed: template: web/templates/x.yaml:3: nil pointer",
    ),
    (
        "Helm rollback to previous release ns/web.v3 with chart web@0.1.0 failed: timed out",
        "the rollback of release ns/web.v3 failed: timed out",
    ),
    (
        "Helm install failed for release ns/web with chart web@0.1.0: INSTALLATION FAILED: no such chart",
        "install of release ns/web failed: no such chart",
    ),
    (
        "kustomize build failed: map[string]interface {}(nil): yaml: unmarshal errors",
        "map[string]interface {}(nil): yaml: unmarshal errors",
    ),
    (
        "error decrypting sources: decryption of env sources failed: no key",
        "decryption failed: decryption of env sources failed: no key",
    ),
    (
        (
            "kustomize build failed: merging resources from 'a.yaml': may not add resource with an already "
            "registered id: ConfigMap.v1.[noGrp]/x.[noNs]"
        ),
        "may not add resource with an already registered id: ConfigMap.v1.[noGrp]/x.[noNs]",
    ),
    (
        (
            "kustomize build failed: accumulating resources: accumulation err='accumulating resources from "
            "'/tmp/kustomization-12/src/gone.yaml': open /tmp/kustomization-12/src/gone.yaml: no such file "
            "or directory': must build at directory: not a valid directory: lstat: no such file or directory"
        ),
        "gone.yaml: no such file or directory",
    ),
    (
        (
            'kustomize build failed: accumulating resources: accumulation err="accumulating resources from '
            "'base': file is not directory\": must build at directory: 'base' is a file"
        ),
        "file is not directory",
    ),
    (
        (
            "post build failed for 'Deployment.v1.apps/web': envsubst error: variable substitution failed: "
            "variable not set (strict mode): NAME"
        ),
        "Deployment web: post build failed: variable not set (strict mode): NAME",
    ),
    (
        'CronJob/ns/x dry-run failed: no matches for kind "CronJob" in version "batch/v9"',
        'CronJob ns/x: no matches for kind "CronJob" in version "batch/v9"',
    ),
    (
        "Service/ns/web apply failed: the server was busy",
        "Service ns/web: apply failed: the server was busy",
    ),
    (
        (
            "Deployment/ns/web dry-run failed: failed to create typed patch object (ns/web; apps/v1, "
            "Kind=Deployment): .spec.replica: field not declared in schema"
        ),
        "Deployment ns/web: .spec.replica: field not declared in schema",
    ),
    (
        (
            'Helm upgrade failed for release ns/web with chart web@1: cannot patch "web" with kind Service: '
            'Service "web" is busy'
        ),
        'upgrade of release ns/web failed: Service web: Service "web" is busy',
    ),
    (
        'Ingress/ns/web dry-run failed (Invalid): Ingress.networking.k8s.io "web" is invalid: spec: wrong',
        "Ingress ns/web: spec: wrong",
    ),
    (
        'Pod/ns/x dry-run failed (Forbidden): pods "x" is forbidden: exceeded quota: q, requested: pods=1',
        "Pod ns/x: forbidden: exceeded quota: q, requested: pods=1",
    ),
    (
        (
            "health check failed after 30.01s: timeout waiting for: [Deployment/ns/web status: 'InProgress',"
            " Job/ns/x status: 'InProgress']"
        ),
        "not ready in time: [Deployment ns/web is InProgress, Job ns/x is InProgress]",
    ),
    (
        "health check failed after 2s: failed early due to stalled resources: [Job/ns/x status: 'Failed']",
        "failed: [Job ns/x is Failed]",
    ),
    (
        "Secret/ns/x is SOPS encrypted, configuring decryption is required for this secret to be reconciled",
        "Secret ns/x is encrypted with SOPS, and Flux has no key for it",
    ),
    (
        'Service/ns/web dry-run failed (Invalid): Service "web" is invalid: spec.ports: Required value',
        "Service ns/web: spec.ports: Required value",
    ),
    ("timeout waiting for: [Pod/ns/x status: 'Failed']", "timeout waiting for: [Pod ns/x is Failed]"),
    ("error decoding: error decoding: error decoding: bad base64", "error decoding: bad base64"),
)


@pytest.mark.parametrize(("message", "told"), MESSAGES)
def test_a_message_of_flux_is_cut_to_object_and_fact(message: str, told: str) -> None:
    assert without_noise(message) == told


@pytest.mark.parametrize("row", NOISE, ids=[pattern for pattern, _ in NOISE])
def test_each_row_of_the_table_is_needed_by_a_sample(
    row: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = tuple(other for other in NOISE if other != row)
    monkeypatch.setattr("gitops_run.model.flux.reasons.NOISE", fewer)
    assert any(without_noise(message) != told for message, told in MESSAGES)


def test_a_message_that_is_repeated_is_told_once() -> None:
    assert without_noise("the same\n\nthe same\nanother") == "the same\nanother"


def test_who_may_not_do_something_stays_in_the_message() -> None:
    text = 'roles.rbac.authorization.k8s.io "x" is forbidden: User "flux" cannot get resource "roles"'
    assert without_noise(text) == text


def test_a_verdict_carries_the_fact_and_what_to_do() -> None:
    status = SourceStatus(
        handled="t", ready="False", reason="BucketOperationFailed", message="bucket 'x' not found"
    )
    verdict = source_verdict(status, revision="r", token="t")
    assert (verdict.message, verdict.hint) == ("bucket 'x' not found", HINTS["BucketOperationFailed"])


def test_the_versions_of_the_inventory_are_kept() -> None:
    entries = [{"id": "ns_web_apps_Deployment", "v": "v1"}, {"id": "ns_x_example.com_Wheel", "v": "v1beta1"}]
    status = to_applier_status({"status": {"inventory": {"entries": entries}}})
    assert status.inventory == ("ns_web_apps_Deployment", "ns_x_example.com_Wheel")
    assert dict(status.versions)["ns_x_example.com_Wheel"] == "v1beta1"
