"""A session whose bucket is beside it, on a real node, by an owner with nothing but his own rights."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops_run.errors import INTERRUPTED_EXIT_CODE
from gitops_run.model.session.setting_table import STORE_IMAGE
from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.kubeconfigs import issue_user_kubeconfig
from gitops_run.sandbox.state import NodeKind, Sandbox, sandbox_folder
from gitops_run.sandbox.status import status_of
from tests.conftest import DEVELOPER, REAL_SANDBOX, homes
from tests.people import Person, finish

pytestmark = [pytest.mark.real_node, pytest.mark.timeout(300), pytest.mark.usefixtures("session")]

NAME = "inside"
NAMESPACE = f"run-{NAME}"
POD = "gitops-run-bucket-0"
MANY = 1000
AT_REST_MB = 64


@pytest.fixture(scope="module")
def own_sandbox() -> Iterator[Sandbox]:
    """A real node that no other test uses: its API server is killed here."""
    name = f"{REAL_SANDBOX}-bucket"
    if lifecycle.is_up(sandbox_folder(name)):
        lifecycle.stop(name)
    shutil.rmtree(sandbox_folder(name), ignore_errors=True)  # what a run that was killed has left
    yield lifecycle.start(name, node=NodeKind.REAL)
    lifecycle.stop(name)
    shutil.rmtree(sandbox_folder(name), ignore_errors=True)


@pytest.fixture(scope="module")
def engineer(own_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody who may do everything, on a cluster with Flux in pods."""
    home = tmp_path_factory.mktemp("engineer")
    person = Person(env={**os.environ, **own_sandbox.env, **homes(home)}, cwd=home)
    finished = person.types("platform", "up", timeout_s=150)
    assert finished.code == 0, finished.err
    return person


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "settings.yaml").write_text(config_map("settings", "first"))
    return folder


@pytest.fixture(scope="module")
def session(engineer: Person, root: Path) -> Iterator[None]:
    """A session that was made without any store's settings."""
    engineer.succeeds("up", NAME, str(root), "--root", str(root), "--owner", DEVELOPER)
    yield
    engineer.succeeds("down", NAME)
    assert NAMESPACE not in engineer.names("namespace")


@pytest.fixture(scope="module")
def owner(own_sandbox: Sandbox, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Someone without any right but those that the session gives."""
    home = tmp_path_factory.mktemp("owner")
    kubeconfig = issue_user_kubeconfig(own_sandbox, DEVELOPER)
    env = {**os.environ, **own_sandbox.env, **homes(home), "KUBECONFIG": str(kubeconfig)}
    del env["GITOPS_RUN_SETTINGS"]
    return Person(env={**env, "GITOPS_RUN_CONTEXT": own_sandbox.context}, cwd=root)


def config_map(name: str, value: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: {value!r}\n"


def value(person: Person, name: str) -> str:
    found = next(one for one in person.get("configmap", NAMESPACE) if one["metadata"]["name"] == name)
    return str(found["data"]["value"])


def memory_mb(engineer: Person) -> float:
    stats = json.loads(engineer.kubectl("get", "--raw", "/api/v1/nodes/sandbox/proxy/stats/summary"))
    server = next(pod for pod in stats["pods"] if pod["podRef"]["name"] == POD)
    resident: int = server["containers"][0]["memory"]["rssBytes"]
    return resident / 1024**2


def test_the_first_save_is_applied(owner: Person) -> None:
    with owner.leaves_running("sync", NAME) as sync:
        sync.tells("save_applied")
    assert value(owner, "settings") == "first"


def test_the_server_is_small_at_rest(engineer: Person) -> None:
    assert 0 < memory_mb(engineer) < AT_REST_MB


def test_the_session_says_where_its_bucket_is(owner: Person) -> None:
    assert owner.succeeds("status", NAME, "-o", "json").json["store"] == "in-cluster"


def test_the_owner_reaches_the_server_s_pod_and_no_other(owner: Person) -> None:
    listed = owner.kubectl("auth", "can-i", "--list", "-n", NAMESPACE).splitlines()
    forwards = [line.split() for line in listed if line.startswith("pods/portforward")]
    assert [words[2:] for words in forwards] == [[f"[{POD}]", "[create", "get]"]]


def test_after_the_pod_was_replaced_its_bucket_is_filled_again_without_a_save(
    engineer: Person, owner: Person, root: Path
) -> None:
    with owner.leaves_running("sync", NAME) as sync:
        sync.tells("save_applied")
        engineer.kubectl("-n", NAMESPACE, "delete", "pod", POD)
        sync.tells("store_replaced")
        assert sync.tells("save_pushed")["puts"] == ["settings.yaml"]
        sync.tells("save_applied")
        (root / "settings.yaml").write_text(config_map("settings", "second"))
        sync.tells("save_applied")
    assert value(owner, "settings") == "second"


def test_after_a_sleep_in_which_the_pod_was_replaced_saves_are_applied(
    engineer: Person, owner: Person, root: Path
) -> None:
    with owner.leaves_running("sync", NAME) as sync:
        sync.tells("save_applied")
        os.killpg(sync.process.pid, signal.SIGSTOP)
        engineer.kubectl("-n", NAMESPACE, "delete", "pod", POD)
        engineer.kubectl("-n", NAMESPACE, "wait", "pod", POD, "--for=condition=Ready", "--timeout=50s")
        (root / "settings.yaml").write_text(config_map("settings", "after the sleep"))
        os.killpg(sync.process.pid, signal.SIGCONT)
        sync.tells("save_applied")
    assert value(owner, "settings") == "after the sleep"


def test_a_server_that_can_not_start_is_told_with_its_reason_and_the_next_up_mends_it(
    engineer: Person, tmp_path: Path
) -> None:
    (tmp_path / "settings.yaml").write_text(config_map("settings", "first"))
    up = ("up", "stuck", str(tmp_path), "--root", str(tmp_path))
    process = engineer.begins(*up, until="can't be pulled", GITOPS_RUN_STORE_IMAGE="registry.invalid/none:1")
    process.send_signal(signal.SIGINT)
    assert finish(process) == INTERRUPTED_EXIT_CODE
    engineer.succeeds(*up, GITOPS_RUN_STORE_IMAGE=STORE_IMAGE)
    engineer.succeeds("down", "stuck")


def test_a_thousand_files_come_through(engineer: Person, owner: Person, root: Path) -> None:
    many = root / "docs"
    many.mkdir()
    for number in range(MANY):
        (many / f"{number}.txt").write_text(f"{number}\n" * 50)
    (root / "kustomization.yaml").write_text(kustomization())
    with owner.leaves_running("sync", NAME) as sync:
        pushed = sync.tells("save_pushed")
        sync.tells("save_applied")
    assert len(pushed["puts"]) > MANY
    assert memory_mb(engineer) < 2 * AT_REST_MB


def test_a_save_amid_a_crash_of_the_api_server_is_applied(
    own_sandbox: Sandbox, owner: Person, root: Path
) -> None:
    with owner.leaves_running("sync", NAME) as sync:
        sync.tells("save_applied")
        parts = status_of(own_sandbox.name).parts
        server = next(part.pid for part in parts if part.name == "kube-apiserver")
        assert server is not None
        os.kill(server, signal.SIGKILL)
        (root / "settings.yaml").write_text(config_map("settings", "third"))
        sync.tells("save_applied")
    assert value(owner, "settings") == "third"


def kustomization() -> str:
    files = "".join(f"  - docs/{number}.txt\n" for number in range(MANY))
    return (
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [settings.yaml]\n"
        f"configMapGenerator:\n- name: docs\n  files:\n{files}"
    )
