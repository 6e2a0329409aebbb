"""The platform's component, on Pulumi's mocks: what it declares, and in which order it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pulumi
import pytest

from gitops_run.declare.platform import Platform
from gitops_run.declare.platform_program import declare_platform
from gitops_run.model.platform.flux_install import FluxChoice, install
from gitops_run.model.platform.platform import PlatformSpec
from gitops_run.model.session.spec import ClusterPin
from tests.unit.flux_release import release
from tests.unit.test_session_component import Recorder, everything_before, recorder, run

__all__ = ["recorder"]

POLICY = "validatingadmissionpolicy-gitops-run-session-objects"


def spec_with(*, has_flux: bool) -> PlatformSpec:
    flux = install(release(), FluxChoice(stack="dev", version="2.9.5")) if has_flux else ()
    pin = ClusterPin(kubeconfig="/k", context="kind-dev", uid="uid")
    return PlatformSpec(stack="dev", cluster=pin, flux=flux, version="2.9.5")


def declare(recorder: Recorder, spec: PlatformSpec) -> dict[str, set[str]]:
    """Declare a platform, and return the names of what each resource is made after."""
    after: dict[str, set[str]] = {}

    def record(args: pulumi.ResourceTransformationArgs) -> None:
        needed = args.opts.depends_on or []
        after[args.name] = {resource._name for resource in cast("Sequence[pulumi.Resource]", needed)}

    run(recorder, lambda: Platform(spec, pulumi.ResourceOptions(transformations=[record])))
    return after


def test_kinds_and_namespace_come_before_rights_and_those_before_controllers(recorder: Recorder) -> None:
    after = declare(recorder, spec_with(has_flux=True))
    before = everything_before("deployment-source-controller", after)
    assert {"namespace-flux-system", "clusterrolebinding-crd-controller"} <= before
    assert "customresourcedefinition-buckets.source.toolkit.fluxcd.io" in before
    assert "deployment-source-controller" in everything_before(POLICY, after)


def test_a_service_waits_beside_its_pods_and_not_before_them(recorder: Recorder) -> None:
    after = declare(recorder, spec_with(has_flux=True))
    assert "service-source-controller" not in everything_before("deployment-source-controller", after)


def test_beside_a_flux_that_was_found_only_our_own_objects_are_declared(recorder: Recorder) -> None:
    declare(recorder, spec_with(has_flux=False))
    kinds = {args.typ.rpartition(":")[2] for args in recorder.declared.values()}
    assert kinds == {
        "kubernetes",
        "ClusterRole",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }


def test_the_platform_s_objects_go_to_the_pinned_cluster(recorder: Recorder) -> None:
    declare(recorder, spec_with(has_flux=True))
    (cluster,) = [args for args in recorder.declared.values() if args.typ == "pulumi:providers:kubernetes"]
    assert (cluster.inputs["context"], cluster.inputs["clusterIdentifier"]) == ("kind-dev", "uid")
    objects = [args for args in recorder.declared.values() if args.typ.startswith("kubernetes:")]
    assert all("$pulumi:providers:kubernetes::dev::" in str(args.provider) for args in objects)


def test_flux_s_kinds_are_waited_for(recorder: Recorder) -> None:
    declare(recorder, spec_with(has_flux=True))
    declared = recorder.declared["customresourcedefinition-buckets.source.toolkit.fluxcd.io"]
    assert declared.typ == "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
    assert declared.inputs["metadata"]["annotations"]["pulumi.com/waitFor"] == "condition=Established"


def test_the_platform_s_program_exports_what_it_is(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, object] = {}
    monkeypatch.setattr(pulumi, "export", told.__setitem__)
    run(recorder, lambda: declare_platform(spec_with(has_flux=False)))
    assert told == {"context": "kind-dev", "flux": "found"}
