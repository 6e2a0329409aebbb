"""How long a save waits for quiet, by what was seen to change."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from gitops_run.model.state.events import SaveApplied, SavePushed
from tests.fakes import FakeFiles
from tests.save_session import Session, running
from tests.virtual_time import scenario

FILES = {"app/a": b"1", "app/b": b"1"}
EDIT_MS, BURST_MS = 48, 80


async def settled_ms(session: Session, count: int = 2) -> int:
    pushed = await session.says(SavePushed, count)
    assert isinstance(pushed, SavePushed)
    return pushed.times_ms["settled"]


@scenario
async def test_one_edited_file_needs_less_quiet() -> None:
    async with running(FILES) as session:
        await session.says(SaveApplied)
        await anyio.sleep(1)
        session.files.write("app/a", b"2")
        assert await settled_ms(session) == EDIT_MS


def two_files(files: FakeFiles) -> None:
    files.write("app/a", b"2")
    files.write("app/b", b"2")


CHANGES: dict[str, Callable[[FakeFiles], None]] = {
    "two files": two_files,
    "a new file": lambda files: files.write("app/c", b"1"),
    "a deleted file": lambda files: files.delete("app/a"),
    "a truncated file": lambda files: files.write("app/a", b""),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_may_be_the_beginning_of_more_needs_the_whole_quiet_time(
    change: Callable[[FakeFiles], None],
) -> None:
    @scenario
    async def save() -> None:
        async with running(FILES) as session:
            await session.says(SaveApplied)
            await anyio.sleep(1)
            change(session.files)
            assert await settled_ms(session) == BURST_MS

    save()


@scenario
async def test_files_edited_one_after_another_are_one_save() -> None:
    async with running(FILES) as session:
        await session.says(SaveApplied)
        await anyio.sleep(1)
        session.files.write("app/a", b"2")
        await anyio.sleep(0.04)
        session.files.write("app/b", b"2")
        await anyio.sleep(0.07)
        session.files.write("app/a", b"3")
        pushed = await session.says(SavePushed, 2)
        assert isinstance(pushed, SavePushed)
        assert pushed.puts == ("app/a", "app/b")


@scenario
async def test_an_edit_that_follows_another_closely_needs_the_whole_quiet_time() -> None:
    async with running(FILES) as session:
        await session.says(SaveApplied)
        await anyio.sleep(1)
        session.files.write("app/a", b"2")
        await anyio.sleep(0.06)
        session.files.write("app/b", b"2")
        assert await settled_ms(session, 3) == BURST_MS
