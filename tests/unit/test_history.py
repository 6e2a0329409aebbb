"""The snapshots that are kept on disk, what a crash leaves of them."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from gitops_run.adapters.files.history import SNAPSHOTS_MAX, SessionHistory
from gitops_run.adapters.machine.remembered import history_folder
from gitops_run.errors import BackendError, NotFound, UsageError
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.state.history import (
    Difference,
    KeptSnapshot,
    before,
    difference,
    find,
    parse_files,
)
from tests.fakes import FakeSnapshot, revision_of

A = {"app/a.yaml": b"one", "app/b.yaml": b"two"}
B = {"app/a.yaml": b"changed", "app/b.yaml": b"two", "new": b"!"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "history" / "place-web"


@pytest.fixture
def past(folder: Path, tmp_path: Path) -> SessionHistory:
    return SessionHistory(folder, tmp_path / "work")


def record(past: SessionHistory, *trees: dict[str, bytes]) -> None:
    async def all_of_them() -> None:
        for tree in trees:
            await past.record(FakeSnapshot(tree), revision_of(tree))

    anyio.run(all_of_them)


def revisions(past: SessionHistory) -> list[str]:
    return [kept.revision for kept in past.kept()]


def objects(folder: Path) -> set[str]:
    return {path.name for path in (folder / "objects").iterdir()}


def names_of(*contents: bytes) -> set[str]:
    return {hashlib.sha256(content).hexdigest() for content in contents}


def laid_out(past: SessionHistory, tree: dict[str, bytes]) -> dict[str, bytes]:
    snapshot = anyio.run(past.snapshot, revision_of(tree))
    on_disk = {
        path.relative_to(snapshot.folder).as_posix(): path.read_bytes()
        for path in snapshot.folder.rglob("*")
        if path.is_file()
    }
    assert {path: snapshot.read_bytes(path) for path in snapshot.tree.files} == on_disk
    return on_disk


def test_an_earlier_snapshot_comes_back_whole(past: SessionHistory) -> None:
    record(past, A, B)
    assert laid_out(past, A) == A


def test_a_snapshot_that_is_laid_out_takes_the_place_of_the_last_one(past: SessionHistory) -> None:
    record(past, A, B)
    assert laid_out(past, B) == B
    assert laid_out(past, A) == A


def test_a_snapshot_lies_beside_the_folder_of_renderings(past: SessionHistory, tmp_path: Path) -> None:
    record(past, A)
    assert anyio.run(past.snapshot, revision_of(A)).folder == tmp_path / "work" / "undo"


def test_a_snapshot_that_comes_back_has_the_revision_that_it_had(past: SessionHistory) -> None:
    record(past, A)
    snapshot = anyio.run(past.snapshot, revision_of(A))
    assert snapshot.tree == FakeSnapshot(A).tree


def test_a_content_is_kept_once(past: SessionHistory, folder: Path) -> None:
    record(past, A, B)
    assert objects(folder) == names_of(b"one", b"two", b"changed", b"!")


def test_recording_reads_only_what_changed(past: SessionHistory) -> None:
    class Counted(FakeSnapshot):
        def read_bytes(self, path: str) -> bytes:
            read.append(path)
            return super().read_bytes(path)

    read: list[str] = []
    record(past, A)
    anyio.run(past.record, Counted(B), revision_of(B))
    assert read == ["app/a.yaml", "new"]


def test_the_same_snapshot_again_moves_to_the_end(past: SessionHistory) -> None:
    record(past, A, B, A)
    assert revisions(past) == [revision_of(B), revision_of(A)]


def test_the_last_ones_are_kept_and_the_contents_of_the_others_go(past: SessionHistory, folder: Path) -> None:
    trees = [{"same": b"same", "a": f"{number}".encode()} for number in range(SNAPSHOTS_MAX + 5)]
    record(past, *trees)
    assert revisions(past) == [revision_of(tree) for tree in trees[5:]]
    assert objects(folder) == names_of(b"same", *(tree["a"] for tree in trees[5:]))


def test_another_process_carries_on_with_what_is_kept(
    past: SessionHistory, folder: Path, tmp_path: Path
) -> None:
    record(past, A)
    record(SessionHistory(folder, tmp_path / "other"), B)
    record(past, {"c": b"c"})
    assert [laid_out(past, tree) for tree in (A, B)] == [A, B]


def test_what_is_kept_is_for_its_owner_s_eyes(past: SessionHistory, folder: Path) -> None:
    record(past, A)
    modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    assert modes == {True: 0o700, False: 0o600}


def test_a_snapshot_of_which_only_contents_were_written_is_not_listed(
    past: SessionHistory, folder: Path, tmp_path: Path
) -> None:
    record(past, A)
    anyio.run(past.keep, FakeSnapshot(B))
    assert revisions(past) == [revision_of(A)]
    record(SessionHistory(folder, tmp_path / "next"), {"c": b"c"})
    assert objects(folder) == names_of(b"one", b"two", b"c")


def test_contents_that_were_kept_in_time_need_not_be_read_again(past: SessionHistory) -> None:
    class Overwritten(FakeSnapshot):
        def read_bytes(self, path: str) -> bytes:
            return b"a newer save's"

    anyio.run(past.keep, FakeSnapshot(A))
    anyio.run(past.record, Overwritten(A), revision_of(A))
    assert laid_out(past, A) == A


def test_a_snapshot_that_was_overwritten_before_it_was_read_is_left_out(past: SessionHistory) -> None:
    class Overwritten(FakeSnapshot):
        def read_bytes(self, path: str) -> bytes:
            return b"a newer save's"

    anyio.run(past.record, Overwritten(A), revision_of(A))
    assert revisions(past) == []


def test_files_that_a_crash_left_are_not_listed_and_are_swept(
    past: SessionHistory, folder: Path, tmp_path: Path
) -> None:
    record(past, A)
    (folder / "snapshots" / ".tmp-1").write_text("{")
    assert revisions(past) == [revision_of(A)]
    record(SessionHistory(folder, tmp_path / "next"), B)
    assert len(list((folder / "snapshots").iterdir())) == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"form":1,"files":{"../x":[1,"a","' + "0" * 64 + '"]}}'])
def test_a_damaged_snapshot_loses_nothing_but_itself(
    past: SessionHistory, folder: Path, tmp_path: Path, damage: str
) -> None:
    record(past, A, B)
    min((folder / "snapshots").iterdir()).write_text(damage)
    assert revisions(past) == [revision_of(B)]
    after = SessionHistory(folder, tmp_path / "next")
    record(after, {"c": b"c"})
    assert laid_out(after, B) == B


def test_a_content_that_was_cut_short_is_never_brought_back(past: SessionHistory, folder: Path) -> None:
    record(past, A)
    (folder / "objects" / names_of(b"one").pop()).write_bytes(b"")
    with pytest.raises(NotFound, match=r"app/a\.yaml .* is damaged"):
        anyio.run(past.snapshot, revision_of(A))


def test_a_content_that_vanished_or_was_cut_is_kept_again(
    past: SessionHistory, folder: Path, tmp_path: Path
) -> None:
    record(past, A)
    (folder / "objects" / names_of(b"one").pop()).unlink()
    (folder / "objects" / names_of(b"two").pop()).write_bytes(b"")
    after = SessionHistory(folder, tmp_path / "next")
    record(after, A)
    assert laid_out(after, A) == A


def test_two_files_of_one_revision_that_a_crash_left_are_one_snapshot(
    past: SessionHistory, folder: Path
) -> None:
    record(past, A)
    name = next((folder / "snapshots").iterdir())
    (folder / "snapshots" / f"{10**19}-{name.name.partition('-')[2]}").write_bytes(name.read_bytes())
    assert revisions(past) == [revision_of(A)]


def test_a_revision_that_is_not_kept_is_not_found(past: SessionHistory) -> None:
    record(past, A)
    with pytest.raises(NotFound, match="not in this session's history"):
        anyio.run(past.snapshot, revision_of(B))


def test_a_disk_that_refuses_is_told_with_its_folder(folder: Path, past: SessionHistory) -> None:
    folder.parent.mkdir()
    folder.write_text("a file where the folder should be")
    with pytest.raises(BackendError, match=str(folder)):
        record(past, A)


def test_nothing_is_kept_of_a_session_that_was_never_synced(past: SessionHistory, folder: Path) -> None:
    assert past.kept() == ()
    assert not folder.exists()


def test_sessions_of_one_name_in_two_clusters_have_two_histories() -> None:
    environment = {"XDG_DATA_HOME": "/data"}
    key = SessionKey(kubeconfig="", context="kind", namespace="run-web", name=SessionName.parse("web"))
    folders = {history_folder(environment, replace(key, context=context)) for context in ("kind", "remote")}
    assert len(folders) == 2


def kept(*digits: str) -> list[KeptSnapshot]:
    return [
        KeptSnapshot(revision=f"sha256:{text:0<64}", order=number, files={})
        for number, text in enumerate(digits, 1)
    ]


@pytest.mark.parametrize("text", ["abcd", "sha256:abcd", "ABCD"])
def test_a_revision_is_found_by_its_beginning(text: str) -> None:
    assert find(kept("abcd1", "abce2"), text).revision.startswith("sha256:abcd1")


@pytest.mark.parametrize("text", ["", "abc", "xyz1", "sha256:", "../..", "a" * 65])
def test_what_is_no_beginning_of_a_revision_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a revision"):
        find(kept("abcd"), text)


def test_a_beginning_that_fits_two_lists_both() -> None:
    with pytest.raises(UsageError, match=r"abcd1000.*abcd2000"):
        find(kept("abcd1", "abcd2"), "abcd")


def test_a_revision_that_is_unknown_is_not_found() -> None:
    with pytest.raises(NotFound):
        find(kept("abcd"), "1234")


def test_undo_means_the_one_before_the_live_one() -> None:
    past = kept("aaaa", "bbbb", "cccc")
    assert before(past, past[1].revision) is past[0]


def test_where_the_live_one_is_not_kept_undo_means_the_newest() -> None:
    past = kept("aaaa", "bbbb")
    assert before(past, "sha256:elsewhere") is past[1]


@pytest.mark.parametrize("past", [[], kept("aaaa")])
def test_before_the_first_one_there_is_nothing(past: list[KeptSnapshot]) -> None:
    with pytest.raises(NotFound):
        before(past, f"sha256:{'aaaa':0<64}")


def test_a_difference_counts_files(past: SessionHistory) -> None:
    record(past, A, B)
    first, second = past.kept()
    assert difference(first, second) == Difference(added=1, changed=1, deleted=0)
    assert difference(second, first) == Difference(added=0, changed=1, deleted=1)
    assert difference(None, first) == Difference(added=2, changed=0, deleted=0)


@pytest.mark.parametrize("path", ["../out", "/root", "a//b", ""])
def test_a_path_that_leads_elsewhere_is_not_read(path: str) -> None:
    with pytest.raises(ValueError, match="described wrongly"):
        parse_files(f'{{"form": 1, "files": {{"{path}": [1, "{"0" * 32}", "{"0" * 64}"]}}}}')
