"""What the admission policies take for a session's own, and how far both roles reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gitops_run.model.manifests import session as manifests
from gitops_run.model.manifests.bounds import bounds_objects
from gitops_run.model.manifests.session import Manifest
from gitops_run.model.manifests.store_server import (
    StoreServer,
    forward_rules,
    server_policy,
    server_secret,
    server_service,
    server_set,
)
from gitops_run.model.names import SESSION_LABEL, SessionName
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.objects.ownership import SessionPlace
from gitops_run.model.platform.admission import OWNER_ANNOTATIONS, policies
from gitops_run.model.platform.objects import maker_rules, platform_objects
from gitops_run.model.rights.access import Rule, account_rules, owner_rules
from gitops_run.model.session.isolation import DEFAULT_BOUNDS
from gitops_run.model.session.spec import InClusterStore, SessionSpec
from gitops_run.model.store.keys import KeyPair
from tests.unit.test_bounds import CHART, SPEC

KEY = KeyPair(access_key="AK", secret_key="hunter2")
Right = tuple[str, str, str]


def session_manifests() -> tuple[Manifest, ...]:
    """Write everything that a session can have in its namespace."""
    assert isinstance(SPEC.store, InClusterStore)
    server = StoreServer(
        namespace=SPEC.namespace,
        bucket=SPEC.bucket,
        region=SPEC.store.region,
        image=SPEC.store.image,
        flux_namespace="flux-system",
        labels=manifests.labels(SPEC.name),
    )
    pod = server_set(server, "f")["spec"]["template"]
    return (
        manifests.service_account(SPEC),
        manifests.account_role(SPEC),
        manifests.account_binding(SPEC),
        manifests.owner_role(SPEC),
        manifests.owner_binding(SPEC),
        *manifests.record_maps(SPEC),
        manifests.reader_secret(SPEC, KEY, "ca"),
        manifests.writer_secret(SPEC, KEY, "ca"),
        manifests.decryption_secret(SPEC),
        *bounds_objects(replace(SPEC, bounds=DEFAULT_BOUNDS)),
        manifests.source_bucket(SPEC),
        manifests.applier(SPEC),
        manifests.applier(CHART),
        server_secret(server, {}),
        server_service(server),
        server_policy(server),
        server_set(server, "f"),
        {"kind": "Pod", "metadata": {**pod["metadata"], "name": "gitops-run-bucket-0"}},
    )


@pytest.mark.parametrize(
    "manifest", session_manifests(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}"
)
def test_everything_that_a_session_consists_of_is_protected_and_never_applied(manifest: Manifest) -> None:
    assert manifest["metadata"]["labels"][SESSION_LABEL] == "web"
    ref = ObjectRef(group="", kind=manifest["kind"], namespace="run-web", name=manifest["metadata"]["name"])
    assert SessionPlace(name="web", namespace="run-web").is_own_part(ref)


def test_an_owner_may_write_the_annotations_of_fence_reconcile_extend_and_suspend_alone() -> None:
    assert set(OWNER_ANNOTATIONS) == {
        "gitops-run.dev/fence",
        "gitops-run.dev/request",
        "gitops-run.dev/requested-by",
        "reconcile.fluxcd.io/requestedAt",
        "reconcile.fluxcd.io/forceAt",
        "reconcile.fluxcd.io/resetAt",
        "gitops-run.dev/extended",
        "gitops-run.dev/suspended-by",
        "gitops-run.dev/suspended-reason",
        "gitops-run.dev/suspended-at",
        "gitops-run.dev/resumed-at",
    }


def test_each_policy_has_its_binding_and_refuses_what_it_can_not_judge() -> None:
    written = {(one["kind"], one["metadata"]["name"]): one for one in platform_objects("dev")}
    for name in policies():
        bound = written["ValidatingAdmissionPolicyBinding", name]["spec"]
        assert bound == {"policyName": name, "validationActions": ["Deny"]}
        assert written["ValidatingAdmissionPolicy", name]["spec"]["failurePolicy"] == "Fail"


def rights(rules: list[Rule]) -> Iterator[tuple[Right, frozenset[str]]]:
    """List each right as group, resource and verb, with the names that it is bound to."""
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield (group, resource, verb), frozenset(rule.get("resourceNames", ()))


def test_a_maker_holds_whatever_both_roles_hold() -> None:
    held: dict[Right, set[frozenset[str]]] = {}
    for right, names in rights(maker_rules()):
        held.setdefault(right, set()).add(names)
    name = SessionName("web")
    given = [*account_rules(is_helm=True), *owner_rules(name, name.namespace, is_helm=True), *forward_rules()]
    for right, names in rights(given):
        assert any(not have or (names and names <= have) for have in held.get(right, ())), right


def test_neither_role_reaches_accounts_tokens_or_into_pods() -> None:
    name = SessionName("web")
    reached = {
        right
        for right, _ in rights(
            [*account_rules(is_helm=True), *owner_rules(name, name.namespace, is_helm=True)]
        )
    }
    resources = {resource for _, resource, _ in reached}
    assert not {one for one in resources if "/" in one} - {"pods/log"}
    assert not {verb for _, _, verb in reached} & {"bind", "escalate", "deletecollection", "*"}
    writes = {(group, verb) for group, _, verb in reached if verb not in {"get", "list", "watch"}}
    assert not {group for group, _ in writes} & {"rbac.authorization.k8s.io"}


def test_an_owner_takes_and_renews_a_lease_and_never_deletes_one() -> None:
    name = SessionName("web")
    verbs = {
        verb
        for (_, resource, verb), _ in rights(owner_rules(name, name.namespace, is_helm=True))
        if resource == "leases"
    }
    assert verbs == {"create", "get", "update"}


def test_only_a_chart_s_account_may_update_and_watch() -> None:
    verbs = {verb for (_, _, verb), _ in rights(account_rules(is_helm=False))}
    assert verbs == {"create", "delete", "get", "list", "patch"}


@pytest.mark.parametrize(("spec", "driven"), [(SPEC, "kustomizations"), (CHART, "helmreleases")])
def test_an_owner_may_patch_the_object_that_applies_and_no_other_kind_of_it(
    spec: SessionSpec, driven: str
) -> None:
    patched = {
        resource for (_, resource, verb), _ in rights(manifests.owner_role(spec)["rules"]) if verb == "patch"
    }
    assert patched == {"buckets", driven, "configmaps"}
