from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from gitops_run.cli.app import cli
from gitops_run.errors import NotFound, SandboxError, UsageError
from gitops_run.sandbox import certificates
from gitops_run.sandbox.environment import (
    STAND_IN,
    ensure_pulumi_state,
    shell_lines,
    with_environment,
    write_settings,
)
from gitops_run.sandbox.state import (
    LOOPBACK,
    PORT_NAMES,
    Sandbox,
    context_name,
    load,
    make_folder,
    pick_ports,
    refuse_taken_ports,
    reserved_ports,
    sandbox_folder,
    save,
)
from gitops_run.sandbox.store import Account, ensure_administrator


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    make_folder(tmp_path / "trial")
    programs = ("pulumi", "pulumi-language-python", "helm")
    return Sandbox(
        name="trial",
        folder=tmp_path / "trial",
        ports=dict.fromkeys(PORT_NAMES, 20000),
        binaries={program: Path("/cache") / program / program for program in programs},
        path=(),
        variables={},
    )


def test_ports_are_kept(sandbox: Sandbox) -> None:
    save(sandbox)

    assert load("trial", sandbox.folder.parent) == sandbox


def test_ports_are_different_free_and_never_an_outgoing_connections() -> None:
    ports = pick_ports(PORT_NAMES, reserved=())

    assert tuple(ports) == PORT_NAMES
    assert len(set(ports.values())) == len(PORT_NAMES)
    assert all(20000 <= port < 30000 for port in ports.values())
    refuse_taken_ports(ports)


def test_ports_of_other_sandboxes_are_not_picked(sandbox: Sandbox) -> None:
    save(sandbox)

    reserved = reserved_ports(sandbox.folder.parent)

    assert reserved == {20000}
    assert 20000 not in pick_ports(map(str, range(5000)), reserved).values()


def test_a_port_that_a_stranger_took_is_named() -> None:
    with socket.socket() as stranger:
        stranger.bind((LOOPBACK, 0))
        stranger.listen()
        port = stranger.getsockname()[1]

        with pytest.raises(SandboxError, match=rf"port {port} \(store\)"):
            refuse_taken_ports({"store": port})


def test_a_sandbox_that_was_never_started_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no sandbox named 'web'") as refused:
        load("web", tmp_path)

    assert refused.value.hint.endswith("gitops-run sandbox start --name web")


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "../a", "a/b", "a" * 33])
def test_a_name_that_is_no_word_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not allowed"):
        sandbox_folder(name, tmp_path)


