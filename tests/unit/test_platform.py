"""What is decided about a platform: ours or found, good enough or refused, in use or not."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml

from gitops_run.errors import BackendError, GuardError, UsageError
from gitops_run.model.platform.facts import Component, PlatformFacts
from gitops_run.model.platform.objects import maker_rules, viewer_rules
from gitops_run.model.platform.platform import (
    NEEDED_KINDS,
    PlatformSettings,
    make_spec,
    needs_manifests,
    refuse_in_use,
    resolve_platform,
    stack_name,
    to_platform_config,
)
from gitops_run.model.platform.setting_table import PLATFORM_SETTINGS
from gitops_run.model.platform.status import rows, to_status
from gitops_run.model.rights.lockdown import COMPONENTS, locked_down
from gitops_run.model.session.settings import Origin, Source
from gitops_run.model.stack.project import platform_project
from tests.unit.flux_release import release

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = sorted((REPOSITORY / "platform" / "stacks").glob("Pulumi.example-*.yaml"))


def said(**values: object) -> PlatformSettings:
    known = {"context": "kind-dev", "kubeconfig": "/k", **values}
    return resolve_platform([Source(origin=Origin.FLAG, values=known)])


def component(name: str, *arguments: str) -> Component:
    return Component(
        name=name, namespace="flux-system", image=f"{name}:v1", ready=1, wanted=1, arguments=arguments
    )


EMPTY = PlatformFacts(uid="uid")
FOUND = PlatformFacts(
    uid="uid",
    version="v2.8.1",
    kinds=NEEDED_KINDS,
    components=tuple(component(name, *locked_down(name, (), "")) for name in COMPONENTS),
)
OURS = replace(FOUND, flux_stack="kind-dev", stacks=("kind-dev",))


def test_flux_is_declared_where_there_is_none_and_where_it_is_ours() -> None:
    assert needs_manifests("kind-dev", said(), EMPTY)
    assert needs_manifests("kind-dev", said(), OURS)


def test_a_flux_that_is_found_is_left_alone() -> None:
    assert not needs_manifests("kind-dev", said(), FOUND)
    assert make_spec("kind-dev", said(), FOUND, ()).flux == ()


def test_what_a_killed_run_has_made_of_flux_is_ours() -> None:
    begun = PlatformFacts(uid="uid", kinds=NEEDED_KINDS[:1], flux_stack="kind-dev", stacks=("kind-dev",))
    assert needs_manifests("kind-dev", said(), begun)


def test_another_stack_s_platform_is_refused_with_its_name() -> None:
    with pytest.raises(GuardError, match="belongs to stack team"):
        needs_manifests("kind-dev", said(), replace(FOUND, stacks=("team",)))


def test_a_context_that_leads_to_another_cluster_now_is_refused() -> None:
    settings = replace(said(), cluster="another")
    with pytest.raises(GuardError, match="another cluster"):
        needs_manifests("kind-dev", settings, OURS)


@pytest.mark.parametrize("version", ["v2.6.4", "v0.41.2"])
def test_a_flux_that_is_too_old_is_refused_with_its_version(version: str) -> None:
    with pytest.raises(UsageError, match=version):
        needs_manifests("kind-dev", said(), replace(FOUND, version=version))


def test_a_kubernetes_without_admission_policies_is_refused_with_the_release_that_has_them() -> None:
    with pytest.raises(UsageError, match="ValidatingAdmissionPolicy") as refused:
        needs_manifests("kind-dev", said(), replace(EMPTY, can_bound=False))
    assert "1.30" in refused.value.hint


@pytest.mark.parametrize("missing", COMPONENTS)
def test_a_flux_without_a_controller_that_sessions_need_is_refused(missing: str) -> None:
    left = tuple(one for one in FOUND.components if one.name != missing)
    with pytest.raises(UsageError, match=missing):
        needs_manifests("kind-dev", said(), replace(FOUND, components=left))


def test_a_flux_without_a_kind_that_sessions_need_is_refused() -> None:
    with pytest.raises(UsageError, match="HelmRelease"):
        needs_manifests("kind-dev", said(), replace(FOUND, kinds=NEEDED_KINDS[:2]))


def test_a_flux_whose_controllers_run_elsewhere_is_taken_and_told() -> None:
    facts = replace(FOUND, components=(), version="")
    assert not needs_manifests("kind-dev", said(), facts)
    assert "no controller was found" in to_status(facts).flux


def test_nothing_is_decided_on_what_may_not_be_read() -> None:
    with pytest.raises(BackendError, match="Deployments"):
        needs_manifests("kind-dev", said(), replace(EMPTY, unread=("Deployments",)))


def test_a_platform_with_live_sessions_stays_and_names_them() -> None:
    with pytest.raises(GuardError, match="run-web/web") as refused:
        refuse_in_use(replace(OURS, sessions=("run-web/web",)), has_flux=True)
    assert refused.value.hint == "end them: gitops-run down web"


def test_a_flux_of_ours_that_somebody_else_uses_stays() -> None:
    used = replace(OURS, others=("GitRepository apps/shop",))
    with pytest.raises(GuardError, match="GitRepository apps/shop"):
        refuse_in_use(used, has_flux=True)


def test_a_found_flux_that_somebody_else_uses_is_no_reason_to_stay() -> None:
    refuse_in_use(replace(FOUND, others=("GitRepository apps/shop",)), has_flux=False)


def test_each_setting_is_a_field_of_the_platform() -> None:
    names = tuple(field.name for field in fields(PlatformSettings))
    assert names == tuple(setting.attribute for setting in PLATFORM_SETTINGS) or set(names) == {
        setting.attribute for setting in PLATFORM_SETTINGS
    }


def test_the_platform_s_project_file_has_the_schema_of_its_settings() -> None:
    written = yaml.safe_load((REPOSITORY / "platform" / "Pulumi.yaml").read_text(encoding="utf-8"))
    assert written == platform_project(virtualenv="../.venv")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_of_a_platform_is_valid(example: Path) -> None:
    config = yaml.safe_load(example.read_text(encoding="utf-8"))["config"]
    values = {key.removeprefix("gitops-run-platform:"): value for key, value in config.items()}
    assert resolve_platform([Source(origin=Origin.STACK, values=values)]).require("context")


def test_a_mistyped_key_of_a_platform_s_stack_is_refused() -> None:
    with pytest.raises(UsageError, match="fluxVersoin"):
        resolve_platform([Source(origin=Origin.STACK, values={"fluxVersoin": "2.9.5"})])


def test_the_settings_of_sessions_do_not_disturb_a_platform() -> None:
    file = Source(origin=Origin.FILE, values={"endpoint": "https://s3:9000"})
    assert resolve_platform([file]).flux_version == "2.9.5"


def test_the_manifests_are_upstream_s_of_the_version_unless_named() -> None:
    assert said(fluxVersion="2.8.3").manifests.endswith("/flux2/releases/download/v2.8.3/install.yaml")
    assert said(fluxManifests="/here.yaml").manifests == "/here.yaml"


@pytest.mark.parametrize("version", ["2.7.5", "latest", "v2.9.5"])
def test_a_version_that_can_not_be_installed_is_refused(version: str) -> None:
    with pytest.raises(UsageError, match=r"flux.?[vV]ersion"):
        said(fluxVersion=version)


def test_the_stack_keeps_what_was_said_and_no_default_but_the_version_and_what_sessions_may_have() -> None:
    kept = to_platform_config(said(allowContexts=["a b"], fluxRegistry="registry.example.com"))
    assert kept == {
        "context": "kind-dev",
        "kubeconfig": "/k",
        "allowContexts": '["a b"]',
        "fluxVersion": "2.9.5",
        "fluxRegistry": "registry.example.com",
        "sessionPodSecurity": "restricted",
        "sessionIsolation": "namespace",
    }


def test_a_context_s_stack_has_a_name_that_pulumi_takes() -> None:
    assert stack_name("kind-dev") == "kind-dev"
    assert stack_name("arn:aws:eks:eu-central-1:1:cluster/dev") == "arn-aws-eks-eu-central-1-1-clus-6be72ad8"


def test_contexts_that_begin_alike_have_stacks_of_their_own() -> None:
    account = "arn:aws:eks:eu-central-1:123456789012:cluster/"
    names = {stack_name(f"{account}{name}") for name in ("dev", "staging", "production")}
    assert len(names) == 3
    assert all(len(name) <= 40 for name in names)


def test_a_viewer_sees_no_secret_and_changes_nothing() -> None:
    assert not [rule for rule in viewer_rules() if "secrets" in rule["resources"]]
    (jobs,) = [rule for rule in viewer_rules() if "cronjobs" in rule["resources"]]
    assert jobs["resourceNames"] == ["gitops-run-collector"]
    assert {verb for rule in viewer_rules() for verb in rule["verbs"]} == {"get", "list", "watch"}


def test_a_maker_may_hand_out_the_forward_to_bucket_servers_and_has_no_other() -> None:
    named = [rule.get("resourceNames") for rule in maker_rules() if "pods/portforward" in rule["resources"]]
    assert named == [["gitops-run-bucket-0"]]


def test_a_maker_may_impersonate_the_applier_of_sessions_and_nobody_else() -> None:
    named = [rule.get("resourceNames") for rule in maker_rules() if "impersonate" in rule["verbs"]]
    assert named == [["flux-run"]]


def test_a_status_names_the_flags_that_are_missing() -> None:
    facts = replace(FOUND, components=(component("kustomize-controller", "--no-remote-bases=true"),))
    told = dict(rows(to_status(facts)))["  not locked down"]
    assert "--no-cross-namespace-refs" in told
    assert "--no-remote-bases" not in told


def test_a_status_says_what_may_not_be_read_instead_of_missing() -> None:
    told = dict(rows(to_status(replace(FOUND, unread=("Bucket objects", "ClusterRole gitops-run-viewer")))))
    assert told["role gitops-run-viewer"] == "may not be read"
    assert told["role gitops-run-session-maker"] == "missing"
    assert told["live sessions"] == "may not be read"


def test_a_status_of_a_cluster_that_may_not_be_read_does_not_say_that_nothing_is_there() -> None:
    told = dict(rows(to_status(replace(EMPTY, unread=("CustomResourceDefinitions", "Deployments")))))
    assert (told["platform"], told["flux"]) == ("none was seen", "no Flux was found")
    told = dict(rows(to_status(EMPTY)))
    assert (told["platform"], told["flux"]) == ("none", "there is no Flux")


def test_a_spec_of_upstream_s_release_has_its_controllers() -> None:
    spec = make_spec("kind-dev", said(), EMPTY, release())
    assert len([one for one in spec.flux if one["kind"] == "Deployment"]) == 3
