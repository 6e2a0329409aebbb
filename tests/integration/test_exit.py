"""How commands end: by one signal, by two, amid a question, at a terminal that stalls or closes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.conftest import SharedSession
from tests.people import PATIENCE_S
from tests.terminals import CTRL_C, CTRL_S, Terminal, at_terminal

TWICE_S = 4.0
"""Two seconds are promised; a machine that runs other tests too takes longer to end and to notice it."""


def lease(session: SharedSession) -> dict[str, str]:
    (found,) = session.owner.get("leases", session.namespace)
    spec: dict[str, str] = found["spec"]
    return spec


@pytest.fixture(autouse=True)
def _hangups_count() -> Iterator[None]:
    """End at SIGHUP, also where what runs the tests ignores it: its children would do so too."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def press_twice(terminal: Terminal, gap_s: float) -> tuple[int, float]:
    """Press Ctrl-C and again a moment later; measure from the second one."""
    terminal.types(CTRL_C)
    terminal.process.poll()
    threading.Event().wait(gap_s)
    terminal.types(CTRL_C)
    return terminal.ends()


@pytest.mark.parametrize("gap_s", [0.0, 0.02, 0.05, 0.3, 0.9])
def test_ctrl_c_twice_ends_a_sync_that_releases_its_lease_or_says_that_it_expires(
    session: SharedSession, gap_s: float
) -> None:
    with at_terminal(session.in_root(), "sync", session.name, "--allow-prune") as terminal:
        terminal.shows("healthy")
        code, seconds = press_twice(terminal, gap_s)
        assert code == 130
        assert seconds < TWICE_S
        assert "Traceback" not in terminal.screen
    assert lease(session)["holderIdentity"] == "" or "it expires within" in terminal.screen


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_sync_that_is_told_to_end_says_that_the_session_stays(
    session: SharedSession, number: signal.Signals
) -> None:
    with at_terminal(session.in_root(), "sync", session.name, "--allow-prune") as terminal:
        terminal.shows("healthy")
        terminal.process.send_signal(number)
        assert terminal.ends()[0] == 130
        terminal.shows(f"{number.name}")
        terminal.shows("the session stays")
    assert lease(session)["holderIdentity"] == ""


def test_a_terminal_that_closes_ends_a_sync_in_good_order(session: SharedSession) -> None:
    with at_terminal(session.in_root(), "sync", session.name, "--allow-prune") as terminal:
        terminal.shows("healthy")
        terminal.close()
        assert terminal.ends()[0] == 130
    assert lease(session)["holderIdentity"] == ""


def test_a_stalled_terminal_stops_neither_the_lease_nor_the_end(session: SharedSession) -> None:
    with at_terminal(session.in_root(), "sync", session.name, "--allow-prune") as terminal:
        terminal.shows("healthy")
        terminal.types(CTRL_S)
        settings = session.root / "settings.yaml"
        settings.write_text(settings.read_text() + "  stalled: 'yes'\n")
        renewed = {lease(session)["renewTime"]}
        deadline = time.monotonic() + PATIENCE_S
        while len(renewed) < 4 and time.monotonic() < deadline:
            renewed.add(lease(session)["renewTime"])
        assert len(renewed) == 4
        terminal.process.send_signal(signal.SIGINT)
        code, seconds = terminal.ends()
        assert (code, seconds < TWICE_S) == (130, True)
    assert lease(session)["holderIdentity"] == ""


@contextmanager
def asking(session: SharedSession) -> Iterator[Terminal]:
    """Sync until the question whether so many objects may go."""
    many = session.root / "many.yaml"
    many.write_text(
        "---\n".join(
            f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: many-{number}}}\n" for number in range(20)
        )
    )
    with at_terminal(session.in_root(), "sync", session.name) as terminal:
        terminal.shows("healthy")
        many.unlink()
        terminal.shows("[y/N]")
        yield terminal


def test_a_question_that_nobody_answers_does_not_hold_the_end(session: SharedSession) -> None:
    with asking(session) as terminal:
        terminal.types(CTRL_C)
        code, seconds = terminal.ends()
        assert (code, seconds < TWICE_S) == (130, True)


def test_a_question_is_answered_by_a_line(session: SharedSession) -> None:
    with asking(session) as terminal:
        terminal.types("y\n")
        terminal.shows("ConfigMap run-exit/many-11")
        terminal.types(CTRL_C)
        assert terminal.ends()[0] == 130
