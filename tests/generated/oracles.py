"""The programs that are asked what Flux makes of a tree, built from the modules of its controllers."""

from __future__ import annotations

from pathlib import Path

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
