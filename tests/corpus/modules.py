"""Fetch public repositories as Go modules of pinned versions, whose content a checksum decides about."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from gitops_run.sandbox.golang import installed_go


@dataclass(frozen=True)
class Module:
    """One module. sum: of its content, as Go computes it. targets: folders, with spaces between them.

    also: folders at its top that no target is in, and that targets refer to.
    """

    path: str
    version: str
    sum: str
    targets: str
    also: str = ""

    @property
    def name(self) -> str:
        return f"{self.path}@{self.version}"

    @cached_property
    def paths(self) -> tuple[str, ...]:
        return tuple(self.targets.split())

    @property
    def folders(self) -> frozenset[str]:
        return frozenset(PurePosixPath(path).parts[0] for path in (*self.paths, *self.also.split()))


def fetch(modules: Iterable[Module]) -> Mapping[str, Path]:
    """Download modules where the cache lacks them, and map their paths to their folders, which are read-only.

    Raises ValueError where a module's content isn't the one that was pinned.
    """
    wanted = {module.path: module for module in modules}
    command = [str(next(iter(installed_go())).path), "mod", "download", "-json"]
    # The sums are pinned here, so no database of sums is asked.
    env = {**os.environ, "GOSUMDB": "off", "GOFLAGS": "-mod=mod", "GOWORK": "off"}
    with tempfile.TemporaryDirectory() as outside:
        finished = subprocess.run(
            [*command, *(module.name for module in wanted.values())],
            cwd=outside,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
    found, decoder, rest = {}, json.JSONDecoder(), finished.stdout.strip()
    while rest:
        answer, end = decoder.raw_decode(rest)
        rest = rest[end:].lstrip()
        if answer.get("Sum") != wanted[answer["Path"]].sum:
            raise ValueError(f"{answer['Path']}: {answer.get('Error') or answer['Sum']}")
        found[answer["Path"]] = Path(answer["Dir"])
    if found.keys() != wanted.keys():
        raise ValueError(f"go mod download: {finished.stderr}")
    return found


def copy_of(module: Module, fetched: Path, root: Path) -> Path:
    """Lay out what the targets of a module are made of, in a folder that can be written to."""
    for name in module.folders:
        shutil.copytree(fetched / name, root / name, ignore=shutil.ignore_patterns("*.go"))
    for path in (root, *root.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return root
