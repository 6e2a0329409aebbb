"""Which Pod Security a session may have: restricted everywhere, baseline where the platform says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gitops_run.errors import GuardError
from gitops_run.model.manifests import session as manifests
from gitops_run.model.platform.objects import platform_objects
from gitops_run.model.platform.platform import resolve_platform, to_platform_config
from gitops_run.model.rights.pod_security import (
    LEVEL_ANNOTATION,
    POD_SECURITY_POLICY,
    pod_security_policy,
    refuse_pod_security,
)
from gitops_run.model.session.settings import Origin, Source
from tests.unit.test_lifecycle_keys import NEW, World, request, up

ENFORCE = "pod-security.kubernetes.io/enforce"


def made(world: World, **settings: object) -> str:
    """Make a session, and return the level that its namespace enforces."""
    spec = up(world, request(**settings))
    return str(manifests.namespace(spec, "gitops-run/web")["metadata"]["labels"][ENFORCE])


def test_a_session_is_restricted_unless_it_says_otherwise() -> None:
    assert made(World()) == "restricted"


def test_a_session_is_baseline_where_the_platform_allows_it() -> None:
    assert made(World(facts=replace(NEW, pod_security="baseline")), podSecurity="baseline") == "baseline"


@pytest.mark.parametrize("allowed", ["", "restricted", "privileged"])
def test_baseline_is_refused_with_the_rule_s_name_before_anything_is_made(allowed: str) -> None:
    world = World(facts=replace(NEW, pod_security=allowed))
    with pytest.raises(GuardError, match=POD_SECURITY_POLICY) as refused:
        made(world, podSecurity="baseline")
    assert "platform up --session-pod-security baseline" in refused.value.hint
    assert world.declared == []


@pytest.mark.parametrize("allowed", ["", "restricted", "baseline"])
def test_restricted_is_never_refused(allowed: str) -> None:
    refuse_pod_security("restricted", allowed)


@pytest.mark.parametrize(
    ("least", "listed"), [("restricted", "['restricted']"), ("baseline", "['restricted', 'baseline']")]
)
def test_the_platform_s_policy_admits_no_other_level(least: str, listed: str) -> None:
    validation = pod_security_policy(least)["validations"][0]
    assert validation["expression"].endswith(f"in {listed}")


@pytest.mark.parametrize("level", ["restricted", "baseline"])
def test_a_platform_says_which_level_it_allows_on_the_policy_that_enforces_it(level: str) -> None:
    written = {(one["kind"], one["metadata"]["name"]): one for one in platform_objects("dev", level)}
    policy = written["ValidatingAdmissionPolicy", POD_SECURITY_POLICY]
    assert policy["metadata"]["annotations"] == {LEVEL_ANNOTATION: level}
    bound = written["ValidatingAdmissionPolicyBinding", POD_SECURITY_POLICY]
    assert bound["spec"]["validationActions"] == ["Deny"]


def test_a_platform_that_becomes_restricted_again_says_so_in_its_stack() -> None:
    said = Source(origin=Origin.FLAG, values={"context": "kind-a", "sessionPodSecurity": "restricted"})
    assert to_platform_config(resolve_platform([said]))["sessionPodSecurity"] == "restricted"
