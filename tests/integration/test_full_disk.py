"""A disk that gets full during `up`: nothing of the session is lost, and nothing of it stays behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.people import PATIENCE_S, Person, finish

SIZE_KB = 3 * 1024
FREE_KB = 188
"""Room for the first states of an `up`, and not for the last ones."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a small file system is mounted by root alone")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_KB}k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def person(admin: Person, disk: Path) -> Person:
    places = {"PULUMI_BACKEND_URL": disk.as_uri(), "XDG_DATA_HOME": str(disk)}
    return Person(env={**admin.env, **places}, cwd=admin.cwd)


def state_of(disk: Path, name: str) -> Path:
    return disk / f".pulumi/stacks/gitops-run/{name}.json"


def is_complete(state: Path) -> bool:
    try:
        json.loads(state.read_bytes())
    except ValueError:
        return False
    return True


def cut_off(person: Person, disk: Path, name: str, root: Path) -> None:
    """Make a session on a disk that gets full amid that, and make room again."""
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - FREE_KB * 1024))
    process = person.begins("up", name, str(root), "--root", str(root), until="create S3Bucket")
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and is_complete(state_of(disk, name)) and time.monotonic() < deadline:
        pass
    process.send_signal(signal.SIGINT)
    assert finish(process) != 0
    assert not is_complete(state_of(disk, name))
    filler.unlink()


def test_up_continues_after_a_full_disk(person: Person, disk: Path, plain: Path) -> None:
    cut_off(person, disk, "full-up", plain)
    continued = person.succeeds("up", "full-up", str(plain), "--root", str(plain))
    assert "continuing from its last complete copy" in continued.err
    assert is_complete(state_of(disk, "full-up"))
    assert "full-up" in person.names("kustomizations.kustomize.toolkit.fluxcd.io", "run-full-up")
    assert "Namespace run-full-up: gone" in person.succeeds("down", "full-up").err


def test_down_ends_what_a_full_disk_has_left(person: Person, disk: Path, plain: Path) -> None:
    cut_off(person, disk, "full-down", plain)
    ended = person.succeeds("down", "full-down").err
    assert "Namespace run-full-down: gone" in ended
    assert "run-full-down" not in person.names("namespace")
    assert not state_of(disk, "full-down").exists()


def test_a_session_whose_state_is_lost_is_listed_and_ended_by_its_labels(
    person: Person, disk: Path, plain: Path
) -> None:
    cut_off(person, disk, "full-lost", plain)
    shutil.rmtree(disk / ".pulumi/complete")
    left = next(one for one in person.succeeds("list", "-o", "json").json if one["name"] == "full-lost")
    assert left["is_incomplete"]
    lost = person.types("down", "full-lost")
    assert (lost.code, "--from-cluster" in lost.err) == (6, True)
    ended = person.succeeds("down", "full-lost", "--from-cluster").err
    assert "Namespace run-full-lost: gone" in ended
    assert "S3 bucket gitops-run-full-lost" in ended
    assert "run-full-lost" not in person.names("namespace")
    assert not state_of(disk, "full-lost").exists()


def test_a_complete_session_whose_state_is_lost_is_ended_with_its_bucket(
    person: Person, disk: Path, plain: Path
) -> None:
    person.succeeds("up", "lost", str(plain), "--root", str(plain))
    with person.leaves_running("sync", "lost", "--root", str(plain)) as sync:
        sync.tells("save_applied")
    shutil.rmtree(disk / ".pulumi")
    ended = person.succeeds("down", "lost", "--from-cluster").err
    assert "what lost applied in run-lost: gone" in ended
    assert "lost" not in {one["name"] for one in person.succeeds("list", "-o", "json").json}
