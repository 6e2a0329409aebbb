"""What becomes of upstream's manifests before they are declared."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from gitops_run.errors import UsageError
from gitops_run.model.platform.flux_install import FluxChoice, images, install
from gitops_run.model.rights.lockdown import lockdown_of
from tests.unit.flux_release import release

CHOICE = FluxChoice(stack="dev", version="2.9.5")


def named(manifests: tuple[dict[str, Any], ...], kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def test_only_what_sessions_need_of_flux_is_declared() -> None:
    made = install(release(), CHOICE)
    assert set(named(made, "Deployment")) == {"source-controller", "kustomize-controller", "helm-controller"}
    assert not [one for one in made if "notification" in one["metadata"]["name"]]
    assert set(named(made, "NetworkPolicy")) == {"allow-egress"}


def test_the_controllers_are_locked_down_and_send_no_events() -> None:
    for name, deployment in named(install(release(), CHOICE), "Deployment").items():
        arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
        assert all(lockdown_of(name, arguments).values())
        assert not [argument for argument in arguments if "events-addr" in argument]


def test_whoever_may_edit_a_namespace_gets_no_rights_over_flux_s_objects() -> None:
    assert set(named(install(release(), CHOICE), "ClusterRole")) == {"flux-view", "crd-controller"}


def test_an_account_that_isn_t_there_gets_no_rights() -> None:
    binding = named(install(release(), CHOICE), "ClusterRoleBinding")["crd-controller"]
    assert "notification-controller" not in {one["name"] for one in binding["subjects"]}


def test_flux_s_namespace_refuses_pods_that_are_not_restricted() -> None:
    labels = named(install(release(), CHOICE), "Namespace")["flux-system"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_everything_carries_the_stack_and_the_version() -> None:
    for one in install(release(), CHOICE):
        labels = one["metadata"]["labels"]
        assert (labels["gitops-run.dev/platform"], labels["app.kubernetes.io/version"]) == ("dev", "v2.9.5")


def test_images_come_from_upstream_s_registry_or_from_the_one_that_is_named() -> None:
    assert "ghcr.io/fluxcd/helm-controller:v1.9.5" in images(install(release(), CHOICE))
    closed = FluxChoice(stack="dev", version="2.9.5", registry="registry.example.com:5000/flux/")
    assert set(images(install(release(), closed))) == {
        "registry.example.com:5000/flux/helm-controller:v1.9.5",
        "registry.example.com:5000/flux/kustomize-controller:v1.9.5",
        "registry.example.com:5000/flux/source-controller:v1.9.5",
    }


def test_upstream_s_documents_stay_as_they_were() -> None:
    documents = release()
    before = copy.deepcopy(documents)
    install(documents, CHOICE)
    assert documents == before


@pytest.mark.parametrize("missing", ["helm-controller", "kustomizations.kustomize.toolkit.fluxcd.io"])
def test_manifests_that_lack_something_needed_are_refused_by_name(missing: str) -> None:
    documents = [one for one in release() if one["metadata"]["name"] != missing]
    with pytest.raises(UsageError, match=missing.partition(".")[2] or missing):
        install(documents, CHOICE)


def test_manifests_of_something_else_are_refused() -> None:
    stranger = copy.deepcopy(release()[-3])
    stranger["metadata"]["name"] = "nginx"
    with pytest.raises(UsageError, match="nginx"):
        install([*release(), stranger], CHOICE)
