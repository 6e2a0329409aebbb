"""What a session puts into its cluster."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_run.model.manifests import session as manifests
from gitops_run.model.names import RECORD_MAP, STATE_MAP, SessionName
from gitops_run.model.rights.access import account_rules, owner_rules
from gitops_run.model.session.spec import (
    AwsStore,
    ClusterPin,
    HelmApplier,
    InClusterStore,
    KustomizeApplier,
    S3Store,
    SessionSpec,
)
from gitops_run.model.store.keys import KeyPair

KEY = KeyPair(access_key="AK", secret_key="hunter2")
STORES = st.sampled_from(
    [
        S3Store(endpoint="https://s3:9000", region="us-east-1", admin=KEY),
        S3Store(endpoint="https://s3:9000", region="a", ca="PEM", admin=KEY),
        AwsStore(region="eu-west-1"),
        InClusterStore(namespace="run-web", region="a", image="registry/versitygw:v1"),
    ]
)
SPECS = st.builds(
    SessionSpec,
    name=st.from_regex(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True).map(SessionName.parse),
    namespace=st.just("run-web"),
    owner=st.just("jane@example.com"),
    target=st.sampled_from([".", "deploy", "deploy/overlays/dev"]),
    root=st.just("shop"),
    created=st.just("2026-11-23T20:00:00Z"),
    cluster=st.just(ClusterPin(kubeconfig="/k", context="kind-a", uid="uid")),
    store=STORES,
)

few = settings(max_examples=25)
"""There are four stores and three targets; only names come in numbers."""


def all_of(spec: SessionSpec) -> list[dict[str, Any]]:
    return [
        manifests.namespace(spec, "fleet/web"),
        manifests.service_account(spec),
        manifests.account_role(spec),
        manifests.account_binding(spec),
        manifests.owner_role(spec),
        manifests.owner_binding(spec),
        manifests.reader_secret(spec, KEY, ""),
        manifests.writer_secret(spec, KEY, ""),
        manifests.source_bucket(spec),
        manifests.applier(spec),
    ]


@few
@given(spec=SPECS)
def test_everything_carries_the_session_s_labels(spec: SessionSpec) -> None:
    wanted = manifests.labels(spec.name).items()
    assert all(wanted <= manifest["metadata"]["labels"].items() for manifest in all_of(spec))


@few
@given(spec=SPECS)
def test_the_session_s_namespace_refuses_pods_that_are_not_restricted(spec: SessionSpec) -> None:
    labels = manifests.namespace(spec, "fleet/web")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@few
@given(spec=SPECS)
def test_everything_but_the_namespace_lies_in_it(spec: SessionSpec) -> None:
    assert {manifest["metadata"].get("namespace") for manifest in all_of(spec)[1:]} == {spec.namespace}


@few
@given(spec=SPECS)
def test_with_isolation_cluster_objects_stay_where_they_say_and_an_administrator_applies_them(
    spec: SessionSpec,
) -> None:
    wide = dataclasses.replace(spec, isolation="cluster")
    binding = manifests.cluster_binding(wide)
    assert "targetNamespace" not in manifests.applier(wide)["spec"]
    assert manifests.applier(spec)["spec"]["targetNamespace"] == spec.namespace
    assert "namespace" not in binding["metadata"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "flux-run", "namespace": "run-web"}]
    assert binding["metadata"]["labels"] == manifests.labels(spec.name)


@few
@given(spec=SPECS)
def test_a_secret_s_content_stands_in_the_two_secrets_alone(spec: SessionSpec) -> None:
    telling = [manifest["kind"] for manifest in all_of(spec) if "hunter2" in repr(manifest)]
    assert telling == ["Secret", "Secret"]


@few
@given(spec=SPECS)
def test_the_kustomization_s_path_lies_under_src(spec: SessionSpec) -> None:
    path = manifests.applier(spec)["spec"]["path"]
    assert path == "./src" if spec.target == "." else path == f"./src/{spec.target}"


@few
@given(spec=SPECS)
def test_the_loop_s_own_fields_are_not_declared(spec: SessionSpec) -> None:
    source = manifests.source_bucket(spec)
    assert "suspend" not in source["spec"]
    assert (
        not {"gitops-run.dev/fence", "reconcile.fluxcd.io/requestedAt"}
        & source["metadata"]["annotations"].keys()
    )


@few
@given(spec=SPECS)
def test_flux_trusts_the_store_s_ca_where_it_has_its_own(spec: SessionSpec) -> None:
    assert ("certSecretRef" in manifests.source_bucket(spec)["spec"]) == spec.store.has_ca


@few
@given(spec=SPECS)
def test_no_rule_has_a_wildcard(spec: SessionSpec) -> None:
    rules = [*account_rules(is_helm=True), *owner_rules(spec.name, spec.namespace, is_helm=True)]
    assert not any("*" in words for rule in rules for words in rule.values())


def test_flux_may_apply_neither_rights_nor_its_own_kinds_nor_quotas() -> None:
    groups = {group for rule in account_rules(is_helm=False) for group in rule["apiGroups"]}
    resources = {resource for rule in account_rules(is_helm=False) for resource in rule["resources"]}
    assert not {group for group in groups if "rbac" in group or "fluxcd" in group or "coordination" in group}
    assert not resources & {"resourcequotas", "limitranges", "endpoints", "namespaces"}


@few
@given(spec=SPECS)
def test_the_owner_reads_one_secret_and_changes_what_bears_the_session_s_name(spec: SessionSpec) -> None:
    rules = owner_rules(spec.name, spec.namespace, is_helm=True)
    secrets = [rule for rule in rules if "secrets" in rule["resources"]]
    changing = [rule for rule in rules if {"patch", "update", "delete"} & set(rule["verbs"])]
    assert [(rule["verbs"], rule["resourceNames"]) for rule in secrets] == [(["get"], ["bucket-writer"])]
    own = {spec.name.text, STATE_MAP, RECORD_MAP}
    assert {name for rule in changing for name in rule["resourceNames"]} == own


@few
@given(spec=SPECS)
def test_substitutions_and_the_key_stand_where_flux_looks_for_them(spec: SessionSpec) -> None:
    applier = KustomizeApplier(
        substitute=("URL=https://a?b=c",), substitute_from=("Secret/more",), decryption_key="AGE-SECRET-KEY-1"
    )
    spec = dataclasses.replace(spec, applier=applier)
    written = manifests.applier(spec)["spec"]
    assert written["postBuild"] == {
        "substitute": {"URL": "https://a?b=c"},
        "substituteFrom": [{"kind": "Secret", "name": "more"}],
    }
    assert written["decryption"] == {"provider": "sops", "secretRef": {"name": "sops-age"}}
    assert "AGE-SECRET-KEY" not in repr(written) + repr(spec)
    assert manifests.decryption_secret(spec)["stringData"] == {"age.agekey": "AGE-SECRET-KEY-1"}


@few
@given(spec=SPECS)
def test_a_plain_kustomization_has_neither(spec: SessionSpec) -> None:
    assert not {"postBuild", "decryption"} & manifests.applier(spec)["spec"].keys()


@few
@given(spec=SPECS)
def test_a_chart_s_paths_begin_at_the_store_s_root(spec: SessionSpec) -> None:
    applier = HelmApplier(release_name="shop", values_files=("deploy/dev.yaml",))
    release = manifests.applier(dataclasses.replace(spec, applier=applier))
    chart = release["spec"]["chart"]["spec"]
    assert (release["kind"], release["spec"]["releaseName"]) == ("HelmRelease", "shop")
    assert chart["chart"].startswith("./src")
    assert chart["valuesFiles"] == ["./src/deploy/dev.yaml"]
    assert release["spec"]["serviceAccountName"] == "flux-run"
