"""A kubeconfig that can't be used: one clear error in every command, with the file and the place in it."""

from __future__ import annotations

import base64
from pathlib import Path

import anyio
import pytest
import yaml

from gitops_run.adapters.cluster.connection import connect
from gitops_run.adapters.machine.kubeconfig import read_kubeconfig
from gitops_run.cli.app import cli
from gitops_run.errors import GuardError, UsageError

SECRET = "kubeconfig-canary"
CONFIG = f"""\
current-context: kind-dev
clusters:
- name: dev
  cluster: {{server: https://127.0.0.1:1}}
contexts:
- name: kind-dev
  context: {{cluster: dev, user: dev}}
- name: staging
  context: {{cluster: dev, user: dev}}
users:
- name: dev
  user: {{token: {SECRET}}}
"""

UNUSABLE = {
    "missing": (None, "there is no kubeconfig at"),
    "empty": (b"", "is empty"),
    "only a comment": (b"# nothing\n", "is empty"),
    "null": (b"null\n", "is empty"),
    "a folder": (Path, "Is a directory"),
    "no text": (CONFIG.encode() + b"x: \xff\xfe\n", "line 13, column 4"),
    "a tab": (CONFIG.replace("  cluster:", "\tcluster:", 1).encode(), "line 4, column 1"),
    "a broken line": (CONFIG.replace("users:", f"users: [{SECRET}", 1).encode(), "line 1"),
    "a control character": (CONFIG.encode() + b"x: \x01\n", "line 13, column 4"),
    "a list": (b"- a\n", "line 1, column 1"),
    "a word": (b"hello\n", "line 1, column 1"),
    "an unhashable key": (b"? [a]\n: b\n", "line 1"),
    "a tag of Python": (CONFIG.encode() + b"x: !!python/name:os.system\n", "line 13"),
    "contexts that are no list": (CONFIG.replace("contexts:\n", "contexts: {}\nx:\n").encode(), "line 5"),
    "a context without a name": (CONFIG.replace("- name: kind-dev", "- title: a").encode(), "line 6"),
    "a context twice": (CONFIG.replace("name: staging", "name: kind-dev").encode(), "line 8"),
    "no cluster of that name": (CONFIG.replace("- name: dev\n  cl", "- name: x\n  cl").encode(), "line 6"),
    "no user of that name": (CONFIG.replace("- name: dev\n  us", "- name: x\n  us").encode(), "line 6"),
    "a context of nothing": (CONFIG.replace("context: {cluster: dev, user: dev}", "x: 1").encode(), "line 6"),
    "a cluster without a server": (CONFIG.replace("server", "sever").encode(), "line 3"),
    "a key that is no base64": (CONFIG.replace("token", "client-key-data").encode(), "line 11"),
    "a CA that isn't there": (
        CONFIG.replace("{server", "{certificate-authority: no.pem, server").encode(),
        "line 3",
    ),
}
"""What each file holds, and what its error says."""

COMMANDS = (
    ("list",),
    ("status", "web"),
    ("history", "web"),
    ("undo", "web"),
    ("diff", "web"),
    ("sync", "web"),
    ("up", "web", "."),
    ("down", "web"),
    ("run", "."),
    ("platform", "up"),
    ("platform", "down"),
    ("platform", "status"),
)


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a kubeconfig and nothing else."""
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.delenv("GITOPS_RUN_SETTINGS", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    (tmp_path / "web").mkdir()
    monkeypatch.chdir(tmp_path / "web")
    return tmp_path


def types(*arguments: str) -> None:
    cli.main([*arguments], prog_name="gitops-run", standalone_mode=False)


def put(path: Path, content: object) -> None:
    if content is Path:
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_kubeconfig_is_refused_with_its_name_and_the_place(at_home: Path, case: str) -> None:
    refuses(("list",), at_home, case)


@pytest.mark.parametrize("case", ["missing", "empty", "a broken line", "no user of that name"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_refuses_an_unusable_kubeconfig(
    at_home: Path, command: tuple[str, ...], case: str
) -> None:
    refuses(command, at_home, case)


def refuses(command: tuple[str, ...], folder: Path, case: str) -> None:
    content, expected = UNUSABLE[case]
    path = folder / "kubeconfig"
    put(path, content)
    with pytest.raises(UsageError) as refused:
        types(*command, "--context", "kind-dev")
    assert str(path) in refused.value.message
    assert expected in refused.value.message
    assert "--kubeconfig FILE" in refused.value.hint
    assert SECRET not in refused.value.message + refused.value.hint


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_lists_the_contexts_that_exist_for_one_that_does_not(
    at_home: Path, command: tuple[str, ...]
) -> None:
    put(at_home / "kubeconfig", CONFIG.encode())
    with pytest.raises(UsageError, match=r"no context 'prod'; .* has the contexts kind-dev, staging"):
        types(*command, "--context", "prod")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_context_that_exists_and_is_not_local_is_refused_after_that(
    at_home: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(at_home / "kubeconfig", CONFIG.encode())
    monkeypatch.setattr("shutil.which", lambda name: name)
    with pytest.raises(GuardError, match="staging"):
        types(*command, "--context", "staging")


@pytest.mark.parametrize("command", [("list",), ("status", "web"), ("platform", "status")], ids=" ".join)
def test_a_command_that_was_told_no_context_lists_those_that_exist(
    at_home: Path, command: tuple[str, ...]
) -> None:
    put(at_home / "kubeconfig", CONFIG.encode())
    with pytest.raises(UsageError, match=r"no cluster was named; .* has the contexts kind-dev, staging"):
        types(*command)


def test_names_that_yaml_reads_as_numbers_are_names(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(CONFIG.replace("kind-dev", "2024").replace(": dev", ": 7"))
    found = read_kubeconfig(str(path))
    found.require("2024")
    assert found.current == "2024"


def test_a_file_of_certificates_is_looked_for_beside_the_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    path = tmp_path / "kubeconfig"
    path.write_text(CONFIG.replace("{server", "{certificate-authority: ca.pem, server"))
    monkeypatch.chdir("/")
    read_kubeconfig(str(path)).require("kind-dev")


@pytest.mark.parametrize("key", ["certificate-authority-data", "client-certificate-data"])
def test_a_certificate_that_is_none_is_refused_without_the_library_s_words(tmp_path: Path, key: str) -> None:
    path = tmp_path / "kubeconfig"
    document = yaml.safe_load(CONFIG)
    data = {key: base64.b64encode(b"not PEM").decode()}
    document["clusters"][0]["cluster"] |= data
    document["users"][0]["user"] |= data
    path.write_text(yaml.safe_dump(document))

    async def opens() -> None:
        async with connect(str(path), "kind-dev"):
            pass

    with pytest.raises(UsageError, match="certificates of context 'kind-dev'"):
        anyio.run(opens)
