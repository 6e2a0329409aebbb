"""A session's end, by Pulumi alone and by the tool, and what hinders it, explained with a way out."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops_run.adapters.pulumi.project import find_home
from gitops_run.sandbox.processes import wait_until
from tests.people import PATIENCE_S, Finished, Person

HELD = """apiVersion: v1
kind: ConfigMap
metadata:
  name: held
  finalizers: [example.com/hold]
data: {a: b}
"""
LOST = "another passphrase"


def pulumi(person: Person, *arguments: str) -> Finished:
    data = Path(person.env["XDG_DATA_HOME"]) / "gitops-run"
    result = subprocess.run(
        ["pulumi", "--non-interactive", *arguments],
        cwd=find_home(person.cwd, data, person.env).directory,
        env=dict(person.env),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    return Finished(result.returncode, result.stdout, result.stderr)


@pytest.fixture
def in_root(admin: Person, plain: Path) -> Person:
    return Person(env=admin.env, cwd=plain)


@pytest.fixture
def made(admin: Person, plain: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A session of the test's own, which is taken away where the test leaves something of it."""
    name = f"end-{abs(hash(request.node.name)) % 100_000}"
    admin.succeeds("up", name, str(plain), "--root", str(plain))
    yield name
    if f"run-{name}" in admin.names("namespace"):
        admin.types("down", name, "--from-cluster")


def suspend(person: Person, name: str) -> None:
    patch = '{"spec":{"suspend":true}}'
    person.kubectl("patch", "kustomization", name, "-n", f"run-{name}", "--type", "merge", "-p", patch)


def is_gone(person: Person, name: str) -> bool:
    return f"run-{name}" not in person.names("namespace")


def test_plain_pulumi_destroy_ends_a_suspended_session_that_is_being_synced(
    made: str, admin: Person, in_root: Person
) -> None:
    with in_root.leaves_running("sync", made) as sync:
        sync.tells("save_applied")
        suspend(admin, made)
        destroyed = pulumi(admin, "destroy", "--yes", "--skip-preview", "--stack", made)
        assert destroyed.code == 0, destroyed.out + destroyed.err
        assert sync.ends() == 7
    assert "the session was destroyed" in sync.errors
    assert is_gone(admin, made)
    assert all(line["is_gone"] for line in admin.succeeds("down", made, "-o", "json").json)


def test_flux_removes_what_a_suspended_session_applied_before_its_rights_go(
    made: str, admin: Person, in_root: Person
) -> None:
    """Without the drain it would leave its objects to the namespace."""
    with in_root.leaves_running("sync", made) as sync:
        sync.tells("save_applied")
    suspend(admin, made)
    drain = ("--target", urn(made, "Drain", "drain"))
    drained = pulumi(admin, "destroy", "--yes", "--skip-preview", "--stack", made, *drain)
    assert drained.code == 0, drained.out
    admin.kubectl("delete", "kustomization", made, "-n", f"run-{made}")
    assert admin.names("deployment", f"run-{made}") == set()


def urn(name: str, kind: str, part: str) -> str:
    session = "gitops-run:index:Session"
    return f"urn:pulumi:{name}::gitops-run::{session}$gitops-run:index:{kind}::{name}-{part}"


def test_a_session_without_a_drain_gets_one_and_goes_on(
    made: str, admin: Person, in_root: Person, plain: Path
) -> None:
    """As one that an earlier version has made."""
    deleted = pulumi(admin, "state", "delete", urn(made, "Drain", "drain"), "--yes", "--stack", made)
    assert deleted.code == 0, deleted.err
    told = admin.succeeds("up", made, str(plain), "--root", str(plain)).err
    assert f"create Drain {made}-drain" in told
    with in_root.leaves_running("sync", made) as sync:
        sync.tells("save_applied")
    assert all(line["is_gone"] for line in admin.succeeds("down", made, "-o", "json").json)


def test_a_session_without_a_drain_is_ended_all_the_same(made: str, admin: Person) -> None:
    pulumi(admin, "state", "delete", urn(made, "Drain", "drain"), "--yes", "--stack", made)
    admin.succeeds("down", made)
    assert is_gone(admin, made)


def test_an_object_that_nobody_lets_go_is_named_while_down_waits_for_it(
    made: str, admin: Person, in_root: Person, plain: Path
) -> None:
    (plain / "held.yaml").write_text(HELD)
    with in_root.leaves_running("sync", made) as sync:
        sync.tells("save_applied")
    with admin.begins("down", made, until="ConfigMap run-") as down:
        admin.kubectl(
            *("patch", "configmap", "held", "-n", f"run-{made}", "--type", "merge"),
            *("-p", '{"metadata":{"finalizers":null}}'),
        )
        assert down.wait(PATIENCE_S) == 0
    assert is_gone(admin, made)


def test_a_session_whose_account_was_deleted_first_is_ended(
    made: str, admin: Person, in_root: Person
) -> None:
    with in_root.leaves_running("sync", made) as sync:
        sync.tells("save_applied")
    admin.kubectl("delete", "serviceaccount", "flux-run", "-n", f"run-{made}")
    admin.succeeds("down", made)
    assert is_gone(admin, made)


def test_a_session_whose_passphrase_is_lost_is_ended_by_its_labels_while_it_is_synced(
    made: str, admin: Person, in_root: Person
) -> None:
    known = {key: value for key, value in admin.env.items() if key != "PULUMI_CONFIG_PASSPHRASE_FILE"}
    forgetful = Person(env={**known, "PULUMI_CONFIG_PASSPHRASE": LOST}, cwd=admin.cwd)
    refused = forgetful.types("down", made)
    assert refused.code == 2
    assert f"gitops-run down {made} --from-cluster" in refused.err
    with in_root.leaves_running("sync", made) as sync:
        sync.tells("save_applied")
        suspend(admin, made)
        ended = forgetful.types("down", made, "--from-cluster", "-o", "json")
        assert sync.ends() == 7
    assert ended.code == 0, ended.err
    assert is_gone(admin, made)


def test_a_live_sync_hears_at_once_that_down_ends_its_session(
    made: str, admin: Person, in_root: Person
) -> None:
    with in_root.leaves_running("sync", made) as sync:
        sync.tells("save_applied")
        admin.succeeds("down", made)
        assert sync.ends() == 7
    assert wait_until(lambda: is_gone(admin, made), PATIENCE_S)
