"""Trees that hypothesis makes up render here to what Flux builds; what Flux refuses is refused here too.

`python -m tests.generated` runs thousands more; these are the same ones each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.generated.charts import chart_trees
from tests.generated.comparing import Finding, Oracle, compared
from tests.generated.comparing_charts import compared_chart
from tests.generated.kustomizations import kustomize_trees
from tests.generated.oracles import build_flux, build_helm
from tests.generated.running import trees_of
from tests.programs import helm_folder

CASES = 40
CHARTS = 30
PATIENCE_S = 600


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    with build_flux(tmp_path_factory.mktemp("flux")) as oracle:
        yield oracle


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    with build_helm(tmp_path_factory.mktemp("helm")) as oracle:
        yield oracle


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("seed", range(101, 106))
def test_a_generated_target_is_rendered_and_refused_as_by_flux(
    seed: int, flux: Oracle, tmp_path: Path
) -> None:
    found: dict[int, tuple[Finding, ...]] = {}
    for number, tree in enumerate(trees_of(kustomize_trees(), seed, CASES)):
        if findings := compared(tree, flux, tmp_path / "case").findings:
            found[number] = findings
            tree.write(tmp_path / f"case-{number}")
    assert found == {}


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("seed", range(101, 103))
def test_a_generated_chart_is_rendered_and_refused_as_by_flux(
    seed: int, helm: Oracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(helm_folder()), prepend=os.pathsep)
    found: dict[int, tuple[Finding, ...]] = {}
    for number, tree in enumerate(trees_of(chart_trees(), seed, CHARTS)):
        if findings := compared_chart(tree, helm, tmp_path / "case").findings:
            found[number] = findings
            tree.write(tmp_path / f"case-{number}")
    assert found == {}
