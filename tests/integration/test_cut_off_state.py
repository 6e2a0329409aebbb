"""A state that is cut off, as a full disk leaves it: nothing of the session is lost or stays behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.people import Person

LEFT_BYTES = 16 * 1024
"""What a file system of 3 MB left of the state and of Pulumi's own backup."""


@pytest.fixture
def person(admin: Person, tmp_path: Path) -> Person:
    states = tmp_path / "states"
    states.mkdir()
    return Person(env={**admin.env, "PULUMI_BACKEND_URL": states.as_uri()}, cwd=admin.cwd)


def state_of(name: str, tmp_path: Path) -> Path:
    return tmp_path / f"states/.pulumi/stacks/gitops-run/{name}.json"


def cut_off(person: Person, tmp_path: Path, name: str, root: Path) -> None:
    """Make a session, and leave of its state what a full disk leaves."""
    person.succeeds("up", name, str(root), "--root", str(root))
    state = state_of(name, tmp_path)
    for file in (state, state.with_name(f"{state.name}.bak")):
        file.write_bytes(file.read_bytes()[:LEFT_BYTES])


def test_up_continues_from_the_last_complete_state(person: Person, tmp_path: Path, plain: Path) -> None:
    cut_off(person, tmp_path, "cut-up", plain)
    continued = person.succeeds("up", "cut-up", str(plain), "--root", str(plain))
    assert "continuing from its last complete copy" in continued.err
    assert json.loads(state_of("cut-up", tmp_path).read_bytes())
    assert "cut-up" in person.names("kustomizations.kustomize.toolkit.fluxcd.io", "run-cut-up")
    person.succeeds("down", "cut-up")


def test_down_ends_what_a_cut_off_state_has_left(person: Person, tmp_path: Path, plain: Path) -> None:
    cut_off(person, tmp_path, "cut-down", plain)
    assert "Namespace run-cut-down: gone" in person.succeeds("down", "cut-down").err
    assert "run-cut-down" not in person.names("namespace")
    assert not state_of("cut-down", tmp_path).exists()


def test_a_session_whose_state_is_lost_is_ended_by_its_labels_with_its_bucket(
    person: Person, tmp_path: Path, plain: Path
) -> None:
    cut_off(person, tmp_path, "lost", plain)
    with person.leaves_running("sync", "lost", "--root", str(plain)) as sync:
        sync.tells("save_applied")
    shutil.rmtree(tmp_path / "states/.pulumi/complete")
    refused = person.types("down", "lost")
    assert (refused.code, "gitops-run down lost --from-cluster" in refused.err) == (6, True)
    ended = person.succeeds("down", "lost", "--from-cluster").err
    assert "the objects that lost applied in run-lost: gone" in ended
    assert "S3 bucket gitops-run-lost" in ended
    assert "run-lost" not in person.names("namespace")
    assert not state_of("lost", tmp_path).exists()
