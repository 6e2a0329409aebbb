"""The objects of a bucket, at a real store."""

from __future__ import annotations

import hashlib
import socket
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gitops_run.adapters.store import objects as adapter
from gitops_run.adapters.store.objects import BucketStore
from gitops_run.errors import BackendError, GitOpsRunError, LockedError, NotFound, TransientError, UsageError
from gitops_run.model.store.objects import StoredObject, key_problem
from tests.contract.conftest import StoreAccounts

pytestmark = pytest.mark.anyio

FILE_NAME_MAX_BYTES = 255
KEYS = st.text(min_size=1, max_size=40).map(lambda text: f"keys/{text}")


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def store(accounts: StoreAccounts, bucket: str) -> BucketStore:
    return BucketStore(accounts.writer, bucket)


async def test_what_is_put_is_listed_with_the_md5_of_its_content(store: BucketStore) -> None:
    etag = await store.put("one/a.yaml", b"content")

    assert etag == md5(b"content")
    assert await store.list("one/") == (StoredObject(key="one/a.yaml", etag=etag, size=7),)


async def test_a_file_of_12_mb_has_a_plain_md5_as_well(store: BucketStore) -> None:
    content = b"0123456789ab" * 2**20

    assert await store.put("large/a", content) == md5(content)


async def test_many_files_are_put_side_by_side_and_listed_in_the_order_of_their_bytes(
    store: BucketStore,
) -> None:
    contents = {f"many/{name}": name.encode() for name in (*map(str, range(1001)), "Z", "a-b", "a/b", "ä")}

    etags = await store.put_many(contents)

    assert etags == {key: md5(content) for key, content in contents.items()}
    listed = await store.list("many/")
    assert [found.key for found in listed] == sorted(contents, key=str.encode)


async def test_what_is_deleted_is_gone_and_what_was_gone_is_no_error(store: BucketStore) -> None:
    await store.put_many({"del/a": b"", "del/b": b"", "del/c": b""})

    await store.delete(["del/a", "del/b", "del/never-there"])

    assert [found.key for found in await store.list("del/")] == ["del/c"]


async def test_nothing_to_put_or_delete_asks_nothing(accounts: StoreAccounts) -> None:
    nowhere = BucketStore(replace(accounts.writer, endpoint="https://127.0.0.1:1"), "b")

    assert await nowhere.put_many({}) == {}
    await nowhere.delete([])


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        " a",
        "a ",
        "100%",
        "a%20b",
        "a%2Fb",
        "a#b",
        "a?b",
        "a+b",
        "~a",
        "a&b=c;d",
        "a*b",
        "'\"",
        "<a>",
        "{b}[c]|^`",
        "back\\slash",
        "a:b@c!$(),",
        "日本/😀",
        "...",
        unicodedata.normalize("NFC", "é"),
        unicodedata.normalize("NFD", "é"),
    ],
)
async def test_a_name_comes_back_as_it_went(store: BucketStore, name: str) -> None:
    await store.put(f"names/{name}", b"")

    assert [found.key for found in await store.list("names/")] == [f"names/{name}"]

    await store.delete([f"names/{name}"])
    assert await store.list("names/") == ()


@given(key=KEYS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_key_without_a_problem_comes_back_as_it_went(store: BucketStore, key: str) -> None:
    assume(key_problem(key) is None)
    # This store keeps objects as files, whose names are shorter than S3's keys.
    assume(all(len(part.encode()) <= FILE_NAME_MAX_BYTES for part in PurePosixPath(key).parts))

    await store.put(key, b"content")
    listed = await store.list("keys/")
    await store.delete([key])

    assert [found.key for found in listed] == [key]
    assert await store.list("keys/") == ()


async def test_a_name_that_no_key_can_hold_is_refused_before_the_store_is_asked(store: BucketStore) -> None:
    with pytest.raises(UsageError, match="U\\+000A"):
        await store.put("bad/a\nb", b"")


async def test_a_failure_among_many_is_raised_as_itself(store: BucketStore) -> None:
    with pytest.raises(UsageError, match=r"'\.\.'"):
        await store.put_many({**{f"some/{number}": b"" for number in range(50)}, "some/../x": b""})


async def test_a_file_that_became_a_folder_says_so(store: BucketStore) -> None:
    await store.put("shape/a", b"")

    with pytest.raises(BackendError, match="a file and a folder of one name"):
        await store.put("shape/a/b", b"")


async def test_the_reader_can_list_and_cannot_write(accounts: StoreAccounts, bucket: str) -> None:
    reader = BucketStore(accounts.reader, bucket)

    await reader.list()

    with pytest.raises(BackendError, match=f"refuses bucket {bucket} to the access key"):
        await reader.put("a", b"")
    with pytest.raises(BackendError, match=f"refuses bucket {bucket} to the access key"):
        await reader.delete(["one/a.yaml"])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"secret_key": "wrong"}, BackendError, "the secret key of .* is wrong"),
        ({"access_key": "nobody"}, BackendError, "does not know the access key nobody"),
        ({"region": "elsewhere"}, UsageError, "in region 'elsewhere'"),
        ({"ca_cert": ""}, BackendError, "certificate of .* is not trusted"),
        ({"endpoint": "https://127.0.0.1:1"}, TransientError, "nothing answers at https://127.0.0.1:1"),
        ({"endpoint": "https://no-such-host.invalid"}, TransientError, "the host of .* can't be found"),
    ],
)
async def test_a_store_that_cannot_be_used_says_why(
    accounts: StoreAccounts, bucket: str, change: dict[str, str], error: type[GitOpsRunError], words: str
) -> None:
    store = BucketStore(replace(accounts.writer, **change), bucket)

    with pytest.raises(error, match=words) as refused:
        await store.list()

    assert refused.value.hint
    assert accounts.writer.secret_key not in str(refused.value)


