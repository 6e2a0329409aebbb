"""Build the sandbox's programs from their pinned modules, once for each content of a go.mod.

A finished group lies in the user's cache under its name and digest, complete or not at all: it is
built into a temporary folder, which is then renamed. A lock on a file lets one process build while
others wait for what it makes. What an interrupted build had compiled is in Go's own cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from gitops_run.errors import SandboxError
from gitops_run.sandbox.golang import choose_go, installed_go, required_version
from gitops_run.sandbox.programs import Group, Kept, Program, module_version
from gitops_run.sandbox.work import WorkDone, duration

Progress = Callable[[str], None]
"""Receives one line of text whenever there is something to report to a person who waits."""

BUILD_FLAGS = ("-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false")
"""The linker would drop what debuggers read anyway; not to write it saves a tenth of the compiler's time."""

_EAGER_COMPILER = {"GOGC": "400", "GOMEMLIMIT": "1GiB"}
"""A compiler that collects its garbage later takes a fifth less CPU time for large packages, and 450 MB in
place of 300; beyond 1 GiB it collects as before. It writes the same programs."""

_TELL_EVERY_S = 15.0
_LOOK_EVERY_S = 0.5
_ERROR_LINES = 12


def cache_folder() -> Path:
    """Return the folder under which every built group lies."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "gitops-run", "toolchain")


def digest(group: Group) -> str:
    """Compute what a group's build depends on: 16 hex digits over sources, packages, flags and files."""
    parts = [
        (group.folder / "go.mod").read_text(),
        (group.folder / "go.sum").read_text(),
        repr(group.programs),
        " ".join((*BUILD_FLAGS, group.linker_flags)),
        repr(group.kept),
        *(module_version(kept.group, kept.module) for kept in group.kept),
        *(file.read_text() for file in sorted(group.folder.rglob("*.go"))),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def folder_of(group: Group) -> Path:
    """Return where a group's programs lie once they are built."""
    return cache_folder() / f"{group.name}-{digest(group)}"


def missing(groups: Sequence[Group]) -> list[Group]:
    """Return the groups that the cache doesn't hold yet."""
    return [group for group in groups if not folder_of(group).is_dir()]


def ensure_built(groups: Sequence[Group], tell: Progress) -> None:
    """Build every group that isn't in the cache yet; seconds to minutes each, nothing when all are."""
    if not missing(groups):
        return
    cache_folder().mkdir(parents=True, exist_ok=True)
    with _only_builder(tell):
        left = missing(groups)
        if left:
            _build_all(left, tell)


def build_environment(base: Mapping[str, str]) -> dict[str, str]:
    """Set what makes a build depend on go.mod and go.sum alone, and keep proxies and caches as they are."""
    fixed = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    return {**_EAGER_COMPILER, **base, **fixed}


def _build_all(groups: Sequence[Group], tell: Progress) -> None:
    go = choose_go(installed_go(), required_version((g.folder / "go.mod").read_text() for g in groups)).path
    _remove_unfinished()
    work = WorkDone(groups, {group.name: _compiled_before(group) for group in groups})
    tell(_announcement(groups, work.share_before))
    try:
        for group in groups:
            work.begin(group)
            if group.work.why:
                tell(f"{group.name} takes {duration(group.work.cpu_s)} of CPU time: {group.work.why}")
            began = _cpu_s()
            _build(group, go, _Told(tell, work, group))
            tell(f"{group.name} is built: {work.compiled:,} packages, {_cpu_s() - began:.0f} s of CPU time")
            work.finish()
    except KeyboardInterrupt:
        tell(f"interrupted at {work.share:.0%}; what is compiled is kept: the next run continues from there")
        raise
    finally:
        _last_line().unlink(missing_ok=True)


def _cpu_s() -> float:
    """Return the CPU time of the compilers that have ended, user and system."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _announcement(groups: Sequence[Group], share: float) -> str:
    names = ", ".join(group.name for group in groups)
    if share:
        return f"continuing a build that was interrupted, {share:.0%} of it is done: {names}"
    minutes = duration(sum(group.work.cpu_s for group in groups))
    return f"building from source, once, in at most about {minutes} of CPU time: {names}"


class _Told:
    """Take in what Go says while a group is built, and report progress now and then."""

    def __init__(self, tell: Progress, work: WorkDone, group: Group) -> None:
        self._tell = tell
        self._work = work
        self._count = _count_of(group)
        self._told = time.monotonic()
        self._other: list[str] = []

    def take(self, lines: Sequence[str]) -> None:
        """Take in lines, which may be none: time has passed."""
        self._other += [line for line in lines if line.strip() and not self._work.hear(line)]
        if time.monotonic() - self._told >= _TELL_EVERY_S:
            self._told = time.monotonic()
            self.keep()
            _last_line().write_text(self._work.line())
            self._tell(self._work.line())

    def keep(self) -> None:
        """Remember how much is compiled, for the case that this build is interrupted."""
        self._count.write_text(str(self._work.compiled))

    def failure(self) -> str:
        """Return the end of what Go says of a failure."""
        return "\n".join(self._other[-_ERROR_LINES:])


@contextmanager
def _only_builder(tell: Progress) -> Iterator[None]:
    with (cache_folder() / ".lock").open("w") as lock:
        told = float("-inf")
        while not _is_locked(lock):
            if time.monotonic() - told >= _TELL_EVERY_S:
                told = time.monotonic()
                tell(f"waiting for another process that builds these programs: {_what_it_told()}")
            time.sleep(_LOOK_EVERY_S)
        yield


def _what_it_told() -> str:
    try:
        return _last_line().read_text().strip()
    except FileNotFoundError:
        return "it has just begun"


def _is_locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _build(group: Group, go: Path, told: _Told) -> None:
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix=f".{group.name}-") as temporary:
        made = Path(temporary, "made")
        made.mkdir()
        try:
            for program in group.programs:
                _compile(group, program, go, made / program.name, told)
        finally:
            told.keep()
        for kept in group.kept:
            _keep(kept, go, made, group)
        made.rename(folder_of(group))
    _count_of(group).unlink(missing_ok=True)


def _compile(group: Group, program: Program, go: Path, target: Path, told: _Told) -> None:
    flags = (*BUILD_FLAGS, "-ldflags", group.linker_flags)
    command = [str(go), "build", "-v", *flags, "-o", str(target), program.package]
    with subprocess.Popen(
        command,
        cwd=group.folder,
        env=build_environment(os.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        process_group=0,
    ) as process:
        try:
            for lines in _lines(cast("IO[bytes]", process.stderr)):
                told.take(lines)
        except BaseException:
            # The compilers that it started are in its group.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        failure = f"{program.name} could not be built:\n{told.failure()}"
        raise SandboxError(failure, hint=f"run it by hand: cd {group.folder} && {' '.join(command)}")


def _lines(stream: IO[bytes]) -> Iterator[list[str]]:
    """Yield what is written line by line, and nothing now and then while nothing is, until the end."""
    buffered = b""
    while True:
        if not select.select([stream], [], [], _LOOK_EVERY_S)[0]:
            yield []
            continue
        chunk = os.read(stream.fileno(), 65536)
        *complete, buffered = (buffered + chunk).split(b"\n")
        yield [line.decode(errors="replace") for line in complete]
        if not chunk:
            yield [buffered.decode(errors="replace")]
            return


def _keep(kept: Kept, go: Path, made: Path, group: Group) -> None:
    folder = group.folder.with_name(kept.group)
    _ask([str(go), "mod", "download", kept.module], folder, kept)
    source = Path(_ask([str(go), "list", "-m", "-f", "{{.Dir}}", kept.module], folder, kept))
    target = made / kept.into
    target.mkdir(exist_ok=True)
    for pattern in kept.files:
        for file in sorted(source.glob(pattern)):
            copied = target / file.name
            shutil.copyfile(file, copied)
            copied.chmod(0o644 if kept.into else 0o755)


def _ask(command: Sequence[str], folder: Path, kept: Kept) -> str:
    environment = build_environment(os.environ)
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        tail = "\n".join(answer.stderr.strip().splitlines()[-_ERROR_LINES:])
        message = f"the source of {kept.module} could not be downloaded:\n{tail}"
        raise SandboxError(message, hint=f"run it by hand: cd {folder} && {' '.join(command)}")
    return answer.stdout.strip()


def _remove_unfinished() -> None:
    """Remove what a build that was killed has left. The lock is held: nobody else builds."""
    for left in cache_folder().glob(".*-*/made"):
        shutil.rmtree(left.parent, ignore_errors=True)


def _last_line() -> Path:
    """Name the file with the builder's last line, for those who wait for it."""
    return cache_folder() / ".building"


def _count_of(group: Group) -> Path:
    return cache_folder() / f".{folder_of(group).name}.compiled"


def _compiled_before(group: Group) -> int:
    try:
        return int(_count_of(group).read_text())
    except (FileNotFoundError, ValueError):
        return 0
