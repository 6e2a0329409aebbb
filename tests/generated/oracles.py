"""The programs that are asked what Flux makes of a tree, built from the modules of its controllers."""

from __future__ import annotations

from pathlib import Path

from gitops_run.sandbox.build import ensure_built, folder_of
from gitops_run.sandbox.programs import GROUPS
from tests.contract.go_programs import build_program
from tests.generated.comparing import Oracle

_CONTRACT = Path(__file__).parents[1] / "contract"


def build_flux(folder: Path) -> Oracle:
    """Build the program that builds targets as kustomize-controller does."""
    source = _CONTRACT / "flux_generator" / "main.go"
    return Oracle(build_program(source, "kustomize-controller", folder / "flux_generator"))


def build_helm(folder: Path) -> Oracle:
    """Build the program that renders charts as helm-controller does."""
    source = _CONTRACT / "helm_charts" / "main.go"
    return Oracle(build_program(source, "helm-controller", folder / "helm_charts"))


def helm_folder() -> Path:
    """Build the helm that a sandbox has, where it isn't built yet, and name its folder."""
    group = next(group for group in GROUPS if group.name == "helm")
    ensure_built([group], lambda _: None)
    return folder_of(group)
