"""What a store holds, as values."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitops_run.model.store.objects import (
    KEY_MAX_BYTES,
    StoreAccess,
    StoredObject,
    flux_revision,
    key_problem,
)

ETAG = "0" * 32
OBJECTS = st.lists(
    st.builds(
        StoredObject,
        key=st.text(st.characters(codec="utf-8"), min_size=1, max_size=6),
        etag=st.sampled_from(["1" * 32, "f" * 32]),
        size=st.just(0),
    ),
    unique_by=lambda stored: stored.key,
    max_size=5,
)


def stored(key: str, etag: str = ETAG) -> StoredObject:
    return StoredObject(key=key, etag=etag, size=0)


def digest_of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def test_the_revision_is_the_digest_of_a_line_for_each_object() -> None:
    revision = flux_revision([stored("src/b.yaml", "bbb"), stored("src/a.yaml", "aaa")])

    assert revision == digest_of("src/a.yaml aaa\nsrc/b.yaml bbb\n")


def test_an_empty_store_has_the_revision_of_an_empty_text() -> None:
    assert flux_revision([]) == digest_of("")


def test_keys_are_sorted_by_their_bytes_and_not_by_a_language() -> None:
    revision = flux_revision([stored("ä"), stored("a"), stored("B"), stored("a/b"), stored("a-b")])

    assert revision == digest_of("".join(f"{key} {ETAG}\n" for key in ("B", "a", "a-b", "a/b", "ä")))


def test_folders_and_a_root_sourceignore_do_not_count() -> None:
    ignored = [stored("src/"), stored(".sourceignore")]

    assert flux_revision([*ignored, stored("src/.sourceignore")]) == flux_revision(
        [stored("src/.sourceignore")]
    )


def test_a_key_that_occurs_twice_has_no_revision() -> None:
    with pytest.raises(ValueError, match="occurs twice"):
        flux_revision([stored("a"), stored("a", "other")])


@given(listings=OBJECTS.flatmap(lambda objects: st.tuples(st.just(objects), st.permutations(objects))))
def test_the_revision_does_not_depend_on_the_order_of_a_listing(
    listings: tuple[list[StoredObject], list[StoredObject]],
) -> None:
    assert flux_revision(listings[0]) == flux_revision(listings[1])


@given(others=OBJECTS)
def test_the_revision_changes_when_an_object_does(others: list[StoredObject]) -> None:
    others = [other for other in others if other.key != "src/a"]

    assert flux_revision([*others, stored("src/a", "new")]) != flux_revision(
        [*others, stored("src/a", "old")]
    )


@pytest.mark.parametrize(
    "key",
    [
        "src/deployment.yaml",
        "a b",
        " a ",
        "100%",
        "a%20b",
        "a#b?c&d=e+f;g",
        "~user",
        "back\\slash",
        "\N{LATIN SMALL LETTER E WITH ACUTE}",
        "e\N{COMBINING ACUTE ACCENT}",
        "日本/😀",
        "...",
        ".hidden",
        "a" * KEY_MAX_BYTES,
    ],
)
def test_a_name_that_a_disk_can_have_can_be_a_key(key: str) -> None:
    assert key_problem(key) is None


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "empty"),
        ("a" * (KEY_MAX_BYTES + 1), "1025 bytes"),
        ("ä" * 513, "1026 bytes"),
        ("\udcff", "UTF-8"),
        ("a\nb", "U+000A"),
        ("a\tb", "U+0009"),
        ("a\x7fb", "U+007F"),
        ("a\x85b", "U+0085"),
        ("a\uffffb", "U+FFFF"),
        ("/a", "begins or ends with '/'"),
        ("a/", "begins or ends with '/'"),
        ("a//b", "a folder called ''"),
        ("./a", "'.'"),
        ("a/../b", "'..'"),
        ("..", "'..'"),
    ],
)
def test_a_name_that_a_store_would_lose_or_change_is_refused_with_a_reason(key: str, reason: str) -> None:
    assert reason in (key_problem(key) or "")


@given(key=st.text())
@example(key="\ud800")
def test_every_text_is_a_key_or_has_a_reason_why_not(key: str) -> None:
    problem = key_problem(key)

    assert problem is None or problem


def test_a_secret_key_does_not_show_when_the_access_is_printed() -> None:
    access = StoreAccess(endpoint="https://store:9000", region="r", access_key="ak", secret_key="hidden")

    assert "hidden" not in f"{access!r} {access}"