async def test_a_bucket_that_is_gone_is_not_found(accounts: StoreAccounts) -> None:
    with pytest.raises(NotFound, match="there is no bucket never-made"):
        await BucketStore(accounts.admin, "never-made").list()


async def test_a_ca_certificate_that_is_none_is_refused_at_once(accounts: StoreAccounts) -> None:
    with pytest.raises(UsageError, match="not PEM"):
        BucketStore(replace(accounts.writer, ca_cert="nonsense"), "b")


@pytest.fixture
def silent_endpoint() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


async def test_a_store_that_never_answers_is_given_up_in_time(
    accounts: StoreAccounts, silent_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "REQUEST_TIMEOUT_S", 0.3)
    monkeypatch.setattr(adapter, "ATTEMPT_TIMEOUT_S", 0.2)

    with pytest.raises(TransientError, match="did not answer in time"):
        await BucketStore(replace(accounts.writer, endpoint=silent_endpoint), "b").put("a", b"")


class Busy(BaseHTTPRequestHandler):
    """Answers that it is busy, as often as asked."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def busy_endpoint() -> Iterator[str]:
    """A store on loopback that is busy."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


async def test_every_attempt_needs_a_permit_of_its_own(accounts: StoreAccounts, busy_endpoint: str) -> None:
    permits: list[int] = []

    async def permit() -> None:
        permits.append(1)
        if len(permits) == 3:
            raise LockedError("taken over")

    store = BucketStore(replace(accounts.writer, endpoint=busy_endpoint), "b")
    with pytest.raises(LockedError, match="taken over"):
        await store.put_many({"a": b""}, permit)
    assert len(permits) == 3


async def test_nothing_is_put_or_deleted_without_a_permit(store: BucketStore) -> None:
    async def refuse() -> None:
        raise LockedError("taken over")

    await store.put("permit/kept", b"")
    with pytest.raises(LockedError):
        await store.put_many({f"permit/{number}": b"" for number in range(100)}, refuse)
    with pytest.raises(LockedError):
        await store.delete(["permit/kept"], refuse)
    assert [found.key for found in await store.list("permit/")] == ["permit/kept"]


async def test_no_more_than_one_wave_of_puts_has_a_permit_at_a_time(
    accounts: StoreAccounts, silent_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "REQUEST_TIMEOUT_S", 0.3)
    permits: list[int] = []

    async def permit() -> None:
        permits.append(1)

    with pytest.raises(TransientError, match="did not answer in time"):
        await BucketStore(replace(accounts.writer, endpoint=silent_endpoint), "b").put_many(
            {str(number): b"" for number in range(100)}, permit
        )
    assert len(permits) <= adapter.MAX_PARALLEL_PUTS


async def test_an_object_is_replaced_only_in_the_place_of_the_one_that_is_named(store: BucketStore) -> None:
    before = await store.put("over/a", b"1")

    assert await store.put_many({"over/a": b"2"}, over={"over/a": "0" * 32}) == {}
    assert await store.put_many({"over/gone": b"2"}, over={"over/gone": before}) == {}
    assert [found.etag for found in await store.list("over/")] == [before]

    assert await store.put_many({"over/a": b"2"}, over={"over/a": before}) == {"over/a": md5(b"2")}
    assert [found.etag for found in await store.list("over/")] == [md5(b"2")]


async def test_the_store_is_known_to_heed_conditions_by_a_put_that_changes_nothing(
    store: BucketStore,
) -> None:
    before = await store.put("heeds/a", b"1")

    assert await store.heeds_conditions("heeds/a", b"1")
    assert [found.etag for found in await store.list("heeds/")] == [before]
