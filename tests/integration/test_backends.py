"""Where Pulumi's state is kept, by PULUMI_BACKEND_URL: files and S3, by one machine and by two at once.

A machine is a home with a data directory, stack files and a PULUMI_HOME of its own. The machines of a team
have the same backend and the same passphrase.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.conftest import EXAMPLES
from tests.people import COMMAND, PATIENCE_S, Finished, Person, finish

PLAIN = EXAMPLES / "plain"
HELD = re.compile(r"the stack is locked by \S+ on \S+ \(process (\d+)\) since 20\S+")
CANCEL = re.compile(r"remove its lock: (.+)$", re.MULTILINE)
CHOSEN = ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE")


@dataclass(frozen=True)
class Machine:
    """One of the machines on which a session is made and ended."""

    person: Person
    session: str

    @property
    def up(self) -> tuple[str, ...]:
        return ("up", self.session, str(PLAIN), "--root", str(PLAIN))

    def starts_up(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *self.up],
            env=dict(self.person.env),
            cwd=self.person.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def is_stopped_during_up(self) -> tuple[subprocess.Popen[str], int]:
        """Begin an up, and stop its Pulumi, which holds the lock then; return both."""
        process = self.person.begins(*self.up, until="create Namespace")
        pulumi = child(process.pid)
        os.kill(pulumi, signal.SIGSTOP)
        return process, pulumi

    def types_hint(self, hint: str) -> None:
        """Type the command that a refusal gives, and confirm it."""
        found = CANCEL.search(hint)
        assert found, hint
        subprocess.run(
            ["sh", "-c", f"{found[1]} --yes"],
            env=dict(self.person.env),
            cwd=self.person.cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE_S,
            check=True,
        )

    def ends(self) -> None:
        receipt = self.person.succeeds("down", self.session, "-o", "json").json
        assert all(line["is_gone"] for line in receipt)


def child(pid: int) -> int:
    """Find the one child of a process, which some thread of it started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    (found,) = [int(word) for file in tasks for word in file.read_text().split()]
    return found


def ended(process: subprocess.Popen[str]) -> Finished:
    _, err = process.communicate(timeout=PATIENCE_S)
    return Finished(process.returncode, "", err)


@pytest.fixture
def team(make_person: Callable[[str], Person], states: dict[str, str]) -> Iterator[tuple[Machine, Machine]]:
    """Two machines on one S3 backend."""
    name = states["PULUMI_BACKEND_URL"].removeprefix("s3://").partition("?")[0]
    people = [make_person(home) for home in ("first", "second")]
    first, second = (Machine(Person(env={**person.env, **states}, cwd=person.cwd), name) for person in people)
    yield first, second
    first.person.types("down", name)


@pytest.fixture
def fresh(make_person: Callable[[str], Person]) -> Person:
    """Somebody who has never used the tool, and chose neither a backend nor a passphrase."""
    person = make_person("fresh")
    env = {key: value for key, value in person.env.items() if key not in CHOSEN}
    return replace(person, env=env)


def assert_one_won(*finished: Finished) -> None:
    assert [one for one in finished if one.code == 0], [one.err for one in finished]
    assert [one.err for one in finished if one.code and not (one.code == 3 and HELD.search(one.err))] == []


def test_two_machines_share_a_session_s_state_in_s3(team: tuple[Machine, Machine]) -> None:
    first, second = team
    first.person.succeeds(*first.up)
    told = second.person.succeeds(*second.up).err
    assert not [line for line in told.splitlines() if line.split()[1] in {"create", "update", "delete"}]
    second.ends()
    assert first.person.types("down", first.session).code == 7


def test_a_machine_that_is_second_to_the_lock_in_s3_is_refused_with_who_holds_it(
    team: tuple[Machine, Machine],
) -> None:
    first, second = team
    process, pulumi = first.is_stopped_during_up()
    refused = second.person.types(*second.up)
    os.kill(pulumi, signal.SIGCONT)
    assert finish(process) == 0
    assert refused.code == 3
    held = HELD.search(refused.err)
    assert held, refused.err
    assert int(held[1]) == pulumi
    assert f"cancel -s {first.session}" in refused.err
    second.person.succeeds(*second.up)
    second.ends()


def test_of_two_machines_that_begin_at_once_on_s3_one_wins(team: tuple[Machine, Machine]) -> None:
    begun = [machine.starts_up() for machine in team]
    assert_one_won(*(ended(process) for process in begun))
    team[1].person.succeeds(*team[1].up)


def test_of_two_runs_that_begin_at_once_in_a_new_home_one_wins(fresh: Person) -> None:
    machine = Machine(fresh, "at-once")
    begun = [machine.starts_up() for _ in range(2)]
    assert_one_won(*(ended(process) for process in begun))
    machine.ends()


def test_after_a_kill_and_its_lock_is_cancelled_another_machine_goes_on(
    team: tuple[Machine, Machine],
) -> None:
    first, second = team
    process, pulumi = first.is_stopped_during_up()
    os.kill(pulumi, signal.SIGKILL)
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    here, there = (machine.person.types(*machine.up) for machine in team)
    assert (here.code, there.code) == (3, 3), here.err + there.err
    assert "that run was killed, remove its lock" in here.err
    assert "if that run has ended for certain, remove its lock" in there.err
    second.types_hint(there.err)
    second.person.succeeds(*second.up)
    second.ends()


def test_a_machine_without_the_team_s_passphrase_ends_a_session_by_its_labels(
    team: tuple[Machine, Machine], tmp_path: Path
) -> None:
    first, second = team
    first.person.succeeds(*first.up)
    (tmp_path / "passphrase").write_text("another one")
    env = {**second.person.env, "PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "passphrase")}
    other = replace(second, person=replace(second.person, env=env))
    refused = other.person.types(*other.up)
    assert refused.code == 2
    assert "is not the passphrase of this stack" in refused.err
    other.person.succeeds("down", other.session, "--from-cluster")
    other.person.succeeds(*other.up)
    other.ends()


def test_of_two_machines_that_begin_at_once_with_backends_of_their_own_one_wins(
    make_person: Callable[[str], Person],
) -> None:
    machines = [Machine(make_person(home), "apart") for home in ("one", "two")]
    begun = [machine.starts_up() for machine in machines]
    finished = [ended(process) for process in begun]
    assert sorted(one.code for one in finished) == [0, 3], [one.err for one in finished]
    (refused,) = [one.err for one in finished if one.code]
    assert "session apart exists, but its stack is not in the current backend" in refused
    (winner,) = [machine for machine, one in zip(machines, finished, strict=True) if one.code == 0]
    winner.ends()
