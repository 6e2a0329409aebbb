"""What a save of one file spares on the way to the store, and what that never costs."""

from __future__ import annotations

import anyio
import pytest

from gitops_run.model.state.events import SaveApplied, SavePushed, StoreDiffered
from gitops_run.model.store.objects import StoredObject
from tests.fakes import FakeStore
from tests.save_session import Session, running
from tests.virtual_time import scenario

ROUND_TRIP_S = 0.15


class FarStore(FakeStore):
    """A store whose every answer takes a round trip. emptied_after: the listing after which it is emptied."""

    emptied_after = -1
    lists = 0

    async def list(self, prefix: str = "") -> tuple[StoredObject, ...]:
        await anyio.sleep(ROUND_TRIP_S / 2)
        found = await super().list(prefix)
        self.lists += 1
        if self.lists == self.emptied_after:
            self.content.clear()
        await anyio.sleep(ROUND_TRIP_S / 2)
        return found


def far(session: Session, *, has_conditions: bool = True) -> FarStore:
    store = session.store
    store.__class__ = FarStore
    assert isinstance(store, FarStore)
    store.put_s, store.has_conditions = ROUND_TRIP_S, has_conditions
    return store


async def upload_ms(session: Session) -> float:
    """Save one file; return what it took from the end of the checks to the end of the upload."""
    await session.says(SaveApplied)
    session.files.write("app/a", b"2")
    pushed = await session.says(SavePushed, 2)
    assert isinstance(pushed, SavePushed)
    await session.says(SaveApplied, 2)
    return pushed.times_ms["uploaded"] - pushed.times_ms["settled"]


@scenario
async def test_one_file_is_put_while_the_store_is_listed() -> None:
    async with running({"app/a": b"1", "app/b": b"1"}) as session:
        far(session)
        assert await upload_ms(session) == pytest.approx(150, abs=5)


@scenario
async def test_a_store_that_ignores_conditions_is_listed_after_the_put() -> None:
    async with running({"app/a": b"1", "app/b": b"1"}) as session:
        far(session, has_conditions=False)
        assert await upload_ms(session) == pytest.approx(300, abs=5)


@scenario
async def test_a_put_that_takes_long_is_followed_by_another_listing() -> None:
    async with running({"app/a": b"1", "app/b": b"1"}) as session:
        far(session).put_s = 1.2
        assert await upload_ms(session) == pytest.approx(1350, abs=5)


@pytest.mark.parametrize("path", ["app/a", "app/new"])
@pytest.mark.parametrize("has_conditions", [True, False])
def test_a_store_that_is_emptied_around_a_save_never_prunes(path: str, has_conditions: bool) -> None:  # noqa: FBT001 - pytest's
    @scenario
    async def save() -> None:
        async with running({"app/a": b"1", "app/b": b"1"}) as session:
            store = far(session, has_conditions=has_conditions)
            await session.says(SaveApplied)
            store.emptied_after = store.lists + 1
            session.files.write(path, b"2")
            await session.says(StoreDiffered)
            await session.quiet()
            assert all("app/b" in tree for tree in session.cluster.applied_trees)
            assert session.cluster.live == {"a": b"1", "b": b"1"} | {path.removeprefix("app/"): b"2"}

    save()


@scenario
async def test_what_another_writes_at_the_same_moment_is_found() -> None:
    async with running({"app/a": b"1", "app/b": b"1"}) as session:
        store = far(session)
        await session.says(SaveApplied)
        store.content["src/app/b"] = b"theirs"
        session.files.write("app/a", b"2")
        await session.says(StoreDiffered)
        await session.quiet()
        assert session.cluster.live == {"a": b"2", "b": b"1"}
        assert all(tree["app/b"] == b"1" for tree in session.cluster.applied_trees)
