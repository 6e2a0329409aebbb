"""The copy of a stack's last complete state, from which a run continues after a full disk."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from gitops_run.adapters.pulumi.copies import StateCopy, StateLostError
from gitops_run.errors import BackendError
from gitops_run.model.stack.events import KnownResources, PendingObject
from gitops_run.model.stack.state import known_resources

COMPLETE = json.dumps({"version": 3, "checkpoint": {"latest": {"resources": []}}}).encode()
FORMS: dict[str, Callable[[bytes], bytes]] = {".json": bytes, ".json.gz": gzip.compress}


@pytest.fixture(params=FORMS)
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    file = tmp_path / f".pulumi/stacks/gitops-run/web{request.param}"
    file.parent.mkdir(parents=True)
    file.write_bytes(FORMS[request.param](COMPLETE))
    return file


@pytest.fixture
def copy(tmp_path: Path) -> StateCopy:
    return StateCopy(backend=tmp_path.as_uri(), stack="gitops-run/web")


@pytest.mark.parametrize("kept", [0, 1, 20])
def test_a_state_that_is_cut_off_is_continued_from_its_copy(state: Path, copy: StateCopy, kept: int) -> None:
    before = state.read_bytes()
    copy.keep()
    state.write_bytes(before[:kept])
    assert copy.restore()
    assert state.read_bytes() == before
    assert copy.is_continued
    copy.settle()
    assert not copy.is_continued


def test_a_copy_is_never_replaced_by_what_is_cut_off(state: Path, copy: StateCopy) -> None:
    before = state.read_bytes()
    copy.keep()
    state.write_bytes(before[:10])
    copy.keep()
    assert copy.restore()
    assert state.read_bytes() == before


def test_a_complete_state_is_left_alone(state: Path, copy: StateCopy) -> None:
    copy.keep()
    newer = state.read_bytes().replace(b"3", b"4") if state.suffix == ".json" else gzip.compress(b"{}")
    state.write_bytes(newer)
    assert not copy.restore()
    assert (state.read_bytes(), copy.is_continued) == (newer, False)


def test_a_state_without_a_copy_is_lost_and_the_hint_ends_the_session(state: Path, copy: StateCopy) -> None:
    state.write_bytes(b"{")
    with pytest.raises(StateLostError) as lost:
        copy.restore()
    assert str(state) in lost.value.message
    assert lost.value.hint.endswith("gitops-run down web --from-cluster")
    copy.forget()
    assert not state.exists()
    assert not copy.restore()


def test_a_copy_is_synced_before_it_counts_and_is_its_owners_alone(
    state: Path, copy: StateCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def noting(name: str, work: Callable[..., object]) -> Callable[..., object]:
        def noted(*arguments: object) -> object:
            order.append(name)
            return work(*arguments)

        return noted

    monkeypatch.setattr(os, "fsync", noting("sync", os.fsync))
    monkeypatch.setattr(Path, "replace", noting("rename", Path.replace))
    copy.keep()
    copy.keep()
    assert order == ["sync", "rename", "sync"]
    (written,) = state.parents[2].joinpath("complete/gitops-run").iterdir()
    assert written.stat().st_mode & 0o077 == 0


def test_a_disk_without_room_for_the_copy_is_an_error_before_anything_runs(
    state: Path, copy: StateCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BackendError, match="can't be written: No space left on device") as refused:
        copy.keep()
    assert f"complete/gitops-run/{state.name}" in refused.value.message
    assert not list(state.parents[2].joinpath("complete/gitops-run").iterdir())


def test_a_state_that_is_not_in_files_has_no_copy() -> None:
    copy = StateCopy(backend="s3://states", stack="gitops-run/web")
    copy.keep()
    copy.settle()
    copy.forget()
    assert not copy.restore()
    assert not copy.is_continued


def test_a_state_knows_its_objects_and_its_bucket() -> None:
    inputs = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "n"}}
    resources = [
        {"type": "kubernetes:core/v1:Secret", "urn": "a", "inputs": inputs},
        {"type": "pulumi:providers:kubernetes", "urn": "p", "inputs": {"context": "c"}},
    ]
    secret = PendingObject(api_version="v1", kind="Secret", namespace="n", name="a")
    assert known_resources(resources) == KnownResources(objects=frozenset({secret}), has_bucket=False)
    assert known_resources([{"type": "gitops-run:index:S3Bucket", "urn": "b"}]).has_bucket


@pytest.mark.parametrize(("blocks", "is_full"), [(31, True), (32, False)])
def test_a_disk_without_room_for_another_state_is_named(
    state: Path, copy: StateCopy, blocks: int, *, is_full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SimpleNamespace(f_bavail=blocks, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda _: disk)
    assert copy.full_disk() == (str(state.parents[2]) if is_full else "")
