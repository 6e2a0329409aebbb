"""A platform on a control plane of its own, from which Flux is taken first: made, bounded, left, taken away.

Pods are simulated there, so that upstream's Deployments become ready; the sandbox's own controllers do their
work.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitops_run.sandbox.processes import wait_until
from gitops_run.sandbox.state import Sandbox
from tests.conftest import DEVELOPER, EXAMPLES
from tests.integration.own_clusters import bind, someone, user_of
from tests.people import PATIENCE_S, Finished, Person, finish

NAME = "bounded"
NAMESPACE = f"run-{NAME}"
MAKER, VIEWER = "maker@example.com", "viewer@example.com"
BUCKET, KUSTOMIZATION = "buckets.source.toolkit.fluxcd.io", "kustomizations.kustomize.toolkit.fluxcd.io"
HELM_RELEASE = "helmreleases.helm.toolkit.fluxcd.io"
OF_THE_PLATFORM = "validatingadmissionpolicy,validatingadmissionpolicybinding,clusterrole"
LABEL = "gitops-run.dev/platform"
OWNER, TARGET = "gitops-run.dev/owner", "gitops-run.dev/target"


@pytest.fixture(scope="module")
def engineer(own_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody who may do everything, on a cluster without Flux."""
    person = someone(own_sandbox, tmp_path_factory.mktemp("engineer"))
    kinds = flux_kinds(person)
    # A kind that is deleted while the API server still prepares its storage can stay forever; a list answers
    # once the storage is ready.
    person.kubectl("get", ",".join(kinds), "--all-namespaces")
    person.kubectl("delete", "crd", *kinds, "--wait=false")  # one after the other takes ten seconds each
    person.kubectl("delete", "namespace", "flux-system")
    person.kubectl("wait", "crd", *kinds, "--for=delete", "--timeout=150s", timeout_s=160)
    return person


def flux_kinds(person: Person) -> list[str]:
    return [name for name in person.names("crd") if name.endswith("toolkit.fluxcd.io")]


@pytest.fixture(scope="module")
def platform(engineer: Person) -> dict[str, Any]:
    """What `platform up` tells of the platform that it has made."""
    told: dict[str, Any] = engineer.succeeds("platform", "up", "-o", "json").json
    return told


@pytest.fixture(scope="module")
def owner(own_sandbox: Sandbox, engineer: Person) -> Person:
    return user_of(own_sandbox, engineer, DEVELOPER)


@pytest.fixture(scope="module")
def maker(own_sandbox: Sandbox, engineer: Person, platform: dict[str, Any]) -> Person:
    """Somebody with no right but the platform's role for those who make sessions."""
    bind(engineer, "gitops-run-session-maker", MAKER)
    return user_of(own_sandbox, engineer, MAKER)


