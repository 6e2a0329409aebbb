"""A program's description of a session: its arguments, what the cluster tells, and what is refused."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import gitops_run
from gitops_run import HelmApplier, InClusterStore, read_spec
from gitops_run.declare import spec as spec_module
from gitops_run.errors import GitOpsRunError, GuardError, UsageError
from gitops_run.model.names import SessionName
from gitops_run.model.session.spec import ClusterFacts

FACTS = ClusterFacts(uid="the-uid", user="jane@example.com", flux_namespace="gitops")
KIND = {"context": "kind-dev", "target": "app", "allow_unlocked_flux": True}

Tell = Callable[[ClusterFacts], None]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tell:
    """Somebody without settings, and a cluster that tells what it is told to."""
    monkeypatch.chdir(tmp_path)
    for name, value in (("HOME", str(tmp_path)), ("XDG_CONFIG_HOME", str(tmp_path / "config"))):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("GITOPS_RUN_SETTINGS", raising=False)

    def tell(facts: ClusterFacts) -> None:
        async def read_facts(*_: object) -> ClusterFacts:
            return facts

        monkeypatch.setattr(spec_module, "read_facts", read_facts)

    tell(FACTS)
    return tell


@pytest.mark.usefixtures("cluster")
def test_the_cluster_tells_what_a_program_leaves_out(tmp_path: Path) -> None:
    spec = read_spec("web", **KIND)
    assert (spec.cluster.uid, spec.owner, spec.namespace) == ("the-uid", "jane@example.com", "run-web")
    assert spec.cluster.kubeconfig == str(tmp_path / ".kube" / "config")
    assert isinstance(spec.store, InClusterStore)
    assert spec.store.flux_namespace == "gitops"


@pytest.mark.usefixtures("cluster")
def test_arguments_are_settings_in_pythons_spelling_and_win_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITOPS_RUN_NAMESPACE", "from-the-environment")
    spec = read_spec(
        "web",
        **{**KIND, "context": "staging"},
        allow_contexts=["staging"],
        namespace="shop",
        kubeconfig=tmp_path / "kubeconfig",
        applier="helm",
        values_files=("values-dev.yaml",),
    )
    assert (spec.namespace, spec.cluster.context) == ("shop", "staging")
    assert spec.cluster.kubeconfig == str(tmp_path / "kubeconfig")
    assert spec.applier == HelmApplier(release_name="web", values_files=("values-dev.yaml",))


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("arguments", "kind", "told"),
    [
        ({"context": "staging"}, GuardError, "staging"),
        ({"targets": "app"}, UsageError, "unknown setting 'targets' in argument"),
        ({"settle_ms": "soon"}, UsageError, "settle_ms can't be 'soon'"),
        ({"allow_unlocked_flux": False}, GuardError, "locked down"),
    ],
)
def test_what_up_refuses_is_refused_with_its_hint_in_the_traceback(
    arguments: dict[str, object], kind: type[GitOpsRunError], told: str
) -> None:
    with pytest.raises(kind, match=told) as refused:
        read_spec("web", **{**KIND, **arguments})
    assert refused.value.hint in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    "facts", [replace(FACTS, owner="joe", target="app"), replace(FACTS, owner=FACTS.user, target="other")]
)
def test_a_session_of_somebody_else_or_with_another_target_is_refused(
    cluster: Tell, facts: ClusterFacts
) -> None:
    cluster(facts)
    with pytest.raises(GuardError, match="session web"):
        read_spec("web", **KIND)


def test_every_public_name_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    assert {name: getattr(gitops_run, name).__name__ for name in gitops_run.__all__} == {
        name: name for name in gitops_run.__all__
    }
    assert gitops_run.SessionName is SessionName
