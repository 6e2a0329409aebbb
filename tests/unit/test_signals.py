"""Signals: the first lets work end in good order, the second ends the process, whatever still runs."""

from __future__ import annotations

import signal
import threading
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest

from gitops_run.cli import signals
from gitops_run.cli.signals import HurriedInterrupt, unfinished, until_interrupted

ALL = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


class Work:
    """Work that gets signals, and whose end may take as long as it likes."""

    def __init__(self, *sent: signal.Signals) -> None:
        self.sent = sent
        self.is_cleaned_up = False
        self.may_end = threading.Event()

    async def run(self) -> None:
        try:
            for number in self.sent:
                signal.raise_signal(number)
            await anyio.sleep_forever()
        finally:
            self.is_cleaned_up = True

    async def run_slowly(self) -> None:
        with unfinished("the lease expires"):
            try:
                await self.run()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(self.may_end.wait, 20)


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The exit codes that the process was left with."""
    codes: list[Any] = []
    monkeypatch.setattr(signals, "leave", codes.append)
    return codes


@pytest.mark.parametrize("number", ALL)
def test_a_signal_lets_work_clean_up_and_is_named(
    number: signal.Signals, capsys: pytest.CaptureFixture[str], left: list[Any]
) -> None:
    work = Work(number)
    with pytest.raises(KeyboardInterrupt) as interrupted:
        anyio.run(partial(until_interrupted, says="all is kept"), work.run)
    assert work.is_cleaned_up
    assert not isinstance(interrupted.value, HurriedInterrupt)
    assert left == []
    name = "Ctrl-C" if number is signal.SIGINT else number.name
    assert f"{name}" in (said := capsys.readouterr().err)
    assert "all is kept; Ctrl-C again ends at once" in said


@pytest.mark.parametrize("number", ALL)
def test_a_second_signal_ends_what_does_not_end_by_itself(
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    work = Work(signal.SIGINT, number)
    codes = []

    def leave(code: int) -> None:
        codes.append(code)
        work.may_end.set()

    monkeypatch.setattr(signals, "leave", leave)
    monkeypatch.setattr(signals, "LEAVE_S", 0.02)
    with pytest.raises(HurriedInterrupt):
        anyio.run(until_interrupted, work.run_slowly)
    assert codes == [130]
    assert "the lease expires" in capsys.readouterr().err


def test_a_third_signal_waits_for_nothing(left: list[Any]) -> None:
    work = Work(signal.SIGINT, signal.SIGINT, signal.SIGINT)
    work.may_end.set()
    with pytest.raises(HurriedInterrupt):
        anyio.run(until_interrupted, work.run_slowly)
    assert left == [130]


def test_an_end_in_time_after_a_second_signal_is_not_cut_off(left: list[Any]) -> None:
    with pytest.raises(HurriedInterrupt):
        anyio.run(until_interrupted, Work(signal.SIGINT, signal.SIGINT).run)
    assert left == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_ends_after_a_signal_takes_the_next_one_as_the_second() -> None:
    with pytest.raises(HurriedInterrupt):
        anyio.run(partial(until_interrupted, is_interrupted=True), Work(signal.SIGINT).run)


def test_a_hangup_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def work() -> str:
        signal.raise_signal(signal.SIGHUP)
        await anyio.lowlevel.checkpoint()
        return "done"

    try:
        assert anyio.run(until_interrupted, work) == "done"
    finally:
        signal.signal(signal.SIGHUP, before)
