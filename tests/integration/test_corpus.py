"""A few targets of public repositories through real Flux; `python -m tests.corpus` takes all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpus.modules import copy_of, fetch
from tests.corpus.table import MODULES
from tests.corpus.trial import tried
from tests.people import Person

SAMPLE = {
    "github.com/argoproj/argo-workflows/v4": ("manifests/quick-start/base/httpbin",),
    "github.com/fluxcd/flagger": ("kustomize/tester",),
    "github.com/stefanprodan/podinfo": ("kustomize", "deploy/overlays/dev", "charts/podinfo"),
    "helm.sh/helm/v4": ("pkg/cmd/testdata/testcharts/chart-with-secret",),
    "k8s.io/kubernetes": ("hack/testdata/kustomize",),
    "sigs.k8s.io/kustomize/api": ("krusty/testdata/localize/simple",),
}


@pytest.mark.parametrize("path", SAMPLE)
def test_what_is_previewed_of_a_public_target_is_what_flux_does(
    path: str, admin: Person, tmp_path: Path
) -> None:
    module = next(module for module in MODULES if module.path == path)
    assert set(SAMPLE[path]) <= set(module.paths)
    name = f"corpus-{list(SAMPLE).index(path)}"
    root = copy_of(module, fetch([module])[path], tmp_path / name)
    for outcome in tried(admin, name, root, SAMPLE[path]):
        assert (outcome.verdict, outcome.reason, outcome.faults) == ("save_applied", "", {})
        assert outcome.not_checked == []
