"""A build that is followed, interrupted and continued; Go is a script that pretends to compile."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gitops_run.errors import SandboxError
from gitops_run.sandbox import build, programs
from gitops_run.sandbox.build import cache_folder, ensure_built, folder_of, missing
from gitops_run.sandbox.programs import Group, Program, Work
from gitops_run.sandbox.work import WorkDone, duration

GO = """#!/bin/sh
case "$1" in
env) echo go1.26.8; exit ;;
esac
for argument; do [ "$before" = -o ] && made=$argument; before=$argument; done
{behaviour}
"""
COMPILES = 'echo example.com/one >&2; echo example.com/two >&2; echo program > "$made"'
FAILS = "echo example.com/one >&2; echo '# example.com/one' >&2; echo 'one.go:7:2: undefined: x' >&2; exit 1"


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Group:
    monkeypatch.setattr(programs, "TOOLCHAIN", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    return make_group("thing", packages=4)


@pytest.fixture
def go_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def install(behaviour: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "go").write_text(GO.format(behaviour=behaviour))
        (folder / "go").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    return install


def make_group(name: str, packages: int, cpu_s: int = 10, why: str = "") -> Group:
    folder = programs.TOOLCHAIN / name
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text("module thing\n\ngo 1.26\n")
    (folder / "go.sum").write_text("")
    work = Work(cpu_s=cpu_s, packages=packages, why=why)
    return Group(name=name, programs=(Program(name=name, package=f"example.com/{name}"),), work=work)


def plain(name: str, cpu_s: int, packages: int, why: str = "") -> Group:
    return Group(name=name, programs=(), work=Work(cpu_s=cpu_s, packages=packages, why=why))


def test_a_missing_group_is_built_once(group: Group, go_that: Callable[[str], None]) -> None:
    go_that(COMPILES)
    ensure_built((group,), lambda _: None)
    go_that("exit 1")

    ensure_built((group,), lambda _: None)

    assert (folder_of(group) / "thing").read_text() == "program\n"
    assert missing((group,)) == []


def test_what_could_not_be_compiled_is_reported_without_the_packages_that_could(
    group: Group, go_that: Callable[[str], None]
) -> None:
    go_that(FAILS)

    with pytest.raises(SandboxError) as failed:
        ensure_built((group,), lambda _: None)

    assert str(failed.value) == "thing could not be built:\n# example.com/one\none.go:7:2: undefined: x"
    assert "go build" in failed.value.hint


def test_an_interrupted_build_says_that_the_next_run_continues_and_the_next_run_says_where(
    group: Group, go_that: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_that(COMPILES)
    told: list[str] = []

    monkeypatch.setattr(build, "_TELL_EVERY_S", 0.0)

    with pytest.raises(KeyboardInterrupt):
        ensure_built((group,), interrupt_at("2 of 4 packages", told))
    interrupted = len(told)
    ensure_built((group,), told.append)

    assert told[interrupted - 1].startswith("interrupted at 50%; what is compiled is kept")
    assert told[interrupted] == "continuing a build that was interrupted, 50% of it is done: thing"


def test_compilers_do_not_outlive_an_interrupted_build(
    group: Group, go_that: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    held = tmp_path / "held"
    go_that(f'exec 9>{held}; flock 9; echo example.com/one >&2; sleep 60 & wait; echo > "$made"')
    monkeypatch.setattr(build, "_TELL_EVERY_S", 0.0)

    with pytest.raises(KeyboardInterrupt):
        ensure_built((group,), interrupt_at("1 of 4 packages", []))

    with held.open() as lock:  # its child inherited the lock, and is gone with it
        fcntl.flock(lock, fcntl.LOCK_EX)


def test_a_long_step_says_before_it_begins_what_makes_it_long(
    group: Group, go_that: Callable[[str], None]
) -> None:
    go_that(COMPILES)
    told: list[str] = []
    long = replace(group, work=replace(group.work, why="it has a client for everything"))

    ensure_built((long,), told.append)

    assert "thing takes 10 s of CPU time: it has a client for everything" in told


def test_what_a_killed_build_left_is_removed(group: Group, go_that: Callable[[str], None]) -> None:
    left = cache_folder() / ".thing-killed"
    (left / "made").mkdir(parents=True)
    go_that(COMPILES)

    ensure_built((group,), lambda _: None)

    assert {path.name for path in cache_folder().iterdir()} == {".lock", folder_of(group).name}


def test_who_waits_for_another_build_is_told_what_that_one_told(
    group: Group, go_that: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_that(COMPILES)
    monkeypatch.setattr(build, "_LOOK_EVERY_S", 0.01)
    cache_folder().mkdir(parents=True)
    (cache_folder() / ".building").write_text(" 34% built")
    told: list[str] = []
    waiting = threading.Event()

    def tell(line: str) -> None:
        told.append(line)
        waiting.set()

    with (cache_folder() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiter = threading.Thread(target=ensure_built, args=((group,), tell))
        waiter.start()
        waiting.wait(5)
    waiter.join(5)

    assert told[0] == "waiting for another process that builds these programs: 34% built"
    assert missing((group,)) == []


def test_progress_counts_cpu_time_and_not_groups() -> None:
    small, large = plain("small", cpu_s=10, packages=1), plain("large", cpu_s=90, packages=100)
    work = follow((small, large))

    work.begin(small)
    work.finish()
    work.begin(large)
    hear(work, 50)

    assert work.share == pytest.approx(0.55)


def test_a_group_is_not_done_before_its_programs_are_linked() -> None:
    work = follow((plain("one", cpu_s=10, packages=2),))

    hear(work, 3)

    assert work.share < 1


def test_the_time_left_is_extrapolated_from_this_run() -> None:
    clock = Clock()
    cached = plain("cached", cpu_s=600, packages=100)
    one = plain("one", cpu_s=600, packages=100)
    work = follow((cached, one), clock, compiled={"one": 20})
    work.finish()
    work.begin(one)

    clock.now = 300
    hear(work, 40)

    assert "5 min so far, about 5 min left" in work.line()


def test_the_time_left_is_at_first_what_the_cores_of_this_machine_need() -> None:
    work = follow((plain("one", cpu_s=1200, packages=100),), cores=4)

    assert "0 s so far, about 5 min left" in work.line()


@pytest.mark.parametrize(
    ("line", "load", "reason"),
    [
        ("example.com/one", 30, "slow: this machine is busy"),
        ("go: downloading example.com/big v1.2.3", 1, "downloading example.com/big"),
    ],
)
def test_a_slow_step_says_why(line: str, load: float, reason: str) -> None:
    group = plain("one", cpu_s=600, packages=100)
    work = WorkDone((group,), {}, clock=Clock(), load=lambda: load, cores=2)

    work.hear(line)

    assert work.line().endswith(reason)


@pytest.mark.parametrize("group", programs.GROUPS, ids=lambda group: group.name)
def test_a_line_of_progress_fits_a_terminal(group: Group) -> None:
    slowest = replace(group.work, cpu_s=6000)
    work = WorkDone((replace(group, work=slowest),), {}, clock=Clock(), load=lambda: 99, cores=2)
    hear(work, group.work.packages)

    assert len(work.line()) <= 110


def test_what_go_says_of_a_failure_is_no_progress() -> None:
    work = follow((plain("one", cpu_s=600, packages=100),))

    assert not work.hear("# example.com/one")
    assert not work.hear("one.go:7:2: undefined: x")


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (601, "10 min")])
def test_durations_are_written_in_minutes_from_two_on(seconds: float, text: str) -> None:
    assert duration(seconds) == text


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def follow(
    groups: tuple[Group, ...],
    clock: Clock | None = None,
    compiled: dict[str, int] | None = None,
    cores: int = 2,
) -> WorkDone:
    return WorkDone(groups, compiled or {}, clock=clock or Clock(), load=lambda: 0, cores=cores)


def hear(work: WorkDone, packages: int) -> None:
    for number in range(packages):
        work.hear(f"example.com/package{number}")


def interrupt_at(words: str, told: list[str]) -> Callable[[str], None]:
    """Take what a build tells, and interrupt it once it says something."""

    def tell(line: str) -> None:
        told.append(line)
        if words in line:
            raise KeyboardInterrupt

    return tell
