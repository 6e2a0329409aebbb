"""The promises of this project, each held by the real command line, Pulumi, Flux and store."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import DEVELOPER, SANDBOX
from tests.integration.conftest import SharedSession
from tests.people import Person

MANY = 400
"""Enough that uploading or applying them takes longer than it takes to look at Flux meanwhile."""


def config_map(name: str, value: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: {value!r}\n"


def value_of(session: SharedSession, name: str) -> str:
    found = [
        item
        for item in session.owner.get("configmaps", session.namespace)
        if item["metadata"]["name"] == name
    ]
    return str(found[0]["data"]["value"])


def test_promise_1_exact_applied_means_this_revision_after_this_save(session: SharedSession) -> None:
    with session.syncing() as sync:
        objects = [config_map(f"exact-{number}", "new") for number in range(MANY)]
        (session.root / "exact.yaml").write_text("---\n".join(objects))
        applied = sync.tells("save_applied")
        assert applied["revision"] == session.applier()["status"]["lastAppliedRevision"]
        assert applied["revision"] == session.source()["status"]["artifact"]["revision"]
        assert value_of(session, f"exact-{MANY - 1}") == "new"


def test_promise_1_exact_a_state_that_was_live_before_is_applied_again(session: SharedSession) -> None:
    with session.syncing() as sync:
        seen = []
        for value in ("a", "b", "a"):
            (session.root / "back.yaml").write_text(config_map("back", value))
            seen.append(sync.tells("save_applied")["revision"])
            assert value_of(session, "back") == value
        assert seen[0] == seen[2]


def test_promise_2_whole_or_not_at_all_a_kill_amid_an_upload_changes_nothing(session: SharedSession) -> None:
    with session.syncing() as sync:
        before = sync.told[-1]["revision"]
    for number in range(MANY):
        (session.root / f"many-{number}.yaml").write_text(config_map(f"many-{number}", "1"))
    with session.signalled("SIGKILL", "put_many", "after") as sync:
        assert sync.ends() == -signal.SIGKILL, sync.errors
    assert session.source()["spec"]["suspend"]
    assert session.applier()["status"]["lastAppliedRevision"] == before
    assert not any(name.startswith("many-") for name in session.owner.names("configmaps", session.namespace))
    with session.syncing():
        names = session.owner.names("configmaps", session.namespace)
        assert {f"many-{number}" for number in range(MANY)} <= names


def test_promise_3_broken_saves_stay_home_with_file_and_line(session: SharedSession) -> None:
    with session.syncing() as sync:
        before = sync.told[-1]["revision"]
        settings = session.root / "settings.yaml"
        settings.write_text(settings.read_text().replace("data:", "data: ["))
        problem = sync.tells("save_broken")["problems"][0]
        assert (problem["path"], problem["line"]) == ("settings.yaml", 5)
        assert session.source()["status"]["artifact"]["revision"] == before


def test_promise_4_deletes_and_renames_count(session: SharedSession) -> None:
    with session.syncing() as sync:
        (session.root / "nightly.yaml").unlink()
        sync.tells("save_applied")
        assert "nightly" not in session.owner.names("cronjobs", session.namespace)
        (session.root / "settings.yaml").rename(session.root / "moved.yaml")
        sync.tells("save_applied")
        assert "settings" in session.owner.names("configmaps", session.namespace)


def test_promise_5_no_waiting_on_the_dead(session: SharedSession) -> None:
    with session.syncing() as sync:
        worker = session.root / "worker.yaml"
        never = worker.read_text().replace(
            "      containers:", "      nodeSelector: {no: such}\n      containers:"
        )
        worker.write_text(never)
        sync.tells("save_applied")
        (session.root / "next.yaml").write_text(config_map("next", "1"))
        sync.tells("save_applied", patience_s=30)  # Flux would wait for the dead one for minutes
        assert value_of(session, "next") == "1"


def test_promise_6_no_orphans_after_down(admin: Person, plain: Path) -> None:
    admin.succeeds("up", "orphans", str(plain), "--root", str(plain))
    with Person(env=admin.env, cwd=plain).leaves_running("sync", "orphans") as sync:
        sync.tells("save_applied")
    receipt = admin.succeeds("down", "orphans", "-o", "json").json
    assert all(line["is_gone"] for line in receipt)
    asked = {line["what"] for line in receipt}
    assert {"Kustomization orphans", "Bucket orphans", "Namespace run-orphans"} <= asked
    stored = sorted(what.rpartition(" ")[0] for what in asked if what.startswith("S3 "))
    assert stored == ["S3 bucket", "S3 key", "S3 key"]
    assert "run-orphans" not in admin.names("namespaces")
    assert not (Path(admin.env["HOME"]) / "data/gitops-run/project/stacks/Pulumi.orphans.yaml").exists()


def test_promise_7_never_a_cluster_that_was_not_named(admin: Person, plain: Path, tmp_path: Path) -> None:
    strange = tmp_path / "kubeconfig"
    config = Path(admin.env["KUBECONFIG"]).read_text()
    strange.write_text(config.replace(f"gitops-run-sandbox-{SANDBOX}", "production"))
    flags = ("--kubeconfig", str(strange), "--context", "production")
    finished = admin.types("up", "strange", str(plain), "--root", str(plain), *flags, GITOPS_RUN_SETTINGS="")
    assert finished.code == 3
    assert "production" in finished.err
    assert "run-strange" not in admin.names("namespaces")


def test_promise_7_never_a_cluster_that_took_the_named_one_s_place(admin: Person, plain: Path) -> None:
    place = (str(plain), "--root", str(plain))
    admin.succeeds("up", "replaced", *place)
    stack = Path(admin.env["XDG_DATA_HOME"]) / "gitops-run/project/stacks/Pulumi.replaced.yaml"
    pinned = admin.get("namespaces")
    uid = next(item["metadata"]["uid"] for item in pinned if item["metadata"]["name"] == "kube-system")
    stack.write_text(stack.read_text().replace(uid, "the-uid-of-a-cluster-that-is-gone"))
    for command in (("up", "replaced", *place), ("down", "replaced")):
        finished = admin.types(*command)
        assert finished.code == 3
        assert "gitops-run down replaced --cluster-gone" in finished.err
    assert "run-replaced" in admin.names("namespaces")
    admin.succeeds("down", "replaced", "--cluster-gone")
    assert "run-replaced" in admin.names("namespaces")
    assert not stack.exists()
    admin.kubectl("delete", "namespace", "run-replaced")


def test_promise_7_never_a_session_of_someone_else(
    session: SharedSession, make_person: Callable[[str], Person]
) -> None:
    place = (str(session.root), "--root", str(session.root))
    finished = make_person("somebody").types("up", session.name, *place, "--owner", "somebody@else.example")
    assert finished.code == 3
    assert f"belongs to {DEVELOPER}, not to somebody@else.example" in finished.err


def test_promise_7_never_another_target_under_a_live_session(
    session: SharedSession, make_person: Callable[[str], Person], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    stranger = make_person("stranger")
    place = (str(tmp_path / "other"), "--root", str(tmp_path), "--owner", DEVELOPER)
    finished = stranger.types("up", session.name, *place)
    assert finished.code == 3
    assert "applies ., not other" in finished.err


@pytest.mark.parametrize("verb", ["create", "delete", "patch"])
def test_promise_8_least_rights_flux_applies_within_the_session_s_namespace_alone(
    session: SharedSession, verb: str
) -> None:
    who = f"system:serviceaccount:{session.namespace}:flux-run"
    assert may(session.owner, who, verb, "deployments.apps", session.namespace)
    assert not may(session.owner, who, verb, "deployments.apps", "default")
    assert not may(session.owner, who, verb, "roles.rbac.authorization.k8s.io", session.namespace)
    assert not may(session.owner, who, verb, "kustomizations.kustomize.toolkit.fluxcd.io", session.namespace)


def may(person: Person, who: str, verb: str, resource: str, namespace: str) -> bool:
    kubectl = subprocess.run(
        ["kubectl", "auth", "can-i", verb, resource, "-n", namespace, "--as", who],
        env=dict(person.env),
        capture_output=True,
        text=True,
        check=False,
    )
    return kubectl.stdout.strip() == "yes"


def test_promise_8_least_rights_no_secret_is_in_the_state_or_in_the_output_in_clear(
    session: SharedSession, admin: Person
) -> None:
    settings = Path(admin.env["GITOPS_RUN_SETTINGS"]).read_text()
    secrets = [line.split(": ")[1] for line in settings.splitlines() if "secretkey:" in line.lower()]
    made = ("bucket-reader", "bucket-writer")
    secrets += [admin.secret(name, session.namespace)["secretkey"] for name in made]
    state = "".join(path.read_text() for path in (Path(admin.env["HOME"]) / "state").rglob("*.json"))
    shown = admin.succeeds("status", session.name, "-o", "json").out
    assert len(secrets) == 3
    assert not any(secret in state + shown for secret in secrets)


def test_promise_9_costs_what_changed_one_edited_file_is_one_put(session: SharedSession) -> None:
    with session.syncing() as sync:
        settings = session.root / "settings.yaml"
        settings.write_text(settings.read_text().replace("30s", "31s"))
        pushed = sync.tells("save_pushed")
        assert (pushed["puts"], pushed["deletes"], pushed["is_fenced"]) == (["settings.yaml"], [], False)
        sync.tells("save_applied")


def preview(session: SharedSession, *, code: int) -> dict[str, Any]:
    finished = session.in_root().types("diff", session.name, "-o", "json")
    assert finished.code == code, finished.out + finished.err
    found: dict[str, Any] = finished.json
    return found


def named(changes: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(change["action"], change["object"]) for change in changes]


def test_promise_10_a_true_preview_no_difference_after_applied_and_an_edit_names_its_object(
    session: SharedSession,
) -> None:
    with session.syncing() as sync:
        assert preview(session, code=0) == {
            "changes": [],
            "problems": [],
            "not_checked": [],
            "overridden": [],
        }
        for file in sorted(session.root.glob("*.yaml")):
            object_ = yaml.safe_load(file.read_text())
            object_["metadata"]["annotations"] = {"edited": "yes"}
            file.write_text(yaml.safe_dump(object_))
            name = f"{object_['kind']} {session.namespace}/{object_['metadata']['name']}"
            assert named(sync.tells("save_pushed")["changes"]) == [("change", name)]
            sync.tells("save_applied")
        preview(session, code=0)


def test_promise_10_a_true_preview_what_flux_would_refuse_is_not_pushed(session: SharedSession) -> None:
    with session.syncing() as sync:
        nightly = session.root / "nightly.yaml"
        nightly.write_text(nightly.read_text().replace('"0 3 * * *"', "never"))
        [problem] = sync.tells("save_pushed|save_broken")["problems"]
        assert (problem["path"], problem["line"]) == ("nightly.yaml", 6)
        assert preview(session, code=4)["problems"] == [problem]
    with session.in_root().leaves_running("sync", session.name, "--no-preflight") as sync:
        assert "spec.schedule" in sync.tells("save_failed")["message"]


def test_promise_10_a_true_preview_what_goes_is_named_beforehand(session: SharedSession) -> None:
    with session.syncing() as sync:
        gone = ("delete", f"CronJob {session.namespace}/nightly")
        (session.root / "nightly.yaml").rename(session.root / "nightly.txt")
        assert gone in named(sync.tells("save_pushed")["changes"])
        sync.tells("save_applied")
        assert "nightly" not in session.owner.names("cronjobs", session.namespace)


def test_the_events_of_a_sync_are_json_lines_of_one_schema(session: SharedSession) -> None:
    with session.syncing() as sync:
        assert {event["v"] for event in sync.told} == {1}
        assert {event["session"] for event in sync.told} == {session.name}
        assert json.dumps(sync.told)
