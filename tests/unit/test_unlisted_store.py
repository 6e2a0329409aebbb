"""A store whose listings never show what was put."""

from __future__ import annotations

import anyio
import pytest

from gitops_run.model.state.events import SaveApplied, SavePushed, ServiceFailed, StoreDiffered
from gitops_run.model.store.objects import store_difference
from tests import virtual_time
from tests.fakes import FakeStore
from tests.save_session import Session, running
from tests.virtual_time import scenario


class Forgetful(FakeStore):
    """A store that lists nothing of what it holds."""

    async def list(self, prefix: str = "") -> tuple[()]:
        del prefix
        await anyio.sleep(0.002)
        return ()


def bogus(session: Session) -> None:
    session.store.lists_as = "bogus"


def forgetful(session: Session) -> None:
    session.store.__class__ = Forgetful


@pytest.mark.parametrize("spoil", [bogus, forgetful])
def test_it_is_tried_less_and_less_often_and_the_report_says_what_is_wrong(spoil: object) -> None:
    async def sync() -> None:
        async with running({"app/a": b"1"}) as session:
            await session.says(SaveApplied)
            assert callable(spoil)
            spoil(session)
            session.files.write("app/a", b"2")
            await anyio.sleep(120)
            assert len(session.told(StoreDiffered)) < 50
            assert len(session.told(SavePushed)) == 1
            failures = session.told(ServiceFailed)
            assert failures[-1].seconds == 15
            assert "the store does not list what was put" in failures[-1].message
            assert "src/app/a" in failures[-1].message or "app/a was put" in failures[-1].message

    virtual_time.run(sync)


@scenario
async def test_once_it_lists_what_was_put_the_save_is_applied() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.store.lists_as = "bogus"
        session.files.write("app/a", b"2")
        await anyio.sleep(60)
        session.store.lists_as = ""
        await session.says(SaveApplied, 2)
        assert session.cluster.live == {"a": b"2"}
        assert not session.cluster.source.is_suspended


@scenario
async def test_a_store_that_somebody_else_keeps_changing_is_fought_over_less_and_less_often() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)

        def change() -> None:
            session.store.content["src/app/b"] = b"theirs"

        session.cluster.on_fetch = change
        session.files.write("app/a", b"2")
        await anyio.sleep(300)
        assert len(session.told(StoreDiffered)) < 60
        assert session.told(ServiceFailed)[-1].seconds == 15


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ({}, "of 2 objects 2 not listed; a was put and is not listed"),
        (
            {"a": "1", "b": "bogus"},
            "of 2 objects 1 with another ETag; b was put with ETag 2 and is listed with bogus",
        ),
        ({"a": "1", "b": "2", "c": "3"}, "of 2 objects 1 unexpected; c is listed and was not put"),
    ],
)
def test_a_difference_is_counted_and_has_an_example(listed: dict[str, str], words: str) -> None:
    assert store_difference({"a": "1", "b": "2"}, listed) == words
