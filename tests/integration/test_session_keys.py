"""Keys of sessions on store s3: whose they are, and that they go with the session."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from gitops_run.adapters.pulumi.project import find_home
from gitops_run.adapters.store.keys import StoreKeys
from gitops_run.model.names import SessionName
from gitops_run.model.store.keys import MadeKeys
from tests.people import Person

PAIR = ("readerAccessKey", "readerSecretKey", "writerAccessKey", "writerSecretKey")


@pytest.fixture
def given(store_keys: StoreKeys) -> Iterator[dict[str, str]]:
    """Keys that somebody made by hand at the store."""
    run = uuid.uuid4().hex[:8]
    values = (f"given-{run}-reader", uuid.uuid4().hex, f"given-{run}-writer", uuid.uuid4().hex)
    given = dict(zip(PAIR, values, strict=True))
    for role in ("reader", "writer"):
        store_keys.make(given[f"{role}AccessKey"], given[f"{role}SecretKey"], {})
    yield given
    for role in ("reader", "writer"):
        store_keys.remove(given[f"{role}AccessKey"])


def variables(given: dict[str, str]) -> dict[str, str]:
    return {
        f"GITOPS_RUN_{role}_{half}_KEY": given[f"{role.lower()}{half.title()}Key"]
        for role in ("READER", "WRITER")
        for half in ("ACCESS", "SECRET")
    }


def test_keys_that_serve_all_sessions_are_refused_before_anything_is_made(
    admin: Person, plain: Path, given: dict[str, str]
) -> None:
    refused = admin.types("up", "unasked", str(plain), "--root", str(plain), **variables(given))

    assert refused.code == 3
    assert "can write every other session's bucket" in refused.err
    assert "--shared-keys" in refused.err
    assert given["writerSecretKey"] not in refused.err
    assert "run-unasked" not in admin.names("namespaces")


def test_a_person_may_accept_the_risk_of_shared_keys(
    admin: Person, plain: Path, given: dict[str, str], store_keys: StoreKeys
) -> None:
    place = (str(plain), "--root", str(plain))
    admin.succeeds("up", "shared", *place, "--shared-keys", **variables(given))
    again = admin.types("up", "shared", *place, **variables(given))
    with Person(env=admin.env, cwd=plain).leaves_running("sync", "shared") as sync:
        sync.tells("save_applied")
    receipt = admin.succeeds("down", "shared", "-o", "json").json

    assert again.code == 0, again.err
    assert all(line["is_gone"] for line in receipt)
    assert given["writerAccessKey"] in (store_keys.names() or ())


def test_a_keys_file_gives_one_session_its_own_keys(
    admin: Person, plain: Path, given: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(yaml.safe_dump(given))
    file.chmod(0o600)
    place = (str(plain), "--root", str(plain))
    admin.succeeds("up", "own", *place, "--keys-file", str(file))
    with Person(env=admin.env, cwd=plain).leaves_running("sync", "own") as sync:
        sync.tells("save_applied")
    second = admin.types("up", "second", *place, "--keys-file", str(file))
    file.unlink()
    receipt = admin.succeeds("down", "own", "-o", "json").json

    assert second.code == 3
    assert "Pulumi.own.yaml" in second.err or str(file) in second.err
    assert all(line["is_gone"] for line in receipt)


def test_keys_in_one_stack_file_are_that_session_s_own_and_in_two_they_are_shared(
    admin: Person, plain: Path, given: dict[str, str]
) -> None:
    project = project_of(admin)
    place = (str(plain), "--root", str(plain))
    for name in ("declared", "copied"):
        write_stack_file(admin, project, name, {} if name == "copied" else given)
    try:
        admin.succeeds("up", "declared", *place)
        written = admin.secret("bucket-writer", "run-declared")
        write_stack_file(admin, project, "copied", given)
        refused = admin.types("up", "copied", *place)
        by_hand = pulumi(admin, project, "preview", "--stack", "copied")
        receipt = admin.succeeds("down", "declared", "-o", "json").json
    finally:
        for name in ("declared", "copied"):
            pulumi(admin, project, "stack", "rm", "--yes", "--force", "--stack", name)
            (project / "stacks" / f"Pulumi.{name}.yaml").unlink(missing_ok=True)

    assert written["accesskey"] == given["writerAccessKey"]
    assert written["secretkey"] == given["writerSecretKey"]
    assert refused.code == 3
    assert "Pulumi.declared.yaml" in refused.err
    assert by_hand.returncode != 0
    assert "can write every other session's bucket" in by_hand.stdout
    assert all(line["is_gone"] for line in receipt)


def project_of(admin: Person) -> Path:
    data = Path(admin.env["XDG_DATA_HOME"]) / "gitops-run"
    return find_home(admin.cwd, data, admin.env).directory


def write_stack_file(admin: Person, project: Path, name: str, given: dict[str, str]) -> None:
    """Declare a session by hand: its access keys in the clear, their secrets encrypted by Pulumi."""
    context = admin.kubectl("config", "current-context").strip()
    values = {"context": context, "target": ".", "root": "plain"}
    values |= {key: value for key, value in given.items() if key.endswith("AccessKey")}
    file = project / "stacks" / f"Pulumi.{name}.yaml"
    if not file.is_file():
        file.write_text("")
        pulumi(admin, project, "stack", "init", name)
    document = yaml.safe_load(file.read_text()) or {}
    document["config"] = {f"gitops-run:{key}": value for key, value in values.items()}
    file.write_text(yaml.safe_dump(document))
    for key in (key for key in given if key.endswith("SecretKey")):
        set_secret = ("config", "set", key, "--secret", "--stack", name)
        assert pulumi(admin, project, *set_secret, typed=given[key]).returncode == 0


def pulumi(
    admin: Person, project: Path, *arguments: str, typed: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["pulumi", "--non-interactive", *arguments],
        cwd=project,
        env={**admin.env},
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_end_of_a_session_asks_for_its_keys(admin: Person, plain: Path, store_keys: StoreKeys) -> None:
    told = admin.succeeds("up", "ending", str(plain), "--root", str(plain), "-o", "json").json
    made = MadeKeys.of(told["bucket"])
    assert set(made.both) <= (store_keys.names() or set())

    receipt = admin.succeeds("down", "ending", "-o", "json").json

    assert {f"S3 key {name}" for name in made.both} <= {line["what"] for line in receipt if line["is_gone"]}
    assert not set(made.both) & (store_keys.names() or set())


def test_the_end_of_a_session_whose_cluster_is_gone_asks_the_store(
    admin: Person, plain: Path, store_keys: StoreKeys
) -> None:
    told = admin.succeeds("up", "lost", str(plain), "--root", str(plain), "-o", "json").json
    try:
        receipt = admin.succeeds("down", "lost", "--cluster-gone", "-o", "json").json
    finally:
        admin.kubectl("delete", "namespace", "run-lost")

    names = MadeKeys.of(told["bucket"]).both
    assert {line["what"] for line in receipt} == {
        f"S3 bucket {told['bucket']}",
        *(f"S3 key {name}" for name in names),
    }
    assert all(line["is_gone"] for line in receipt)
    assert not set(names) & (store_keys.names() or set())


@pytest.mark.parametrize("then", ["up", "down"])
def test_keys_that_a_killed_up_made_and_could_not_record_stay_nowhere(
    admin: Person, plain: Path, store_keys: StoreKeys, then: str
) -> None:
    name = f"killed-{then}"
    place = (str(plain), "--root", str(plain))
    process = admin.begins("up", name, *place, until="create Namespace")
    kill_tree(process.pid)
    process.wait(30)
    assert process.stderr is not None
    process.stderr.close()
    made = MadeKeys.of(SessionName.parse(name).bucket(cluster_uid(admin)))
    store_keys.make(made.reader, "a secret that the killed run took with it", {})

    if then == "up":
        admin.succeeds("up", name, *place)
        with Person(env=admin.env, cwd=plain).leaves_running("sync", name) as sync:
            sync.tells("save_applied")
    receipt = admin.succeeds("down", name, "-o", "json").json

    assert all(line["is_gone"] for line in receipt)
    assert not set(made.both) & (store_keys.names() or set())


def kill_tree(pid: int) -> None:
    """End a command and all that it started, as a machine that loses power does."""
    with suppress(FileNotFoundError, ProcessLookupError):  # it ended by itself meanwhile
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(pid, signal.SIGKILL)
        for child in children:
            kill_tree(int(child))


def cluster_uid(admin: Person) -> str:
    found = admin.get("namespaces")
    return str(next(item["metadata"]["uid"] for item in found if item["metadata"]["name"] == "kube-system"))


def test_a_running_sync_goes_on_with_keys_that_up_replaced(admin: Person, plain: Path) -> None:
    place = (str(plain), "--root", str(plain))
    admin.succeeds("up", "renewed", *place)
    with Person(env=admin.env, cwd=plain).leaves_running("sync", "renewed") as sync:
        sync.tells("save_applied")
        replace_keys(admin, "renewed")
        (plain / "settings.yaml").write_text(
            (plain / "settings.yaml").read_text().replace("30s", "with the new key")
        )
        sync.tells("save_applied")
    admin.succeeds("down", "renewed")


def replace_keys(admin: Person, name: str) -> None:
    """Have Pulumi make a session's keys anew."""
    urn = f"urn:pulumi:{name}::gitops-run::gitops-run:index:Session$gitops-run:index:BucketKeys::{name}-keys"
    command = ("up", "--yes", "--skip-preview", "--stack", name, "--replace", urn)
    finished = pulumi(admin, project_of(admin), *command)
    assert finished.returncode == 0, finished.stdout