def test_a_sandbox_lies_where_told_else_in_the_users_state(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GITOPS_RUN_SANDBOX_DIR", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert sandbox_folder("web") == tmp_path / "state" / "gitops-run" / "sandbox" / "web"

    monkeypatch.setenv("GITOPS_RUN_SANDBOX_DIR", str(tmp_path / "there"))
    assert sandbox_folder("web") == tmp_path / "there" / "web"
    assert sandbox_folder("web", tmp_path / "here") == tmp_path / "here" / "web"


def test_contexts_are_told_apart_by_name() -> None:
    assert context_name("default") == "gitops-run-sandbox"
    assert context_name("web") == "gitops-run-sandbox-web"


def test_the_stand_in_is_on_the_path_only_where_the_real_plugin_is_not(sandbox: Sandbox) -> None:
    real = with_environment(sandbox, has_plugin=True)
    without = with_environment(sandbox, has_plugin=False)

    assert STAND_IN not in real.path
    assert "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION" not in real.variables
    assert without.path[-1] == STAND_IN
    assert without.variables["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"


def test_the_stand_in_is_a_program_that_pulumi_finds_and_may_run() -> None:
    assert shutil.which("pulumi-resource-kubernetes", path=str(STAND_IN))


def test_a_shell_reads_the_environment_whatever_characters_are_in_it(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    odd = 'it\'s $HOME "quoted"'
    told = Sandbox(
        name=sandbox.name,
        folder=tmp_path,
        ports={},
        binaries={},
        path=(tmp_path / odd,),
        variables={"ODD": odd},
    )

    script = shell_lines(told) + '\nprintf \'%s\\n\' "$ODD" "$PATH"'
    answer = subprocess.run(
        ["/bin/sh", "-c", script], env={"PATH": "/before"}, capture_output=True, check=True
    )

    assert answer.stdout.decode().splitlines() == [odd, f"{tmp_path / odd}:/before"]


def test_the_environment_holds_no_secret(sandbox: Sandbox) -> None:
    administrator = ensure_administrator(sandbox.folder / "store")

    printed = shell_lines(with_environment(sandbox, has_plugin=False))

    assert administrator.secret not in printed
    assert administrator.access not in printed


def test_the_settings_hold_no_key_that_sessions_could_share(sandbox: Sandbox) -> None:
    write_settings(sandbox, ensure_administrator(sandbox.folder / "store"))

    keys = {key for key in yaml.safe_load(sandbox.settings.read_text()) if key.endswith("Key")}

    assert keys == {"accessKey", "secretKey"}


def test_a_sandbox_of_an_older_version_keeps_its_administrator_and_its_sessions_accounts(
    sandbox: Sandbox,
) -> None:
    store = sandbox.folder / "store"
    keys = {"access": "AK", "secret": "hunter2"}
    (store / "accounts.json").write_text(json.dumps(dict.fromkeys(("admin", "reader", "writer"), keys)))
    (store / "accounts" / "users.json").write_text("{}")

    assert ensure_administrator(store) == Account(access="AK", secret="hunter2")
    assert (store / "accounts" / "users.json").read_text() == "{}"


def test_the_administrator_and_passphrase_are_made_once(sandbox: Sandbox, tmp_path: Path) -> None:
    ensure_pulumi_state(tmp_path / "data")
    passphrase = (tmp_path / "data" / "passphrase").read_text()
    administrator = ensure_administrator(sandbox.folder / "store")

    ensure_pulumi_state(tmp_path / "data")

    assert passphrase
    assert (tmp_path / "data" / "passphrase").read_text() == passphrase
    assert (tmp_path / "data" / "passphrase").stat().st_mode & 0o777 == 0o600
    assert ensure_administrator(sandbox.folder / "store") == administrator


def test_keys_and_certificates_are_made_once_for_their_owner_alone(sandbox: Sandbox) -> None:
    pki = sandbox.folder / "pki"
    certificates.make_all(sandbox)
    made = {path.name: path.read_bytes() for path in pki.iterdir()}

    certificates.make_all(sandbox)

    assert {path.name: path.read_bytes() for path in pki.iterdir()} == made
    assert {path.stat().st_mode & 0o777 for path in pki.iterdir()} == {0o600}


def listed(base: Path, capsys: pytest.CaptureFixture[str]) -> str:
    cli.main(["sandbox", "list", "--state-dir", str(base)], prog_name="gitops-run", standalone_mode=False)
    return capsys.readouterr().out


def test_sandboxes_are_listed_until_they_are_deleted_with_all_that_they_hold(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    base = sandbox.folder.parent
    save(sandbox)
    assert re.search(r"trial +stopped +simulated", listed(base, capsys))
    arguments = ["sandbox", "delete", "--name", "trial", "--state-dir", str(base)]
    cli.main(arguments, prog_name="gitops-run", standalone_mode=False)
    assert str(sandbox.folder) in capsys.readouterr().err
    assert not sandbox.folder.exists()
    assert listed(base, capsys) == ""


def test_a_sandbox_of_an_earlier_version_finds_the_plugin_where_it_is_now(tmp_path: Path) -> None:
    sandbox = Sandbox(name="old", folder=tmp_path / "old", ports={}, binaries={}, path=(), variables={})
    sandbox.folder.mkdir()
    save(replace(sandbox, path=(Path("/app/gitops_run/plugins/kubernetes/bin"),)))
    assert load("old", tmp_path).path == (Path("/app/gitops_run/sandbox/kubernetes_plugin/bin"),)
