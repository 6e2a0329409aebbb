"""The session's program on the real engine and the sandbox: by hand, by the tool, and after kills."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from gitops_run.adapters.cluster.connection import FIELD_MANAGER
from gitops_run.adapters.pulumi.project import find_home
from gitops_run.adapters.pulumi.runs import Runs
from gitops_run.sandbox.kubeconfigs import issue_user_kubeconfig
from gitops_run.sandbox.state import Sandbox
from tests.conftest import homes
from tests.people import Person, finish

OWNER = "dev@example.com"
CREATED = "gitops-run.dev/created"
PATIENCE_S = 60


@dataclass(frozen=True)
class Engineer:
    """Somebody with a home and stacks of their own, who uses the tool, and Pulumi by hand."""

    person: Person
    target: Path

    @property
    def project(self) -> Path:
        data = Path(self.person.env["XDG_DATA_HOME"]) / "gitops-run"
        return find_home(self.person.cwd, data, self.person.env).directory

    @property
    def locks(self) -> Path:
        state = self.person.env["PULUMI_BACKEND_URL"].removeprefix("file://")
        return Path(state) / ".pulumi" / "locks" / "organization" / "gitops-run"

    def up(self, name: str, *arguments: str) -> str:
        target = str(self.target)
        return self.person.succeeds("up", name, target, "--root", target, *arguments).err

    def down(self, name: str) -> list[dict[str, object]]:
        gone: list[dict[str, object]] = self.person.succeeds("down", name, "-o", "json").json
        return gone

    def pulumi(self, *arguments: str, **env: str) -> str:
        result = subprocess.run(
            ["pulumi", "--non-interactive", *arguments],
            cwd=self.project,
            env={**self.person.env, **env},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def finds_no_change(self, name: str) -> bool:
        told = self.pulumi("preview", "--json", "--stack", name)
        return set(json.loads(told[told.index("{") :])["changeSummary"]) == {"same"}

    def source(self, name: str) -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = json.loads(
            self.person.kubectl("get", "bucket", name, "-n", f"run-{name}", "-o", "json")
        )
        return found

    def begins_up(self, name: str) -> tuple[subprocess.Popen[str], int]:
        """Start `up`, and return it with Pulumi's pid when the first object has been made."""
        arguments = ("up", name, str(self.target), "--root", str(self.target))
        process = self.person.begins(*arguments, until="create Namespace")
        (lock,) = (self.locks / name).glob("*.json")
        return process, json.loads(lock.read_text())["pid"]


def engineer_at(home: Path, sandbox: Sandbox) -> Engineer:
    home.mkdir(parents=True)
    target = home / "shop"
    target.mkdir()
    (target / "settings.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  a: '1'\n"
    )
    env = {
        **os.environ,
        **sandbox.env,
        "PATH": sandbox.env["PATH"] + os.pathsep + os.environ["PATH"],
        **homes(home),
    }
    return Engineer(person=Person(env=env, cwd=home), target=target)


