"""What bad input gets: a clear error, its hint, its exit code, and nothing changed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import SharedSession
from tests.people import Finished, Person


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def up(person: Person, path: Path | str, *flags: str, name: str = "bad", **env: str) -> Finished:
    return person.types("up", name, str(path), *flags, **env)


def assert_refused(finished: Finished, code: int, *words: str) -> None:
    assert finished.code == code, finished.err
    assert "Traceback" not in finished.err
    message, hint = finished.err.strip().splitlines()[-2:]
    assert hint.startswith("  ")
    for word in words:
        assert word in message + hint


def test_a_path_that_does_not_exist(admin: Person) -> None:
    assert_refused(up(admin, "nowhere"), 2, "nowhere", "doesn't exist")


def test_a_file_as_path(admin: Person, plain: Path) -> None:
    assert_refused(up(admin, plain / "worker.yaml"), 2, "is a file", str(plain))


@pytest.mark.parametrize("name", ["UPPER", "a" * 41, "under_score", "-x", "1st", "dot.ted", "ends-"])
def test_a_name_that_dns_or_s3_will_not_take(admin: Person, plain: Path, name: str) -> None:
    assert_refused(admin.types("up", "--", name, str(plain)), 2, "session name")


def test_a_context_that_does_not_exist(admin: Person, plain: Path) -> None:
    flags = ("--context", "kind-nowhere")
    assert_refused(up(admin, plain, *flags, GITOPS_RUN_SETTINGS=""), 2, "kind-nowhere", "gitops-run-sandbox")


def test_a_cluster_that_does_not_answer(admin: Person, plain: Path, tmp_path: Path, silent_port: int) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    config = Path(admin.env["KUBECONFIG"]).read_text()
    server = next(line for line in config.splitlines() if "server:" in line)
    kubeconfig.write_text(
        config.replace(server.split("server:")[1].strip(), f"https://127.0.0.1:{silent_port}")
    )
    settings = tmp_path / "settings.yaml"
    text = Path(admin.env["GITOPS_RUN_SETTINGS"]).read_text()
    settings.write_text(text.replace(admin.env["KUBECONFIG"], str(kubeconfig)))
    settings.chmod(0o600)
    assert_refused(up(admin, plain, GITOPS_RUN_SETTINGS=str(settings)), 6, "within 5 s")


def test_an_unknown_setting_names_the_key_and_its_place(admin: Person, plain: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("regoin: us-east-1\n")
    finished = up(admin, plain, GITOPS_RUN_SETTINGS=str(settings))
    assert_refused(finished, 2, "regoin", str(settings), "region")


def test_a_store_that_refuses_the_key(admin: Person, plain: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    lines = Path(admin.env["GITOPS_RUN_SETTINGS"]).read_text().splitlines()
    wrong = [
        "secretKey: wrong-wrong-wrong-wrong" if line.startswith("secretKey:") else line for line in lines
    ]
    settings.write_text("\n".join(wrong))
    settings.chmod(0o600)
    flags = ("--root", str(plain))
    finished = up(admin, plain, *flags, name="refused-store", GITOPS_RUN_SETTINGS=str(settings))
    assert finished.code == 6, finished.err
    assert "wrong-wrong" not in finished.err
    assert admin.types("down", "refused-store").code == 7  # nothing was made


def test_a_session_that_does_not_exist(admin: Person, sandbox: object) -> None:
    del sandbox
    assert_refused(admin.types("status", "nobody"), 7, "nobody", "gitops-run list")


def test_an_unknown_flag_points_to_the_help(admin: Person) -> None:
    assert_refused(admin.types("up", "--nonsense"), 2, "--nonsense", "--help")


def test_a_session_is_synced_and_compared_from_another_directory(
    session: SharedSession, admin: Person, web: Path
) -> None:
    elsewhere = Person(env=admin.env, cwd=web)
    with elsewhere.leaves_running("sync", session.name, "--allow-prune") as sync:
        assert sync.tells("sync_started")["root"] == str(session.root)
        sync.tells("save_applied")
    assert elsewhere.types("diff", session.name).code == 0


def test_a_machine_that_does_not_know_the_directory_asks_for_it(
    session: SharedSession, admin: Person, web: Path, tmp_path: Path
) -> None:
    elsewhere = Person(env=admin.env, cwd=web)
    finished = elsewhere.types("sync", session.name, XDG_DATA_HOME=str(tmp_path))
    assert_refused(finished, 2, "'plain'", "--root DIR")


def test_the_end_of_a_session_that_does_not_exist_names_those_that_do(
    session: SharedSession, admin: Person
) -> None:
    assert_refused(admin.types("down", "nobody"), 7, "no session nobody", session.name, "gitops-run list")


def test_what_a_save_may_not_hold_is_shown_with_its_place(session: SharedSession) -> None:
    with session.syncing() as sync:
        for name, text, words in BROKEN:
            (session.root / name).write_text(text)
            problem = sync.tells("save_broken")["problems"][0]
            assert problem["path"] == name, problem
            assert problem["line"], problem
            assert words in problem["message"], problem
            (session.root / name).unlink()
            sync.tells("save_unchanged")


BROKEN = (
    ("text.yaml", "just text\n---\n: [", "not valid YAML"),
    (
        "twice.yaml",
        "---\n".join(2 * ["apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"]),
        "already registered",
    ),
    ("namespace.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n", "whole cluster"),
    (
        "cluster-role.yaml",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: other}\n",
        "whole cluster",
    ),
    (
        "role.yaml",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: other}\n",
        "no right to apply roles",
    ),
)


def test_a_link_that_leaves_the_root_is_named(session: SharedSession, tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text("a: b\n")
    with session.syncing() as sync:
        (session.root / "link.yaml").symlink_to(outside)
        problem = sync.tells("save_broken")["problems"][0]
        assert (problem["path"], problem["message"]) == ("link.yaml", "this link points outside the root")


def test_a_name_that_a_key_can_not_hold_is_named(session: SharedSession) -> None:
    with session.syncing() as sync:
        (session.root / "line\nbreak.yaml").write_text("a: b\n")
        problem = sync.tells("save_broken")["problems"][0]
        assert "break.yaml" in problem["path"]


def test_a_target_file_that_an_ignore_rule_hides_is_named_with_the_rule(session: SharedSession) -> None:
    with session.syncing() as sync:
        (session.root / "kustomization.yaml").write_text("resources: [settings.yaml, worker.yaml]\n")
        sync.tells("save_applied")
        (session.root / ".gitignore").write_text("settings.yaml\n")
        problem = sync.tells("save_broken")["problems"][0]
        assert problem["path"] == "settings.yaml"
        assert "settings.yaml in .gitignore:1" in problem["message"]


def test_an_empty_directory_waits_for_its_first_object(admin: Person, tmp_path: Path) -> None:
    root = tmp_path / "empty"
    root.mkdir()
    admin.succeeds("up", "empty", str(root), "--root", str(root))
    with Person(env=admin.env, cwd=root).leaves_running("sync", "empty") as sync:
        sync.tells("objects_awaited")
        (root / "first.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: first}\n")
        sync.tells("save_applied")
    admin.succeeds("down", "empty")