@pytest.fixture(scope="module")
def session(maker: Person, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root of a session that the maker has made for the developer."""
    root = tmp_path_factory.mktemp("root") / "plain"
    shutil.copytree(EXAMPLES / "plain", root)
    maker.succeeds("up", NAME, str(root), "--root", str(root), "--owner", DEVELOPER)
    yield root
    maker.types("down", NAME)  # where the last test, which takes everything away, wasn't run


def test_flux_is_installed_locked_down_and_ready(platform: dict[str, Any]) -> None:
    components = platform["components"]
    assert {one["name"] for one in components} == {
        "source-controller",
        "kustomize-controller",
        "helm-controller",
    }
    assert all(one["is_ready"] and all(one["lockdown"].values()) for one in components)
    assert not [one for one in components if one["events_to"]]
    assert (platform["flux_version"], platform["flux_stack"]) == ("v2.9.5", platform["stack"])


def test_roles_and_policy_are_there(platform: dict[str, Any]) -> None:
    assert platform["has_policy"]
    assert platform["roles"] == {"gitops-run-viewer": True, "gitops-run-session-maker": True}


def test_flux_s_namespace_is_restricted(engineer: Person, platform: dict[str, Any]) -> None:
    (found,) = [one for one in engineer.get("namespace") if one["metadata"]["name"] == "flux-system"]
    assert found["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_second_platform_up_changes_nothing(engineer: Person, platform: dict[str, Any]) -> None:
    told = engineer.succeeds("platform", "up").err
    assert not [line for line in told.splitlines() if line.split()[1] in {"create", "update", "delete"}]


def test_a_policy_that_somebody_deleted_comes_back(engineer: Person, platform: dict[str, Any]) -> None:
    engineer.kubectl("delete", "validatingadmissionpolicy", "gitops-run-session-objects")
    assert not engineer.succeeds("platform", "status", "-o", "json").json["has_policy"]
    assert engineer.succeeds("platform", "up", "-o", "json").json["has_policy"]


def enforcing(engineer: Person, level: str) -> subprocess.CompletedProcess[str]:
    """Ask for a session's namespace with a level of Pod Security, without making it."""
    labels = {"gitops-run.dev/session": "any", "pod-security.kubernetes.io/enforce": level}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "run-any", "labels": labels}}
    return subprocess.run(
        ["kubectl", "create", "--dry-run=server", "-f", "-"],
        input=json.dumps(manifest),
        env=dict(engineer.env),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def test_a_session_may_be_baseline_only_where_the_platform_says_so(
    engineer: Person, platform: dict[str, Any], tmp_path: Path
) -> None:
    refused = engineer.types("up", "baseline", str(tmp_path), "--pod-security", "baseline")
    assert_refused(refused, 3, "gitops-run-pod-security", "--session-pod-security baseline")
    assert "gitops-run-pod-security" in enforcing(engineer, "baseline").stderr
    engineer.succeeds("platform", "up", "--session-pod-security", "baseline")
    assert "gitops-run-pod-security" in enforcing(engineer, "privileged").stderr
    # The API server enforces a changed policy a moment after it has taken it.
    assert wait_until(lambda: enforcing(engineer, "baseline").returncode == 0, PATIENCE_S)
    engineer.succeeds("platform", "up", "--session-pod-security", "restricted")


def test_pulumi_by_hand_finds_the_same_platform(engineer: Person, platform: dict[str, Any]) -> None:
    project = Path(engineer.env["XDG_DATA_HOME"]) / "gitops-run" / "platform"
    command = ["pulumi", "-C", str(project), "--non-interactive", "preview", "--json"]
    result = subprocess.run(
        [*command, "--stack", platform["stack"]],
        env=dict(engineer.env),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads(result.stdout[result.stdout.index("{") :])
    assert set(found["changeSummary"]) == {"same"}


def patched(person: Person, kind: str, patch: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    command = ["kubectl", "patch", kind, NAME, "-n", NAMESPACE, "--type", "merge", "-p", json.dumps(patch)]
    return subprocess.run(
        command, env=dict(person.env), capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )


@pytest.mark.parametrize("kind", [BUCKET, KUSTOMIZATION])
def test_the_owner_may_suspend_and_annotate(session: Path, owner: Person, kind: str) -> None:
    marks = {
        "annotations": {f"reconcile.fluxcd.io/{name}At": "now" for name in ("requested", "force", "reset")}
    }
    for is_suspended in (True, False):
        result = patched(owner, kind, {"metadata": marks, "spec": {"suspend": is_suspended}})
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("kind", "patch", "told"),
    [
        (KUSTOMIZATION, {"spec": {"serviceAccountName": "default"}}, "spec.serviceAccountName"),
        (KUSTOMIZATION, {"spec": {"serviceAccountName": None}}, "spec.serviceAccountName"),
        (KUSTOMIZATION, {"spec": {"targetNamespace": "kube-system"}}, "spec.targetNamespace"),
        (KUSTOMIZATION, {"spec": {"sourceRef": {"name": "other"}}}, "spec.sourceRef"),
        (KUSTOMIZATION, {"spec": {"path": "./"}}, "spec.path"),
        (KUSTOMIZATION, {"spec": {"prune": False}}, "spec.prune"),
        (KUSTOMIZATION, {"spec": {"kubeConfig": {"secretRef": {"name": "k"}}}}, "spec.kubeConfig"),
        (KUSTOMIZATION, {"metadata": {"labels": {"gitops-run.dev/session": None}}}, "metadata.labels"),
        (KUSTOMIZATION, {"metadata": {"finalizers": None}}, "metadata.finalizers"),
        (
            KUSTOMIZATION,
            {"metadata": {"annotations": {"pulumi.com/x": "y"}}},
            "metadata.annotations.pulumi.com/x",
        ),
        (BUCKET, {"metadata": {"annotations": {OWNER: "mallory"}}}, f"metadata.annotations.{OWNER}"),
        (BUCKET, {"metadata": {"annotations": {TARGET: None}}}, f"metadata.annotations.{TARGET}"),
        (BUCKET, {"spec": {"bucketName": "other"}}, "spec.bucketName"),
        (BUCKET, {"spec": {"endpoint": "evil.example.com"}}, "spec.endpoint"),
        (BUCKET, {"spec": {"secretRef": {"name": "bucket-writer"}}}, "spec.secretRef"),
        (BUCKET, {"spec": {"suspend": True, "interval": "1s"}}, "spec.interval"),
    ],
)
def test_the_owner_may_change_nothing_else(
    session: Path, owner: Person, kind: str, patch: dict[str, Any], told: str
) -> None:
    result = patched(owner, kind, patch)
    assert result.returncode != 0
    assert (
        "only suspend and the annotations for fence, reconcile, extend, suspend and requests" in result.stderr
    )
    assert f"not {told};" in result.stderr


def test_the_maker_may_change_a_session_s_objects(session: Path, maker: Person) -> None:
    for interval in ("23h", "24h"):
        result = patched(maker, KUSTOMIZATION, {"spec": {"interval": interval}})
        assert result.returncode == 0, result.stderr


def test_a_second_up_by_the_maker_changes_nothing(session: Path, maker: Person) -> None:
    told = maker.succeeds("up", NAME, str(session), "--root", str(session), "--owner", DEVELOPER).err
    assert not [line for line in told.splitlines() if line.split()[1] in {"create", "update", "delete"}]


def test_the_owner_s_saves_are_applied_under_the_policy(session: Path, owner: Person) -> None:
    with replace(owner, cwd=session).leaves_running("sync", NAME) as sync:
        sync.tells("save_applied")
        for name in ("settings", "worker"):  # two files: the save is fenced
            file = session / f"{name}.yaml"
            file.write_text(file.read_text() + "# changed\n")
        sync.tells("save_applied")


def test_a_viewer_sees_every_session_and_no_secret(
    session: Path, own_sandbox: Sandbox, engineer: Person
) -> None:
    bind(engineer, "gitops-run-viewer", VIEWER)
    viewer = user_of(own_sandbox, engineer, VIEWER)
    assert [one["name"] for one in viewer.succeeds("list", "-o", "json").json] == [NAME]
    assert viewer.succeeds("status", NAME, "-o", "json").json["owner"] == DEVELOPER
    assert viewer.types("platform", "status", "-o", "json").json["sessions"] == [f"{NAMESPACE}/{NAME}"]
    asked = ["kubectl", "auth", "can-i", "list", "secrets", "-n", NAMESPACE]
    assert subprocess.run(asked, env=dict(viewer.env), check=False, capture_output=True).returncode != 0


def test_somebody_without_rights_is_told_what_may_not_be_read(
    own_sandbox: Sandbox, engineer: Person, platform: dict[str, Any]
) -> None:
    told = user_of(own_sandbox, engineer, "nobody@example.com").succeeds("platform", "status").out
    assert "may not be read" in told
    assert "Deployments" in told


def test_a_platform_with_a_live_session_is_not_taken_down(session: Path, engineer: Person) -> None:
    refused = engineer.types("platform", "down")
    assert_refused(refused, 3, f"{NAMESPACE}/{NAME}", f"gitops-run down {NAME}")


def test_down_leaves_nothing(session: Path, engineer: Person, maker: Person) -> None:
    maker.succeeds("down", NAME)
    engineer.kubectl("delete", "clusterrolebinding", "maker", "viewer", "--ignore-not-found")
    assert not engineer.succeeds("platform", "down", "-o", "json").json["stack"]
    assert "flux-system" not in engineer.names("namespace")
    assert flux_kinds(engineer) == []
    assert not engineer.kubectl("get", OF_THE_PLATFORM, "-l", LABEL, "-o", "name")


def test_after_kill_9_amid_a_platform_up_a_rerun_carries_on(engineer: Person) -> None:
    engineer.types("platform", "down")  # where the test before wasn't run
    process = engineer.begins("platform", "up", until="create CustomResourceDefinition")
    state = Path(engineer.env["PULUMI_BACKEND_URL"].removeprefix("file://")) / ".pulumi"
    (lock,) = (state / "locks" / "organization" / "gitops-run-platform").glob("*/*.json")
    os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    again = engineer.succeeds("platform", "up", "-o", "json").json
    assert (again["has_policy"], len(again["components"])) == (True, 3)
    assert not engineer.succeeds("platform", "down", "-o", "json").json["stack"]


def test_a_flux_that_is_found_is_told_and_stays(engineer: Person) -> None:
    engineer.types("platform", "down")  # where the test before wasn't run
    kinds = serve_flux_kinds(engineer, "v2.9.5")
    found = engineer.succeeds("platform", "up", "-o", "json")
    assert "its kinds are served, but no controller was found" in found.err
    assert (found.json["flux_stack"], found.json["has_policy"]) == ("", True)
    engineer.succeeds("platform", "down")
    assert sorted(flux_kinds(engineer)) == kinds


def test_a_flux_that_is_too_old_is_refused_and_nothing_is_made(engineer: Person) -> None:
    engineer.types("platform", "down")  # where a test before wasn't run
    kinds = serve_flux_kinds(engineer, "v2.6.4")
    assert_refused(engineer.types("platform", "up"), 2, "this cluster's Flux is v2.6.4", "2.7 or later")
    assert not engineer.kubectl("get", OF_THE_PLATFORM, "-l", LABEL, "-o", "name")
    assert sorted(flux_kinds(engineer)) == kinds


def serve_flux_kinds(person: Person, version: str) -> list[str]:
    """Make Flux's kinds as somebody else's installation of a version has them; return their names."""
    manifests = yaml.safe_load_all(Path(person.env["GITOPS_RUN_FLUX_MANIFESTS"]).read_text())
    kinds = [one for one in manifests if one["kind"] == "CustomResourceDefinition"]
    for kind in kinds:
        kind["metadata"].setdefault("labels", {})["app.kubernetes.io/version"] = version
    file = person.cwd / "kinds.yaml"
    file.write_text(yaml.safe_dump_all(kinds))
    person.kubectl("apply", "--server-side", "-f", str(file))
    names = sorted(kind["metadata"]["name"] for kind in kinds)
    person.kubectl("wait", "crd", *names, "--for=condition=Established", "--timeout=50s")
    return names


def assert_refused(finished: Finished, code: int, *words: str) -> None:
    assert finished.code == code, finished.err
    assert all(word in finished.err for word in words), finished.err