@pytest.fixture(scope="module")
def engineer(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Engineer:
    return engineer_at(tmp_path_factory.mktemp("engineer") / "home", sandbox)


@pytest.fixture(scope="module")
def session(engineer: Engineer) -> Iterator[str]:
    """One session that the tool has made, for all tests that leave it as it is."""
    name = new_name()
    engineer.up(name, "--owner", OWNER)
    yield name
    engineer.down(name)


@pytest.fixture
def fresh(engineer: Engineer) -> Iterator[str]:
    """The name of a session that isn't there yet, and is gone afterwards."""
    name = new_name()
    yield name
    if engineer.project.joinpath("stacks", f"Pulumi.{name}.yaml").is_file():
        engineer.person.types("down", name)


def new_name() -> str:
    return f"p{uuid.uuid4().hex[:8]}"


def test_a_second_up_changes_nothing(engineer: Engineer, session: str) -> None:
    told = engineer.up(session)
    assert not [line for line in told.splitlines() if line.split()[1] in {"create", "update", "delete"}]


def test_up_by_hand_goes_on_from_the_tool(engineer: Engineer, session: str) -> None:
    assert engineer.finds_no_change(session)


def test_a_second_up_in_the_middle_of_a_session_changes_nothing(engineer: Engineer, session: str) -> None:
    marks = {"gitops-run.dev/fence": "me/1", "reconcile.fluxcd.io/requestedAt": "token"}
    patch = {"spec": {"suspend": True}, "metadata": {"annotations": marks}}
    where = ("bucket", session, "-n", f"run-{session}", "--type", "merge", "--field-manager", "gitops-run")
    engineer.person.kubectl("patch", *where, "-p", json.dumps(patch))
    before = engineer.source(session)
    engineer.up(session)
    assert engineer.finds_no_change(session)
    assert engineer.source(session)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_an_up_that_changes_the_source_leaves_what_the_loop_and_the_first_up_wrote(
    engineer: Engineer, session: str
) -> None:
    engineer.person.kubectl(
        "annotate",
        "bucket",
        session,
        "-n",
        f"run-{session}",
        "reconcile.fluxcd.io/requestedAt=t2",
        "--overwrite",
        f"--field-manager={FIELD_MANAGER}",
    )
    before = engineer.source(session)["metadata"]["annotations"]
    renamed = engineer.target.rename(engineer.target.with_name("renamed"))
    replace(engineer, target=renamed).up(session)
    renamed.rename(engineer.target)
    assert engineer.source(session)["metadata"]["annotations"] == {**before, "gitops-run.dev/root": "renamed"}  # type: ignore[dict-item]
    engineer.up(session)


def test_a_refresh_finds_nothing_amiss(engineer: Engineer, session: str) -> None:
    engineer.pulumi("refresh", "--yes", "--skip-preview", "--stack", session)
    assert engineer.finds_no_change(session)


def test_no_secret_stands_in_the_stack_s_file_or_its_state_in_the_clear(
    sandbox: Sandbox, engineer: Engineer, session: str
) -> None:
    settings = yaml.safe_load(sandbox.settings.read_text())
    secrets = [value for key, value in settings.items() if key.endswith("secretKey")]
    namespace = f"run-{session}"
    secrets += [
        engineer.person.secret(name, namespace)["secretkey"] for name in ("bucket-reader", "bucket-writer")
    ]
    written = engineer.pulumi("stack", "export", "--stack", session)
    written += (engineer.project / "stacks" / f"Pulumi.{session}.yaml").read_text()
    assert not [secret for secret in secrets if secret in written]


def test_a_wrong_passphrase_is_told_with_what_to_set(
    engineer: Engineer, session: str, tmp_path: Path
) -> None:
    wrong = tmp_path / "passphrase"
    wrong.write_text("another one")
    refused = engineer.person.types(
        "up",
        session,
        str(engineer.target),
        "--root",
        str(engineer.target),
        PULUMI_CONFIG_PASSPHRASE_FILE=str(wrong),
    )
    assert refused.code == 2
    assert "is not the passphrase of this stack" in refused.err


def test_a_lock_of_a_living_process_is_told_with_who_and_since_when(engineer: Engineer, session: str) -> None:
    lock = write_lock(engineer, session, pid=os.getpid())
    refused = engineer.person.types("up", session, str(engineer.target), "--root", str(engineer.target))
    lock.unlink()
    assert refused.code == 3
    assert f"locked by jane on {platform.node()} (process {os.getpid()}) since 2099-11-23" in refused.err


def test_a_lock_of_another_host_stays(engineer: Engineer, session: str) -> None:
    lock = write_lock(engineer, session, pid=1, host="elsewhere")
    refused = engineer.person.types("up", session, str(engineer.target), "--root", str(engineer.target))
    assert refused.code == 3
    lock.unlink()


def test_a_lock_that_this_tool_did_not_take_stays_though_its_process_is_gone(
    engineer: Engineer, session: str
) -> None:
    lock = write_lock(engineer, session, pid=dead_process())
    refused = engineer.person.types("up", session, str(engineer.target), "--root", str(engineer.target))
    assert refused.code == 3
    assert lock.exists()
    assert f"cancel -s {session}" in refused.err
    engineer.pulumi("cancel", "-s", session, "--yes")
    assert not lock.exists()
    engineer.up(session)


def dead_process() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def killed_run(engineer: Engineer, name: str) -> int:
    """Leave the record of a run that this tool began and that was killed; return its process id."""
    env = engineer.person.env
    folder = Path(env["XDG_DATA_HOME"]) / "gitops-run" / "runs"
    runs = Runs(folder=folder, backend=env["PULUMI_BACKEND_URL"], stack=f"gitops-run/{name}")
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        runs.begin(process.pid)
        process.kill()
    return process.pid


def write_lock(engineer: Engineer, name: str, *, pid: int, host: str = "") -> Path:
    lock = engineer.locks / name / f"{uuid.uuid4()}.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = {"pid": pid, "username": "jane", "hostname": host or platform.node()}
    lock.write_text(json.dumps({**held, "timestamp": "2099-11-23T19:10:00.1Z"}))
    return lock


@pytest.fixture(scope="module")
def owner(sandbox: Sandbox, engineer: Engineer) -> Person:
    """The session's owner, who has no other right in the cluster."""
    kubeconfig = issue_user_kubeconfig(sandbox, OWNER)
    return replace(engineer.person, env={**engineer.person.env, "KUBECONFIG": str(kubeconfig)})


@pytest.mark.parametrize(
    ("may", "asked"),
    [
        (True, ("patch", "buckets.source.toolkit.fluxcd.io/{name}")),
        (True, ("patch", "kustomizations.kustomize.toolkit.fluxcd.io/{name}")),
        (True, ("get", "secrets/bucket-writer")),
        (True, ("create", "leases.coordination.k8s.io")),
        (True, ("update", "leases.coordination.k8s.io/{name}")),
        (True, ("impersonate", "serviceaccounts/flux-run")),
        (True, ("get", "pods", "--subresource=log")),
        (True, ("watch", "deployments.apps")),
        (False, ("impersonate", "serviceaccounts/default")),
        (False, ("get", "secrets/bucket-reader")),
        (False, ("list", "secrets")),
        (False, ("list", "buckets.source.toolkit.fluxcd.io")),
        (False, ("patch", "buckets.source.toolkit.fluxcd.io/other")),
        (False, ("update", "leases.coordination.k8s.io/other")),
        (False, ("create", "kustomizations.kustomize.toolkit.fluxcd.io")),
        (False, ("create", "deployments.apps")),
        (False, ("create", "rolebindings.rbac.authorization.k8s.io")),
    ],
)
def test_the_owner_may_drive_this_session_and_no_more(
    owner: Person, session: str, *, may: bool, asked: tuple[str, ...]
) -> None:
    words = [word.format(name=session) for word in asked]
    answer = subprocess.run(
        ["kubectl", "auth", "can-i", *words, "-n", f"run-{session}"],
        env=dict(owner.env),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert (answer.returncode == 0) is may, answer.stderr


def test_the_owner_may_list_what_bears_the_session_s_name(owner: Person, session: str) -> None:
    only = ("--field-selector", f"metadata.name={session}", "-n", f"run-{session}", "-o", "name")
    assert owner.kubectl("get", "buckets.source.toolkit.fluxcd.io", *only).strip().endswith(session)


def test_flux_may_apply_workloads_and_no_rights(engineer: Engineer, session: str) -> None:
    applier = f"system:serviceaccount:run-{session}:flux-run"
    told = engineer.person.kubectl("auth", "can-i", "--list", "-n", f"run-{session}", "--as", applier)
    assert "deployments.apps" in told
    assert not [word for word in ("rbac.authorization", "fluxcd", "resourcequotas", "leases") if word in told]


def test_the_tool_goes_on_from_up_by_hand_and_destroy_by_hand_leaves_nothing(
    engineer: Engineer, fresh: str
) -> None:
    stack_file = engineer.project / "stacks" / f"Pulumi.{fresh}.yaml"
    stack_file.write_text(
        yaml.safe_dump(
            {
                "config": {
                    "gitops-run:context": engineer.person.kubectl("config", "current-context").strip(),
                    "gitops-run:target": ".",
                    "gitops-run:root": "shop",
                }
            }
        )
    )
    engineer.pulumi("stack", "init", fresh)
    engineer.pulumi("up", "--yes", "--skip-preview", "--stack", fresh)
    created = engineer.source(fresh)["metadata"]["annotations"][CREATED]  # type: ignore[index]
    told = engineer.up(fresh)
    assert "create" not in told
    assert engineer.source(fresh)["metadata"]["annotations"][CREATED] == created  # type: ignore[index]
    engineer.pulumi("destroy", "--yes", "--skip-preview", "--stack", fresh)
    assert f"run-{fresh}" not in engineer.person.names("namespace")
    assert all(line["is_gone"] for line in engineer.down(fresh))


@pytest.mark.parametrize("then", ["up", "down"])
def test_after_kill_9_amid_an_up_a_rerun_carries_on_or_cleans_up(
    engineer: Engineer, fresh: str, then: str
) -> None:
    process, pulumi = engineer.begins_up(fresh)
    os.kill(pulumi, signal.SIGKILL)
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    if then == "up":
        engineer.up(fresh)
        assert engineer.finds_no_change(fresh)
    assert all(line["is_gone"] for line in engineer.down(fresh))


def test_an_interrupted_up_ends_in_order_and_down_leaves_nothing(engineer: Engineer, fresh: str) -> None:
    process, _ = engineer.begins_up(fresh)
    process.send_signal(signal.SIGINT)
    assert finish(process) == 130
    assert not list((engineer.locks / fresh).glob("*.json"))
    assert all(line["is_gone"] for line in engineer.down(fresh))


@pytest.mark.parametrize("file", ["the stack's", "the lock's"])
def test_what_a_kill_amid_pulumis_writing_has_torn_is_mended(
    engineer: Engineer, session: str, file: str
) -> None:
    lock = write_lock(engineer, session, pid=killed_run(engineer, session))
    state = engineer.locks.parents[2] / "stacks" / "gitops-run" / f"{session}.json"
    torn = state if file == "the stack's" else lock
    Path(f"{torn}.attrs").write_text("")
    told = engineer.up(session)
    assert "repaired Pulumi's state" in told
    assert "cleared the lock" in told
    assert engineer.finds_no_change(session)


def test_a_run_leaves_no_key_in_the_temporary_folder(
    engineer: Engineer, session: str, tmp_path: Path
) -> None:
    engineer.person.succeeds(
        "up", session, str(engineer.target), "--root", str(engineer.target), TMPDIR=str(tmp_path)
    )
    assert list(tmp_path.rglob("*")) == []


def test_what_a_killed_up_made_and_could_not_record_is_made_anew(engineer: Engineer, session: str) -> None:
    forget(engineer, session, "Kustomization")
    assert f"left pending: Kustomization {session}" in engineer.up(session)
    assert engineer.finds_no_change(session)


def forget(engineer: Engineer, name: str, kind: str) -> None:
    """Write a state as a kill leaves it amid a create: the object is there, the stack only began it."""
    state = engineer.locks.parents[2] / "stacks" / "gitops-run" / f"{name}.json"
    document = json.loads(state.read_text())
    latest = document["checkpoint"]["latest"]
    lost = [resource for resource in latest["resources"] if resource["type"].endswith(f":{kind}")]
    urns = {resource["urn"] for resource in lost}
    # What depends on the object was not begun.
    latest["resources"] = [
        resource
        for resource in latest["resources"]
        if resource not in lost and not urns.intersection(resource.get("dependencies", ()))
    ]
    known = {"id", "outputs", "created", "modified"}
    begun = [{key: value for key, value in resource.items() if key not in known} for resource in lost]
    latest["pending_operations"] = [{"resource": resource, "type": "creating"} for resource in begun]
    state.write_text(json.dumps(document))
