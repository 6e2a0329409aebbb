"""What a save changed in the files, as the page shows it: masked, cut, and from this machine alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import anyio

from gitops_run.adapters.files.history import SessionHistory
from gitops_run.adapters.files.snapshot import FolderSnapshot
from gitops_run.adapters.machine.remembered import history_folder
from gitops_run.api.file_diffs import FileDiffs
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.tree.file_diff import BYTES_MAX, LINES_MAX, changed_paths, file_change
from gitops_run.model.tree.tree import FileEntry, Tree
from tests.web_fakes import caller

KEY = SessionKey(kubeconfig="/k", context="kind-dev", namespace="run-web", name=SessionName("web"))
SECRET = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\nstringData:\n  password: {}\n"


def plain(line: str) -> str:
    return line


def test_a_change_is_a_unified_diff_without_its_head() -> None:
    change = file_change("a", b"one\ntwo\n", b"one\nthree\n", plain)
    assert change.lines == ("@@ -1,2 +1,2 @@", " one", "-two", "+three")


def test_what_was_created_or_deleted_is_said_to_be_so() -> None:
    assert file_change("a", None, b"x\n", plain).note == "created"
    assert file_change("a", b"x\n", None, plain).note == "deleted"


def test_what_is_no_text_or_too_large_is_not_compared() -> None:
    assert file_change("a", b"\xff", b"", plain).note == "it is not text"
    assert file_change("a", b"x" * (BYTES_MAX + 1), b"", plain).lines == ()


def test_a_long_difference_is_cut() -> None:
    change = file_change("a", b"", b"x\n" * LINES_MAX * 2, plain)
    assert len(change.lines) == LINES_MAX
    assert change.note == "and 401 lines more"


def test_only_paths_with_other_contents_are_compared() -> None:
    assert changed_paths({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "4", "d": "5"}) == ("b", "c", "d")


def kept(folder: Path, history: SessionHistory, files: dict[str, str], revision: str) -> None:
    for path, text in files.items():
        (folder / path).write_text(text)
    entries = {
        path: FileEntry(
            path=path,
            size=len(text),
            digest=hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
        )
        for path, text in files.items()
    }
    snapshot = FolderSnapshot(tree=Tree(entries), folder=folder, taken="")
    anyio.run(history.record, snapshot, revision)


def test_a_value_of_a_secret_is_in_no_difference(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    diffs = FileDiffs(KEY, replace(caller(), environment=environment))
    assert not diffs.are_here
    history = SessionHistory(history_folder(environment, KEY), tmp_path / "work")
    first = {"secret.yaml": SECRET.format("canary-number-one"), "app.yaml": "replicas: 1\n"}
    second = {"secret.yaml": SECRET.format("canary-number-two"), "app.yaml": "replicas: 2\n"}
    kept(tmp_path, history, first, f"sha256:{'a' * 64}")
    kept(tmp_path, history, second, f"sha256:{'b' * 64}")
    found = diffs.by_revision()
    (app, secret) = found[f"sha256:{'b' * 64}"]
    assert diffs.are_here
    assert app.lines[-2:] == ("-replicas: 1", "+replicas: 2")
    assert secret.lines[-2:] == ("-  password: ***", "+  password: ***")
