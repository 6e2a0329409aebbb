"""Which Flux is good enough."""

from __future__ import annotations

from typing import Any

import pytest

from gitops_run.adapters.cluster.facts import _flux, _refuse_flux
from gitops_run.errors import UsageError

KINDS: list[dict[str, Any]] = [
    {"resources": [{"kind": "Bucket"}]},
    {"resources": [{"kind": "Kustomization"}]},
]


@pytest.mark.parametrize("version", ["v2.7.0", "2.9.1", "v3.0.0", ""])
def test_a_flux_that_is_new_enough_or_does_not_tell_is_taken(version: str) -> None:
    _refuse_flux(version, KINDS)


@pytest.mark.parametrize("version", ["v2.6.4", "0.41.2", "v1.25.4"])
def test_a_flux_that_is_too_old_is_refused_with_its_version(version: str) -> None:
    with pytest.raises(UsageError, match=version):
        _refuse_flux(version, KINDS)


@pytest.mark.parametrize("missing", [0, 1])
def test_a_cluster_without_flux_s_kinds_is_refused(missing: int) -> None:
    kinds = [{} if index == missing else kind for index, kind in enumerate(KINDS)]
    with pytest.raises(UsageError, match="this cluster has no"):
        _refuse_flux("", kinds)


def test_where_flux_is_and_which_is_read_from_its_namespace() -> None:
    labels = {"app.kubernetes.io/part-of": "flux", "app.kubernetes.io/version": "v2.9.5"}
    found = {"items": [{"metadata": {"name": "gitops", "labels": labels}}]}
    assert _flux(found) == ("gitops", "v2.9.5")
    assert _flux({}) == ("", "")
