"""The collector under exactly the rights that the platform gives it, with the token of its account."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitops_run.sandbox.processes import wait_until
from gitops_run.sandbox.state import Sandbox
from tests.conftest import DEVELOPER, EXAMPLES
from tests.integration.own_clusters import someone, user_of
from tests.people import Person

IMAGE = "registry.example.com/gitops-run:0.1.0"
NEVER = "0 0 31 2 *"
SPACE, ACCOUNT = "gitops-run-system", "gitops-run-collector"
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def engineer(own_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Person:
    engineer = someone(own_sandbox, tmp_path_factory.mktemp("engineer"))
    engineer.succeeds("platform", "up", "--collector-image", IMAGE, "--collector-schedule", NEVER)
    return engineer


@pytest.fixture(scope="module")
def collector(own_sandbox: Sandbox, engineer: Person, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody with the account's token, as its pod has it, and with nothing else: no key, no state."""
    home = tmp_path_factory.mktemp("pod")
    content: dict[str, Any] = yaml.safe_load(own_sandbox.kubeconfig.read_text())
    (home / "token").write_text(engineer.kubectl("create", "token", ACCOUNT, "-n", SPACE))
    content["users"][0]["user"] = {"tokenFile": str(home / "token")}
    (home / "kubeconfig").write_text(yaml.safe_dump(content))
    person = someone(own_sandbox, home)
    kept = {key: value for key, value in person.env.items() if key != "GITOPS_RUN_SETTINGS"}
    return replace(person, env={**kept, "KUBECONFIG": str(home / "kubeconfig"), "PATH": "/usr/bin:/bin"})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(EXAMPLES / "plain", tmp_path_factory.mktemp("collected") / "plain"))


def make(engineer: Person, root: Path, name: str, *flags: str) -> None:
    engineer.succeeds("up", name, str(root), "--root", str(root), "--owner", DEVELOPER, *flags)


def found(collector: Person, context: str) -> set[tuple[str, str]]:
    findings = collector.succeeds("gc", "--context", context, "-o", "json").json
    return {(one["kind"], one["session"]) for one in findings}


def test_the_platform_declares_a_cron_job_that_runs_gc(engineer: Person, collector: Person) -> None:
    (job,) = engineer.get("cronjobs.batch", SPACE)
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == IMAGE
    assert pod["serviceAccountName"] == ACCOUNT


@pytest.mark.timeout(300)
def test_it_ends_suspends_and_answers_for_whoever_asks_and_leaves_what_is_not_due(
    engineer: Person, collector: Person, own_sandbox: Sandbox, root: Path
) -> None:
    owner = user_of(own_sandbox, engineer, DEVELOPER)
    make(engineer, root, "stays")
    make(engineer, root, "brief", "--ttl", "5s")
    make(engineer, root, "quiet", "--idle-limit", "5s")
    make(engineer, root, "asked")
    with replace(owner, cwd=root).leaves_running("sync", "brief") as sync:
        sync.tells("save_applied")
    owner.succeeds("request", "asked", "end", "--reason", "demo is over")
    owner.succeeds("request", "stays", "suspend", "--reason", "at noon")
    due = {("expired", "brief"), ("idle", "quiet"), ("requested", "asked"), ("requested", "stays")}
    context = own_sandbox.context
    assert wait_until(lambda: found(collector, context) == due, PATIENCE_S)
    told = collector.succeeds("gc", "--apply", "--context", context).err
    assert engineer.names("namespace").isdisjoint({"run-brief", "run-asked"})
    assert {"run-stays", "run-quiet"} <= engineer.names("namespace")
    assert "not removed of session brief, since the key for that is not here" in told
    suspended = {
        one["metadata"]["name"]: one["spec"].get("suspend", False)
        for name in ("stays", "quiet")
        for one in engineer.get("kustomizations.kustomize.toolkit.fluxcd.io", f"run-{name}")
    }
    assert suspended == {"stays": True, "quiet": True}
    assert found(collector, context) == set()
    for name in ("brief", "asked"):
        assert f"system:serviceaccount:{SPACE}:{ACCOUNT} ended session" in engineer.succeeds("down", name).err


@pytest.mark.parametrize(
    "arguments",
    [
        ("delete", "namespace", "somebody-elses", "--wait=false"),
        ("delete", "configmap", "theirs", "-n", "somebody-elses"),
        ("get", "secrets", "-A"),
        ("create", "namespace", "mine"),
        ("create", "configmap", "mine", "-n", "default"),
        ("label", "namespace", "somebody-elses", "gitops-run.dev/session=mine"),
    ],
    ids=" ".join,
)
def test_it_may_not(engineer: Person, collector: Person, arguments: tuple[str, ...]) -> None:
    if "somebody-elses" not in engineer.names("namespace"):
        engineer.kubectl("create", "namespace", "somebody-elses")
        engineer.kubectl("create", "configmap", "theirs", "-n", "somebody-elses")
    with pytest.raises(AssertionError, match=r"forbidden|only what carries a session's label"):
        collector.kubectl(*arguments)
    assert "theirs" in engineer.names("configmap", "somebody-elses")


def test_a_platform_without_the_image_takes_the_collector_away(engineer: Person) -> None:
    (stack,) = (
        file
        for file in Path(engineer.env["XDG_DATA_HOME"]).rglob("Pulumi.*.yaml")
        if "collectorImage" in file.read_text()
    )
    content = yaml.safe_load(stack.read_text())
    del content["config"]["gitops-run-platform:collectorImage"]
    stack.write_text(yaml.safe_dump(content))
    engineer.succeeds("platform", "up")
    assert SPACE not in engineer.names("namespace")
