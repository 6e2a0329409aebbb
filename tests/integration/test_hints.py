"""Hints of a live session, typed into a shell in another directory: each one leads where it says."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.integration.conftest import SharedSession
from tests.people import PATIENCE_S, Person

COMMAND = re.compile(r"gitops-run [a-z][^,;()`\n]*")
REFUSED, MISSING, INTERRUPTED = 3, 7, 130


@dataclass(frozen=True)
class Shell:
    """A shell in a directory that holds nothing."""

    person: Person

    @contextmanager
    def starts(self, line: str) -> Iterator[subprocess.Popen[str]]:
        """Type a line, and read what it says."""
        path = f"{Path(sys.executable).parent}:{self.person.env['PATH']}"
        with subprocess.Popen(
            ["sh", "-c", f"exec {line}"],
            cwd=self.person.cwd,
            env={**self.person.env, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def types(self, line: str) -> tuple[int, str]:
        """Type a line that ends by itself; return the exit code and what it says."""
        with self.starts(line) as process:
            said, _ = process.communicate(timeout=PATIENCE_S)
            return process.returncode, said

    def syncs(self, line: str) -> int:
        """Type a line that syncs, interrupt it once it has applied something, and return the exit code."""
        with self.starts(line) as process:
            assert process.stdout is not None
            said = []
            for text in process.stdout:
                said.append(text)
                if "applied" in text:
                    process.send_signal(signal.SIGINT)
                    break
            else:
                pytest.fail("".join(said))
            process.communicate(timeout=PATIENCE_S)
            return process.returncode

    def hints(self, line: str, code: int) -> list[str]:
        """Type a line that ends with an exit code; return the commands that it names."""
        found, said = self.types(line)
        assert found == code, said
        return [command.strip() for command in COMMAND.findall(said)]


@pytest.fixture
def elsewhere(session: SharedSession, tmp_path: Path) -> Shell:
    folder = tmp_path / "else where"
    folder.mkdir()
    return Shell(replace(session.owner, cwd=folder))


def verbs(commands: list[str]) -> list[str]:
    return [command.split()[1] for command in commands]


@pytest.mark.parametrize(
    ("line", "code", "leads_to"),
    [
        ("gitops-run status nowhere", MISSING, ["list"]),
        ("gitops-run down nowhere", MISSING, ["list"]),
        ("gitops-run undo hints 0000", MISSING, ["history"]),
    ],
)
def test_the_hint_of_a_refusal_can_be_typed(
    session: SharedSession, elsewhere: Shell, line: str, code: int, leads_to: list[str]
) -> None:
    with session.syncing():
        pass
    hints = elsewhere.hints(line, code)
    assert verbs(hints) == leads_to
    assert {hint: elsewhere.types(hint)[0] for hint in hints} == dict.fromkeys(hints, 0)


def test_a_run_that_was_kept_says_how_to_sync_and_to_end_its_session(
    admin: Person, elsewhere: Shell, plain: Path
) -> None:
    place = (".", "--root", ".", "--name", "kept")
    with replace(admin, cwd=plain).leaves_running("run", *place, "--keep") as run:
        run.tells("save_applied")
        assert run.interrupt() == INTERRUPTED
        sync, down = COMMAND.findall(run.tells("sync_ended")["how_to_go_on"])
    assert elsewhere.syncs(sync) == INTERRUPTED
    assert elsewhere.types(down)[0] == 0
    assert "run-kept" not in admin.names("namespaces")


def test_a_sync_that_ended_says_how_to_go_on(session: SharedSession, elsewhere: Shell) -> None:
    with session.syncing() as sync:
        sync.interrupt()
        again = COMMAND.findall(sync.tells("sync_ended")["how_to_go_on"])[0]
    assert elsewhere.syncs(again) == INTERRUPTED


def test_a_sync_that_is_refused_says_how_to_take_over(session: SharedSession, elsewhere: Shell) -> None:
    with session.syncing() as first:
        (take_over,) = elsewhere.hints(f"gitops-run sync {session.name}", REFUSED)
        assert elsewhere.syncs(take_over) == INTERRUPTED
        assert first.ends() == REFUSED


def test_what_looks_at_a_session_needs_nothing_but_its_name(session: SharedSession, elsewhere: Shell) -> None:
    with session.syncing():
        pass
    lines = [f"gitops-run {verb} {session.name}" for verb in ("diff", "history", "status")]
    hints = [hint for line in lines for hint in elsewhere.hints(line, 0)]
    assert {hint: elsewhere.types(hint)[0] for hint in hints} == dict.fromkeys(hints, 0)
