"""Programs of these tests that are built with the modules of the sandbox's toolchain."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from gitops_run.sandbox.build import BUILD_FLAGS, build_environment
from gitops_run.sandbox.golang import choose_go, installed_go, required_version
from gitops_run.sandbox.programs import group_named


def build_program(source: Path, group: str, built: Path) -> Path:
    """Build one file of Go with the modules and flags of a program of the sandbox: Go's cache has them."""
    folder = group_named(group).folder
    go = choose_go(installed_go(), required_version([(folder / "go.mod").read_text()]))
    command = [str(go.path), "build", *BUILD_FLAGS, "-o", str(built), str(source)]
    subprocess.run(command, cwd=folder, env=build_environment(os.environ), check=True)
    return built
