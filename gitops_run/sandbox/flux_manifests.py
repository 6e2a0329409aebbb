"""Flux's install.yaml, as a release is built: upstream's kustomizations over the controllers' manifests.

A release composes them from files of other releases, by URL; here those are next to it, from the pinned
modules. Only the controllers that the sandbox builds are in it. Source: flux2 2.9, manifests/install.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gitops_run.adapters.render.kubectl import find_kubectl
from gitops_run.errors import SandboxError
from gitops_run.sandbox.build import folder_of
from gitops_run.sandbox.programs import FLUX_CONTROLLERS, FLUX_MANIFESTS
from gitops_run.sandbox.state import Sandbox

VARIABLE = "GITOPS_RUN_FLUX_MANIFESTS"
_FILE = "kustomization.yaml"
_COMPOSE_S = 60


def manifests_path(sandbox: Sandbox) -> Path:
    """Name the file that a sandbox's platform installs Flux from."""
    return sandbox.folder / "flux.yaml"


def write_manifests(target: Path, source: Path | None = None) -> None:
    """Compose Flux's manifests into one file. source: the built group, by default in the cache."""
    with tempfile.TemporaryDirectory(prefix="flux-") as temporary:
        work = Path(temporary, "manifests")
        shutil.copytree(source or folder_of(FLUX_MANIFESTS), work)
        for name in FLUX_CONTROLLERS:
            kinds = sorted(path.name for path in (work / f"{name}-crds").glob("*.yaml"))
            _write(work / f"{name}-crds", {"resources": kinds})
            _rewrite(work / name, {"crds": f"../{name}-crds", "deployment": f"../{name}-manager"})
        kept = ["namespace.yaml", *(f"../{name}" for name in FLUX_CONTROLLERS), "../rbac", "../policies"]
        _write(work / "install", _read(work / "install") | {"resources": kept})
        target.write_text(_compose(work / "install"), encoding="utf-8")


def _rewrite(folder: Path, parts: Mapping[str, str]) -> None:
    """Let a base name folders where it names files of releases: NAME.crds.yaml, NAME.deployment.yaml."""
    document = _read(folder)
    document["resources"] = [_local(resource, parts) for resource in document["resources"]]
    _write(folder, document)


def _local(resource: str, parts: Mapping[str, str]) -> str:
    if "://" not in resource:
        return resource
    return parts[resource.rsplit(".", 2)[-2]]


def _read(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((folder / _FILE).read_text(encoding="utf-8"))
    return document


def _write(folder: Path, document: Mapping[str, Any]) -> None:
    (folder / _FILE).write_text(yaml.safe_dump(dict(document)), encoding="utf-8")


def _compose(folder: Path) -> str:
    command = [find_kubectl(), "kustomize", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=_COMPOSE_S, check=False)
    if result.returncode:
        raise SandboxError(
            f"Flux's manifests could not be composed: {result.stderr.strip()}",
            hint="remove the group flux from the cache of built programs, and start again",
        )
    return result.stdout
