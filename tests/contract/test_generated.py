"""Trees that hypothesis makes up render here to what Flux builds; what Flux refuses is refused here too.

`python -m tests.generated` runs thousands more; these are the same ones each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.generated.comparing import Finding, Oracle, compared
from tests.generated.kustomizations import kustomize_trees
from tests.generated.oracles import build_flux
from tests.generated.running import trees_of

CASES = 40


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    with build_flux(tmp_path_factory.mktemp("flux")) as oracle:
        yield oracle


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
