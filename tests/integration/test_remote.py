"""A cluster that is far away: 150 ms, a proxy that wants a password, a private authority, an exec plugin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import yaml

from gitops_run.sandbox.processes import wait_until
from gitops_run.sandbox.state import LOOPBACK, Sandbox
from tests.people import Person, Running
from tests.remote.network import Network
from tests.remote.place import API_HOST, Login, encoded, far_person, move_store

ROUND_TRIP_S = 0.15
NAME = "far"
NAMESPACE = f"run-{NAME}"
SLOW_LOGIN_S = 10
"""Longer than a request may take."""
REVOKED_S = 60.0
"""The API server remembers for ten seconds that a token was good, and a sync waits between its tries."""


@dataclass(frozen=True)
class Far:
    """A developer far away. near: somebody who isn't."""

    network: Network
    login: Login
    person: Person
    near: Person
    root: Path

    def save(self, value: str) -> None:
        text = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: far\ndata:\n  value: {value!r}\n"
        (self.root / "far.yaml").write_text(text)

    def live(self) -> str:
        found = self.near.get("configmaps", NAMESPACE)
        return next((item["data"]["value"] for item in found if item["metadata"]["name"] == "far"), "")

    def shows(self, value: str, event: object) -> bool:
        del event
        return self.live() == value

    @contextmanager
    def kubeconfig(self, changes: Mapping[str, object]) -> Iterator[None]:
        """Change fields of the cluster in the kubeconfig for a while; None removes one."""
        path = Path(self.person.env["KUBECONFIG"])
        kept = path.read_text()
        document = yaml.safe_load(kept)
        cluster = {**document["clusters"][0]["cluster"], **changes}
        document["clusters"][0]["cluster"] = {key: value for key, value in cluster.items() if value}
        path.write_text(yaml.safe_dump(document))
        try:
            yield
        finally:
            path.write_text(kept)

    def syncing(self) -> Iterator[Running]:
        with self.person.leaves_running("sync", NAME, "--root", str(self.root)) as sync:
            sync.tells("save_applied")
            yield sync


@pytest.fixture(scope="module")
def far(sandbox: Sandbox, admin: Person, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    folder = tmp_path_factory.mktemp("far")
    root = folder / "app"
    root.mkdir()
    login = Login.made(folder / "login", admin)
    try:
        with Network(ROUND_TRIP_S) as network:
            person = far_person(sandbox, network, login, admin)
            found = Far(network, login, person, admin, root)
            found.save("0")
            person.succeeds("up", NAME, str(root), "--root", str(root))
            move_store(admin, NAMESPACE, network.tunnel(sandbox.ports["store"]))
            yield found
            login.fails("")
            person.succeeds("down", NAME)
    finally:
        login.close()


@pytest.fixture
def sync(far: Far) -> Iterator[Running]:
    yield from far.syncing()


def test_every_command_works_over_the_far_path(far: Far, sync: Running) -> None:
    first = far.live()
    far.save("saved")
    sync.tells("save_applied")
    assert far.live() == "saved"
    assert far.person.types("diff", NAME, "--root", str(far.root)).code == 0
    status = far.person.succeeds("status", NAME, "-o", "json").json
    assert status["name"] == NAME
    assert NAME in far.person.succeeds("list").out
    far.person.succeeds("undo", NAME)
    sync.tells("save_applied")
    assert far.live() == first


def test_a_session_begins_and_ends_over_the_far_path(far: Far, tmp_path: Path) -> None:
    root = tmp_path / "app"
    root.mkdir()
    (root / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n")
    with far.person.leaves_running("run", str(root), "--root", str(root), "--name", "far-run") as run:
        run.tells("save_applied")
        assert "a" in far.near.names("configmaps", "run-far-run")
        assert run.interrupt() == 130
    assert "run-far-run" not in far.near.names("namespaces")


def test_a_connection_that_is_cut_again_and_again_loses_no_save(far: Far, sync: Running) -> None:
    for number in range(5):
        far.save(f"cut-{number}")
        far.network.cut()
    sync.tells_until(lambda _: far.live() == "cut-4", "save_applied")
    for number in range(3):
        far.network.cut()
        value = f"cut-again-{number}"
        far.save(value)
        far.network.cut()
        sync.tells_until(partial(far.shows, value), "save_applied", patience_s=90)


def test_a_login_that_expires_during_a_sync_is_renewed_however_slow_it_is(far: Far, sync: Running) -> None:
    runs = far.login.runs
    far.login.takes(SLOW_LOGIN_S)
    try:
        far.login.renews()
        assert wait_until(lambda: far.login.runs > runs, REVOKED_S)  # the lease's renewal was refused
        far.save("renewed")
        sync.tells("save_applied", patience_s=REVOKED_S)
        assert far.live() == "renewed"
        assert far.login.runs == runs + 1
    finally:
        far.login.takes(0)


def test_a_login_that_fails_during_a_sync_is_named_and_the_sync_goes_on_after_it(
    far: Far, sync: Running
) -> None:
    runs = far.login.runs
    far.login.fails("your session has expired, run: sso login")
    far.login.renews()
    assert wait_until(lambda: far.login.runs > runs, REVOKED_S)
    far.save("after login")
    failed = sync.tells("service_failed", patience_s=REVOKED_S)
    assert "./login, which provides the credentials of user 'dev', ended with 1" in failed["message"]
    assert "your session has expired" in failed["message"]
    far.login.fails("")
    sync.tells("save_applied", patience_s=REVOKED_S)
    assert far.live() == "after login"


CAUSES = {
    "proxy": r"the proxy 127.0.0.1:",
    "plugin": "./login, which provides the credentials of user 'dev', ended with 1: not logged in",
    "authority": "is by an authority unknown to context 'far'",
}


@contextmanager
def broken(far: Far, cause: str, other: Path) -> Iterator[None]:
    """Put something in the way to the cluster. other: the certificate of another authority."""
    if cause == "proxy":
        far.network.refusal = "403 Forbidden"
    elif cause == "plugin":
        far.login.fails("not logged in")
    try:
        with far.kubeconfig({"certificate-authority-data": encoded(other)} if cause == "authority" else {}):
            yield
    finally:
        far.network.refusal = ""
        far.login.fails("")


@pytest.mark.parametrize("command", [("status", NAME), ("up", NAME), ("down", NAME), ("list",)])
@pytest.mark.parametrize("cause", CAUSES)
def test_every_command_names_why_the_cluster_is_out_of_reach(
    far: Far, sandbox: Sandbox, cause: str, command: tuple[str, ...]
) -> None:
    with broken(far, cause, sandbox.folder / "pki" / "etcd-ca.crt"):
        finished = far.person.types(*command)
    assert finished.code == 6, finished.err
    assert CAUSES[cause] in finished.err
    assert "a-password" not in finished.out + finished.err


def test_the_environment_s_proxy_leads_to_the_cluster_too(far: Far, sandbox: Sandbox) -> None:
    proxy = far.network.proxy({API_HOST: sandbox.ports["kube-apiserver"]})
    address = f"http://{LOOPBACK}:{proxy}"
    with far.kubeconfig({"proxy-url": None}):
        assert NAME in far.person.succeeds("list", HTTPS_PROXY=address, https_proxy=address).out
        assert "api.far.test" in far.person.types("list", HTTPS_PROXY="", https_proxy="").err
