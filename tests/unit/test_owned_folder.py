"""Folders that belong to one process each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gitops_run.adapters.owned_folder import owned_folder

OWN = """
import os, signal, sys
from pathlib import Path
from gitops_run.adapters.owned_folder import owned_folder
with owned_folder(Path(sys.argv[1])) as folder:
    (folder / "secret").write_text("x")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def folders(place: Path) -> set[Path]:
    return {path for path in place.iterdir() if path.is_dir()}


def test_two_owners_in_one_place_have_folders_of_their_own_and_outlive_each_other(tmp_path: Path) -> None:
    with owned_folder(tmp_path / "place") as first:
        with owned_folder(tmp_path / "place") as second:
            (second / "a").write_text("2")
            assert first != second
        assert not second.exists()
        (first / "a").write_text("1")
    assert folders(tmp_path / "place") == set()


def test_a_folder_is_private(tmp_path: Path) -> None:
    with owned_folder(tmp_path / "place") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWN, str(tmp_path / "place")]
    left = Path(subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip())
    assert (left / "secret").exists()
    with owned_folder(tmp_path / "place") as folder:
        assert folders(tmp_path / "place") == {folder}


def test_what_an_earlier_version_left_without_a_lock_is_removed(tmp_path: Path) -> None:
    (tmp_path / "place" / "tree").mkdir(parents=True)
    with owned_folder(tmp_path / "place") as folder:
        assert folders(tmp_path / "place") == {folder}


def test_no_lock_is_left_once_the_last_owner_has_ended(tmp_path: Path) -> None:
    with owned_folder(tmp_path / "place"):
        pass
    assert [path.name for path in (tmp_path / "place").iterdir()] == [".lock"]
