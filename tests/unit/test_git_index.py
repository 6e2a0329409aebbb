"""What git tracks, from the bytes of an index. tests/contract/test_gitignore.py holds it to git's own."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_run.model.tree.git_index import parse_git_index
from gitops_run.model.tree.ignore import Matcher, matcher

FILE, SUBMODULE, FOLDER = 0o100644, 0o160000, 0o040000


def index(entries: Mapping[str, int], extension: bytes = b"") -> bytes:
    """Write an index of version 2."""
    written = struct.pack(">4sLL", b"DIRC", 2, len(entries))
    for path, mode in sorted(entries.items()):
        name = path.encode()
        flags = struct.pack(">H", min(len(name), 0xFFF))
        entry = bytes(24) + struct.pack(">L", mode) + bytes(12) + bytes(20) + flags + name
        written += entry + bytes(8 - len(entry) % 8)
    return written + extension + bytes(20)


def rules_of(texts: Mapping[str, str], entries: Mapping[str, int], **more: str) -> Matcher:
    tracked = {"": parse_git_index(index(entries))}
    return matcher(texts.get, read_index=tracked.get, **more)


def test_a_tracked_file_in_an_ignored_folder_is_kept_and_its_neighbour_is_not() -> None:
    rules = rules_of({".gitignore": "out/\n"}, {"out/d/a.yaml": FILE})
    kept = [path for path in ("out/d/a.yaml", "out/d/b.yaml", "out/c.yaml") if rules.hidden_by(path) is None]
    assert kept == ["out/d/a.yaml"]
    assert rules.hidden_by("out", is_dir=True) is rules.hidden_by("out/d", is_dir=True) is None


@pytest.mark.parametrize(
    "texts", [{".sourceignore": "*.yaml\n"}, {".gitignore": "*", ".sourceignore": "/d/"}]
)
def test_sourceignore_hides_what_git_tracks(texts: dict[str, str]) -> None:
    hidden = rules_of(texts, {"d/a.yaml": FILE}).hidden_by("d/a.yaml")
    assert hidden is not None
    assert hidden.source == ".sourceignore"


def test_what_editors_leave_is_left_out_even_where_it_is_tracked() -> None:
    assert rules_of({".gitignore": "*"}, {"a.yaml~": FILE}).hidden_by("a.yaml~") is not None


def test_a_root_below_the_work_tree_finds_its_files_in_the_index() -> None:
    rules = rules_of({"../.gitignore": "*"}, {"deploy/a.yaml": FILE}, place="deploy")
    assert rules.hidden_by("a.yaml") is None
    assert rules.hidden_by("") is None
    assert rules.hidden_by("b.yaml") is not None


def test_a_path_of_any_length_is_found() -> None:
    path = "a/" * 3_000 + "b.yaml"
    found = parse_git_index(index({path: FILE, "z": FILE}))
    assert found is not None
    assert found.files == {path, "z"}


def test_a_folder_that_is_not_on_disk_is_not_tracked() -> None:
    found = parse_git_index(index({"a": FILE, "sparse/": FOLDER}))
    assert found is not None
    assert (found.files, found.folders) == ({"a"}, frozenset())


def test_a_submodule_is_a_folder_that_holds_what_is_below_it() -> None:
    found = parse_git_index(index({"vendor/sub": SUBMODULE}))
    assert found is not None
    assert found.folders == {"vendor", "vendor/sub"}
    assert found.submodule_around("vendor/sub/a/b") == "vendor/sub"
    assert found.submodule_around("vendor/sub") is None


def test_a_split_index_is_not_read_since_it_is_not_whole() -> None:
    extension = struct.pack(">4sL", b"TREE", 3) + b"abc" + struct.pack(">4sL", b"link", 20) + bytes(20)
    assert parse_git_index(index({"a": FILE}, extension)) is None


@given(content=st.binary(max_size=200), cut=st.integers(0, 200), version=st.integers(0, 5))
def test_no_bytes_break_the_reading_of_an_index(content: bytes, cut: int, version: int) -> None:
    whole = index({"a": FILE, "b/c": FILE})
    parse_git_index(content)
    parse_git_index(whole[:cut] + content)
    parse_git_index(struct.pack(">4sLL", b"DIRC", version, 2**32 - 1) + content)
