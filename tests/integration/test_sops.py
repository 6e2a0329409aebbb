"""Secrets that SOPS has encrypted: decrypted by the real kustomize-controller with the session's age key."""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path

import pytest

from tests.people import Person

FIXTURES = Path(__file__).parent / "fixtures" / "sops"
PLAIN = "the-plain-value-of-the-tests"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The right key, in a file that its owner alone may read."""
    return put_key(tmp_path / "keys" / "age.key", "test-key.agekey")


def put_key(path: Path, name: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    shutil.copyfile(FIXTURES / name, path)
    path.chmod(0o600)
    return path


def private_lines() -> list[str]:
    keys = [(FIXTURES / name).read_text() for name in ("test-key.agekey", "other-test-key.agekey")]
    return [line for key in keys for line in key.splitlines() if line.startswith("AGE-SECRET-KEY-")]


def token(person: Person, namespace: str) -> str:
    secret = next(i for i in person.get("secrets", namespace) if i["metadata"]["name"] == "token")
    return base64.b64decode(secret["data"]["token"]).decode()


def test_an_encrypted_secret_is_live_in_plain_and_its_key_is_nowhere_else(
    admin: Person, key_file: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(FIXTURES / "secret.yaml", root)
    place = ("up", "sops", str(root), "--root", str(root), "--decryption-key-file", str(key_file))
    put_key(key_file, "other-test-key.agekey")
    shown = admin.succeeds(*place).out
    with Person(env=admin.env, cwd=root).leaves_running("sync", "sops") as sync:
        failed = sync.tells("save_failed")
        assert "token" in failed["message"]
        assert "--decryption-key-file" in failed["hint"]
        put_key(key_file, "test-key.agekey")
        shown += admin.succeeds(*place).out
        sync.tells("save_applied", save=failed["save"])
        assert token(admin, "run-sops") == PLAIN
        put_key(key_file, "other-test-key.agekey")
        shown += admin.succeeds(*place).out
        shutil.copy(FIXTURES / "other-secret.yaml", root / "secret.yaml")
        sync.tells("save_applied")
    told = f"{shown}{sync.told}{sync.errors}{admin.succeeds('status', 'sops', '-o', 'json').out}"
    home = Path(admin.env["HOME"])
    kept = "".join(
        file.read_text(errors="replace")
        for folder in ("state", "data")
        for file in (home / folder).rglob("*")
        if file.is_file()
    )
    assert "sops-age" in kept
    assert not [secret for secret in (*private_lines(), PLAIN) if secret in told + kept]
    key_file.unlink()
    admin.succeeds("down", "sops")
    assert "run-sops" not in admin.names("namespaces")


def test_a_key_that_comes_later_mends_the_save_that_was_refused_without_it(
    admin: Person, key_file: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(FIXTURES / "secret.yaml", root)
    place = ("up", "later", str(root), "--root", str(root))
    admin.succeeds(*place)
    with Person(env=admin.env, cwd=root).leaves_running("sync", "later") as sync:
        sync.tells("save_broken")
        admin.succeeds(*place, "--decryption-key-file", str(key_file))
        sync.tells("save_applied")
        assert token(admin, "run-later") == PLAIN
    admin.succeeds("down", "later")


def test_a_file_without_a_key_makes_no_session(admin: Person, tmp_path: Path) -> None:
    file = tmp_path / "no.key"
    file.write_text("hunter2")
    (tmp_path / "root").mkdir()
    place = ("up", "keyless", str(tmp_path / "root"), "--root", str(tmp_path / "root"))
    finished = admin.types(*place, "--decryption-key-file", str(file))
    assert finished.code == 2
    assert str(file) in finished.err
    assert "hunter2" not in finished.err + finished.out
    assert "run-keyless" not in admin.names("namespaces")


def test_variables_are_put_in_where_the_target_names_them(admin: Person, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  who: ${WHO}\n"
    )
    admin.succeeds("up", "vars", str(root), "--root", str(root), "--substitute", "WHO=me, myself")
    with Person(env=admin.env, cwd=root).leaves_running("sync", "vars") as sync:
        sync.tells("save_applied")
        found = {item["metadata"]["name"]: item for item in admin.get("configmaps", "run-vars")}
        assert found["a"]["data"]["who"] == "me, myself"
    admin.succeeds("down", "vars")


@pytest.fixture
def generators(tmp_path: Path) -> Path:
    """A root with a generator for each format of SOPS, two patches, and a Deployment that names one."""
    shutil.copytree(FIXTURES / "generators", tmp_path / "root")
    return tmp_path / "root"


def values(person: Person, namespace: str) -> dict[str, list[str]]:
    """Read what Flux made: the values of each generated Secret, by the name that its author knows."""
    secrets = [one for one in person.get("secrets", namespace) if one["type"] == "Opaque"]
    return {
        one["metadata"]["name"].rpartition("-")[0]: [
            base64.b64decode(value).decode() for value in one["data"].values()
        ]
        for one in secrets
    }


def test_generators_and_patches_are_decrypted_and_nothing_differs_afterwards(
    admin: Person, key_file: Path, generators: Path
) -> None:
    place = ("up", "sopsgen", str(generators), "--root", str(generators))
    admin.succeeds(*place, "--decryption-key-file", str(key_file))
    person = Person(env=admin.env, cwd=generators)
    with person.leaves_running("sync", "sopsgen") as sync:
        first = sync.tells("save_pushed")
        sync.tells("save_applied")
        assert len([line for line in first["not_checked"] if "it is encrypted" in line]) == 7
        found = values(admin, "run-sopsgen")
        assert found["dotenv"] == ["fast", "more-plain", "dotenv-plain"]
        assert "json-plain" in found["json"][0]
        assert found["binary"] == ["binary-plain\n"]
        shown = person.succeeds("diff", "sopsgen", "-o", "json").json
        assert (shown["changes"], shown["problems"]) == ([], [])
        before = admin.names("secrets", "run-sopsgen")
        text = (generators / "kustomization.yaml").read_text()
        (generators / "kustomization.yaml").write_text(
            re.sub(r"(files|envs): \[.*?\]", "envs: [other.env]", text)
        )
        second = sync.tells("save_pushed")
        sync.tells("save_applied")
        assert not [change for change in second["changes"] if change["action"] == "delete"]
        assert values(admin, "run-sopsgen")["binary"] == ["slow", "another-plain"]
        assert len(admin.names("secrets", "run-sopsgen") & before) == len(before) - 5
    admin.succeeds("down", "sopsgen")


def test_without_a_key_a_generated_secret_is_reported_as_applied_encrypted(
    admin: Person, generators: Path
) -> None:
    (generators / "kustomization.yaml").write_text("secretGenerator: [{name: dotenv, envs: [app.env]}]\n")
    admin.succeeds("up", "sopsless", str(generators), "--root", str(generators))
    person = Person(env=admin.env, cwd=generators)
    with person.leaves_running("sync", "sopsless") as sync:
        [line] = sync.tells("save_pushed")["not_checked"]
        assert "--decryption-key-file" in line
        sync.tells("save_applied")
        assert values(admin, "run-sopsless")["dotenv"][0].startswith("ENC[")
        assert person.succeeds("diff", "sopsless", "-o", "json").json["changes"] == []
    admin.succeeds("down", "sopsless")
