"""Build the sandbox's programs from their pinned modules, once for each content of a go.mod.

A finished group lies in the user's cache under its name and digest, complete or not at all: it is
built into a temporary folder, which is then renamed. A lock on a file lets one process build while
others wait for what it makes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from gitops_run.errors import SandboxError
from gitops_run.sandbox.golang import choose_go, installed_go, required_version
from gitops_run.sandbox.programs import Group, Kept

Progress = Callable[[str], None]
"""Receives one line of text whenever there is something to tell a person who waits."""

_TELL_EVERY_S = 20
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
        group.linker_flags,
        repr(group.kept),
        *(file.read_text() for file in sorted(group.folder.rglob("*.go"))),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def folder_of(group: Group) -> Path:
    """Return where a group's programs lie once they are built."""
    return cache_folder() / f"{group.name}-{digest(group)}"


def ensure_built(groups: Sequence[Group], tell: Progress) -> None:
    """Build every group that isn't in the cache yet; seconds to minutes each, nothing when all are."""
    if all(folder_of(group).is_dir() for group in groups):
        return
    cache_folder().mkdir(parents=True, exist_ok=True)
    with _only_builder(tell):
        go = choose_go(installed_go(), required_version((g.folder / "go.mod").read_text() for g in groups))
        for number, group in enumerate(groups, 1):
            if not folder_of(group).is_dir():
                tell_part = partial(_tell_part, tell, f"building {number} of {len(groups)}: ")
                _build(group, go.path, tell_part)


def _tell_part(tell: Progress, prefix: str, text: str) -> None:
    tell(prefix + text)


@contextmanager
def _only_builder(tell: Progress) -> Iterator[None]:
    with (cache_folder() / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("another process is building the sandbox's programs; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(group: Group, go: Path, tell: Progress) -> None:
    tell(group.name)
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix=f".{group.name}-") as temporary:
        made = Path(temporary, "made")
        made.mkdir()
        for program in group.programs:
            flags = ("-trimpath", "-buildvcs=false", "-ldflags", group.linker_flags)
            command = [str(go), "build", *flags, "-o", str(made / program.name), program.package]
            _run(
                command,
                group.folder,
                f"{program.name} could not be built",
                partial(_tell_part, tell, f"{group.name} ({program.name}), "),
            )
        for kept in group.kept:
            _keep(kept, go, made, group)
        made.rename(folder_of(group))


def _keep(kept: Kept, go: Path, made: Path, group: Group) -> None:
    folder = group.folder.with_name(kept.group)
    failure = f"the source of {kept.module} could not be had"
    _run([str(go), "mod", "download", kept.module], folder, failure, lambda _: None)
    source = Path(
        _run([str(go), "list", "-m", "-f", "{{.Dir}}", kept.module], folder, failure, lambda _: None)
    )
    target = made / kept.into
    target.mkdir(exist_ok=True)
    for pattern in kept.files:
        for file in sorted(source.glob(pattern)):
            copied = target / file.name
            shutil.copyfile(file, copied)
            copied.chmod(0o644 if kept.into else 0o755)


def _run(command: Sequence[str], folder: Path, failure: str, tell: Progress) -> str:
    """Run a go command in a group's folder, telling now and then how long it has taken."""
    began = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=folder,
        env=_environment(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while True:
            try:
                output, errors = process.communicate(timeout=_TELL_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                tell(_elapsed(time.monotonic() - began))
            except BaseException:
                process.kill()
                raise
    if process.returncode:
        tail = "\n".join(errors.strip().splitlines()[-_ERROR_LINES:])
        raise SandboxError(f"{failure}:\n{tail}", hint=f"run it by hand: cd {folder} && {' '.join(command)}")
    return output.strip()


def _environment(base: Mapping[str, str]) -> dict[str, str]:
    """Set what makes a build depend on go.mod and go.sum alone, and keep proxies and caches as they are."""
    return {**base, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}


def _elapsed(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
