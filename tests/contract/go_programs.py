"""Programs of these tests that are built with the modules of the sandbox's toolchain."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from gitops_run.sandbox.golang import choose_go, installed_go, required_version
from gitops_run.sandbox.programs import GROUPS


def build_program(source: Path, group: str, built: Path) -> Path:
    """Build one file of Go with the modules that a program of the sandbox is built from."""
    folder = next(one.folder for one in GROUPS if one.name == group)
    go = choose_go(installed_go(), required_version([(folder / "go.mod").read_text()]))
    environment = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    command = [str(go.path), "build", "-o", str(built), str(source)]
    subprocess.run(command, cwd=folder, env=os.environ | environment, check=True)
    return built
