"""Which clusters may be touched."""

from __future__ import annotations

import pytest

from gitops_run.errors import GuardError
from gitops_run.model.session.contexts import guard


@pytest.mark.parametrize(
    "context", ["kind-dev", "k3d-a", "minikube", "gitops-run-sandbox", "gitops-run-sandbox-b"]
)
def test_a_local_context_needs_no_permission(context: str) -> None:
    guard(context, ())


@pytest.mark.parametrize("context", ["prod", "my-kind-dev", "minikube2", "Kind-dev", "kind"])
def test_a_context_that_nobody_named_is_refused(context: str) -> None:
    with pytest.raises(GuardError) as refused:
        guard(context, ("production",))
    assert context in refused.value.hint


def test_a_context_is_allowed_by_its_whole_name() -> None:
    guard("prod", ("prod",))


def test_a_pattern_allows_nothing() -> None:
    with pytest.raises(GuardError):
        guard("prod", ("*",))
