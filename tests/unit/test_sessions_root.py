"""Which directory a session watches on this machine: the one named, the one here, or the one remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops_run.adapters.cluster.sessions import LiveSession
from gitops_run.adapters.files.history import forget_history
from gitops_run.adapters.machine.remembered import remember_root, remembered_root
from gitops_run.api.inspection import root_of
from gitops_run.errors import UsageError
from gitops_run.model.flux.conditions import SourceStatus


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "history" / "abc-web"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


def made(folder: Path, target: str = "deploy") -> Path:
    (folder / target).mkdir(parents=True)
    return folder


def session() -> LiveSession:
    return LiveSession(
        name="web",
        namespace="run-web",
        target="deploy",
        root="app",
        source=SourceStatus(),
    )


def test_a_session_is_found_from_any_directory(tmp_path: Path, history: Path, elsewhere: Path) -> None:
    root = made(tmp_path / "my app" / "app")
    remember_root(history, root)
    assert root_of(session(), None, history, elsewhere) == root


def test_the_directory_here_counts_where_it_can_be_the_session_s(tmp_path: Path, history: Path) -> None:
    remember_root(history, made(tmp_path / "a" / "app"))
    here = made(tmp_path / "b" / "app")
    assert root_of(session(), None, history, here) == here


def test_a_namesake_without_the_target_is_not_the_session_s(tmp_path: Path, history: Path) -> None:
    root = made(tmp_path / "a" / "app")
    remember_root(history, root)
    here = made(tmp_path / "b" / "app", "other")
    assert root_of(session(), None, history, here) == root


def test_the_directory_that_is_named_counts_before_all(
    tmp_path: Path, history: Path, elsewhere: Path
) -> None:
    remember_root(history, made(tmp_path / "a" / "app"))
    named = made(tmp_path / "c")
    assert root_of(session(), named, history, elsewhere) == named


def test_a_root_that_is_gone_or_unknown_is_asked_for(tmp_path: Path, history: Path, elsewhere: Path) -> None:
    remember_root(history, tmp_path / "gone" / "app")
    with pytest.raises(UsageError, match="watches a directory 'app'") as refused:
        root_of(session(), None, history, elsewhere)
    assert "--root DIR" in refused.value.hint


def test_the_last_root_is_remembered_until_the_session_ends(tmp_path: Path, history: Path) -> None:
    first, second = made(tmp_path / "a"), made(tmp_path / "b")
    remember_root(history, first)
    remember_root(history, second)
    assert remembered_root(history) == second
    assert (history / "root.json").stat().st_mode & 0o077 == 0
    forget_history(history)
    assert remembered_root(history) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"root": 1}', "\x00"])
def test_a_damaged_note_is_no_root(history: Path, text: str) -> None:
    history.mkdir(parents=True)
    (history / "root.json").write_text(text)
    assert remembered_root(history) is None
