"""What bounds a session: its quota, who may connect to its pods, and what a platform allows of both."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_run.adapters.cluster.post_build import to_post_build
from gitops_run.errors import GuardError, UsageError
from gitops_run.flows import lifecycle
from gitops_run.model.manifests import session as manifests
from gitops_run.model.manifests.bounds import bounds_objects
from gitops_run.model.manifests.store_server import StoreServer, server_policy
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.objects.ownership import SessionPlace
from gitops_run.model.platform.objects import maker_rules, platform_objects
from gitops_run.model.platform.platform import resolve_platform, to_platform_config
from gitops_run.model.session.bounds import warnings
from gitops_run.model.session.isolation import (
    DEFAULT_QUOTA,
    ISOLATION_POLICY,
    NO_RULES,
    Bounds,
    IsolationRules,
    Quota,
    choose_quota,
    parse_quota,
    quantity,
    quota_policy,
    read_rules,
    refuse_isolation,
    refuse_quota,
    rule_annotations,
)
from gitops_run.model.session.settings import Origin, Source, resolve, to_stack_config
from gitops_run.model.session.spec import SessionSpec
from gitops_run.model.stack.collection import Kind, Listing, collect
from gitops_run.model.stack.events import PendingObject
from gitops_run.model.state.session_state import SessionState
from tests.network_policies import Pod, may_connect
from tests.unit.test_lifecycle_keys import KNOWN, NEW, World, request, up

SMALL = IsolationRules(allowed="namespace", max_quota=parse_quota(["cpu=2", "pods=10"]))
OLD = KNOWN
BOUNDED = replace(KNOWN, isolation="namespace")


def said(**values: object) -> Source:
    return Source(origin=Origin.FLAG, values=values)


def made(world: World, **values: object) -> SessionSpec:
    return up(world, request(None, **values))


def kinds(spec: SessionSpec) -> list[str]:
    return [manifest["kind"] for manifest in bounds_objects(spec)]


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("4", 4),
        ("500m", "0.5"),
        ("1.5", "1.5"),
        ("1k", 1000),
        ("8Gi", 8 * 1024**3),
        ("8G", 8_000_000_000),
        ("1Ti", 1024**4),
        ("0", 0),
    ],
)
def test_an_amount_is_read_as_kubernetes_reads_it(text: str, amount: str | int) -> None:
    assert quantity(text) == Decimal(amount)


@pytest.mark.parametrize(
    "text",
    [
        "cpu=0",
        "cpu=0.0",
        "cpu=4Gi",
        "cpu=-1",
        "memory=8gb",
        "memory=0",
        "memory=1e3",
        "pods=0",
        "pods=1.5",
        "pods=10Ki",
        "gpu=1",
        "cpu",
        "cpu=",
        "cpu = 4",
        "cpu=٤",
        "limits.cpu=4",
    ],
)
def test_what_is_no_amount_is_refused_with_amounts_that_are(text: str) -> None:
    with pytest.raises(UsageError, match="cpu=4, memory=8Gi, pods=20"):
        resolve([said(quota=[text])])


@pytest.mark.parametrize("text", ["cpu=500m", "cpu=0.5", "memory=1536Mi", "storage=0", "pods=unlimited"])
def test_an_amount_that_kubernetes_takes_is_allowed(text: str) -> None:
    assert resolve([said(quota=text)]).quota == (text,)


def test_a_resource_that_is_named_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="--quota names a key twice: cpu=2, cpu=4"):
        resolve([said(quota=["cpu=2", "cpu=4"])])


def test_a_resource_that_a_flag_does_not_name_keeps_what_the_stack_says() -> None:
    stack = Source(origin=Origin.STACK, values={"quota": ["cpu=2", "pods=5"]})
    settings = resolve([said(quota=["pods=100"]), stack])
    assert set(settings.quota) == {"cpu=2", "pods=100"}
    assert resolve([Source(origin=Origin.STACK, values=to_stack_config(settings))]).quota == settings.quota


def test_a_rule_that_a_flag_does_not_name_stays_in_force() -> None:
    stack = Source(origin=Origin.STACK, values={"sessionMaxQuota": ["cpu=2"], "teamQuota": ["a/cpu=2"]})
    rules = resolve_platform([said(sessionMaxQuota="pods=5", teamQuota="b/cpu=3"), stack]).isolation
    assert rules.max_quota.amounts == {"cpu": "2", "pods": "5"}
    assert set(rules.teams) == {"a", "b"}


def test_a_session_sets_some_resources_and_gets_the_default_of_the_others() -> None:
    quota = choose_quota(["cpu=2", "pods=unlimited"], NO_RULES)
    assert quota.amounts == {"cpu": "2", "memory": "16Gi", "storage": "50Gi"}
    assert quota.hard == {"requests.cpu": "2", "requests.memory": "16Gi", "requests.storage": "50Gi"}


def test_the_platform_s_default_comes_before_the_built_in_one_which_keeps_to_its_maximum() -> None:
    rules = IsolationRules(quota=parse_quota(["memory=4Gi"]), max_quota=parse_quota(["cpu=2", "pods=500"]))
    assert choose_quota([], rules).amounts == {**DEFAULT_QUOTA.amounts, "memory": "4Gi", "cpu": "2"}


@pytest.mark.parametrize("quota", [["cpu=2001m"], ["cpu=unlimited"], ["pods=11"]])
def test_a_quota_beyond_the_platform_s_is_refused_with_the_name_of_the_rule(quota: list[str]) -> None:
    world = World(facts=replace(NEW, rules=SMALL))
    with pytest.raises(GuardError, match="sessionMaxQuota"):
        made(world, quota=quota)
    assert world.declared == []


@pytest.mark.parametrize("quota", [["cpu=2000m"], ["pods=10"], ["memory=unlimited"], []])
def test_a_quota_within_the_platform_s_is_allowed(quota: list[str]) -> None:
    assert made(World(facts=replace(NEW, rules=SMALL)), quota=quota).bounds is not None


@settings(max_examples=25)
@given(
    wanted=st.integers(min_value=1, max_value=10**6),
    most=st.integers(min_value=1, max_value=10**6),
    unit=st.sampled_from(["", "m"]),
)
def test_a_quota_is_refused_exactly_if_it_is_more(wanted: int, most: int, unit: str) -> None:
    quota, rule = (Quota(amounts={"cpu": f"{number}{unit}"}) for number in (wanted, most))
    try:
        refuse_quota(quota, rule)
    except GuardError:
        assert wanted > most
    else:
        assert wanted <= most


def test_rules_are_the_same_after_they_were_annotations() -> None:
    rules = replace(SMALL, quota=parse_quota(["cpu=1"]), ingress_from=("ingress-nginx", "monitoring"))
    assert read_rules(rule_annotations(rules)) == rules
    assert read_rules({}) == NO_RULES


def test_annotations_that_can_not_be_read_allow_nothing_and_limit_nothing() -> None:
    broken = {f"gitops-run.dev/session-{name}": "anything" for name in ("isolation", "quota", "max-quota")}
    assert read_rules(broken) == NO_RULES


def test_a_new_session_has_a_quota_requests_and_a_network_policy() -> None:
    spec = made(World())
    assert kinds(spec) == ["ResourceQuota", "LimitRange", "NetworkPolicy"]
    assert {one["metadata"]["labels"]["gitops-run.dev/session"] for one in bounds_objects(spec)} == {"web"}


def test_a_quota_without_any_limit_is_no_object() -> None:
    everything = [f"{resource}=unlimited" for resource in DEFAULT_QUOTA.amounts]
    assert kinds(made(World(), quota=everything)) == ["LimitRange", "NetworkPolicy"]


def test_a_session_of_an_earlier_version_stays_as_it_is_until_somebody_asks_for_bounds() -> None:
    unchanged = made(World(facts=OLD))
    assert bounds_objects(unchanged) == ()
    assert "gitops-run.dev/isolation" not in manifests.source_bucket(unchanged)["metadata"]["annotations"]
    before = replace(made(World(facts=BOUNDED)), bounds=None)
    assert manifests.owner_role(unchanged) == manifests.owner_role(before)


@pytest.mark.parametrize(
    ("facts", "asked"),
    [
        (OLD, {"isolation": "namespace"}),
        (OLD, {"quota": ["cpu=2"]}),
        (replace(OLD, rules=SMALL), {}),
        (BOUNDED, {}),
    ],
)
def test_a_session_is_bounded_once_somebody_has_asked_or_the_platform_has_a_rule(
    facts: object, asked: dict[str, object]
) -> None:
    spec = made(World(facts=facts), **asked)  # type: ignore[arg-type]
    assert len(bounds_objects(spec)) == 3
    annotations = manifests.source_bucket(spec)["metadata"]["annotations"]
    assert annotations["gitops-run.dev/isolation"] == "namespace"


def test_who_may_not_create_quotas_is_refused_before_anything_is_made() -> None:
    world = World(facts=replace(NEW, may_bound=False))
    with pytest.raises(GuardError, match="may not create a ResourceQuota") as refused:
        made(world)
    assert "gitops-run platform up" in refused.value.hint
    assert world.declared == []
    assert made(World(facts=replace(OLD, may_bound=False))).bounds is None


def test_makers_may_create_what_bounds_a_session() -> None:
    granted = {
        resource for rule in maker_rules() if "create" in rule["verbs"] for resource in rule["resources"]
    }
    assert {"resourcequotas", "limitranges", "networkpolicies"} <= granted


@pytest.mark.parametrize("allowed", ["", "namespace"])
def test_cluster_is_refused_with_the_name_of_the_platform_s_setting(allowed: str) -> None:
    rules = IsolationRules(allowed=allowed)
    with pytest.raises(GuardError, match="sessionIsolation") as refused:
        refuse_isolation("cluster", rules)
    assert "platform up --session-isolation cluster" in refused.value.hint
    refuse_isolation("namespace", rules)


@pytest.mark.parametrize(
    ("was", "wanted"), [("", "cluster"), ("namespace", "cluster"), ("cluster", "namespace")]
)
def test_a_session_keeps_its_isolation(was: str, wanted: str) -> None:
    facts = replace(KNOWN, isolation=was, rules=IsolationRules(allowed="cluster"))
    with pytest.raises(GuardError, match=f"has isolation {was or 'namespace'}, not {wanted}"):
        made(World(facts=facts), isolation=wanted)


def test_the_end_of_a_session_with_isolation_cluster_is_looked_for_in_the_whole_cluster() -> None:
    wide = World(facts=replace(KNOWN, isolation="cluster"))
    narrow = World(facts=replace(KNOWN, isolation="namespace"))
    for world in (wide, narrow):
        anyio.run(lifecycle.down, request(), world.ports, print)
    assert [world.calls.count("elsewhere") for world in (wide, narrow)] == [1, 0]


def test_who_makes_a_session_with_isolation_cluster_is_warned() -> None:
    facts = replace(NEW, rules=IsolationRules(allowed="cluster"))
    wide = made(World(facts=facts), isolation="cluster")
    assert any("can do everything in the whole cluster" in text for text in warnings(wide, facts))


@pytest.mark.parametrize(
    ("spec", "is_wide"), [({}, False), ({"targetNamespace": "run-web"}, False), ({"path": "./src"}, True)]
)
def test_whether_a_session_is_wide_is_what_its_kustomization_says(
    spec: dict[str, str], *, is_wide: bool
) -> None:
    assert to_post_build({"spec": spec}).is_wide is is_wide


def test_a_binding_of_a_session_that_is_gone_is_an_orphan_and_that_of_another_is_not() -> None:
    api = "rbac.authorization.k8s.io/v1"
    names = ("gitops-run-run-web", "gitops-run-run-old")
    left, gone = (
        PendingObject(api_version=api, kind="ClusterRoleBinding", namespace="", name=name) for name in names
    )
    states = (SessionState(namespace="run-web", name="web"),)
    listing = Listing(uid="uid", states=states, labelled={"web": [left], "old": [gone]})
    orphans = [one for one in collect(listing, datetime.now(UTC)) if one.kind is Kind.ORPHAN]
    assert [one.objects for one in orphans] == [(gone,)]


WIDE = SessionPlace(name="web", namespace="run-web", is_wide=True)


def test_a_session_with_isolation_cluster_may_have_namespaces_but_not_its_own_parts() -> None:
    other, own = (ObjectRef(group="", kind="Namespace", namespace="", name=name) for name in ("a", "run-web"))
    binding = ObjectRef(
        group="rbac.authorization.k8s.io", kind="ClusterRoleBinding", namespace="", name="gitops-run-run-web"
    )
    assert [WIDE.is_own_part(ref) for ref in (other, own, binding)] == [False, True, True]


def test_a_platform_says_what_it_allows_on_the_policy_that_enforces_it() -> None:
    written = {
        one["metadata"]["name"]: one
        for one in platform_objects("dev", rules=SMALL)
        if one["kind"] == "ValidatingAdmissionPolicy"
    }
    policy = written[ISOLATION_POLICY]
    assert read_rules(policy["metadata"]["annotations"]) == SMALL
    assert policy["spec"] == quota_policy(SMALL)
    limits = [one["message"] for one in policy["spec"]["validations"] if "sessionMaxQuota" in one["message"]]
    assert len(limits) == 2


def test_a_platform_s_default_must_keep_to_its_maximum() -> None:
    with pytest.raises(UsageError, match="sessionQuota has cpu=4, and sessionMaxQuota allows cpu=2"):
        resolve_platform([said(sessionQuota="cpu=4,memory=1Gi", sessionMaxQuota="cpu=2")])
    resolve_platform([said(sessionQuota="memory=1Gi", sessionMaxQuota="cpu=2")])


def test_a_platform_that_becomes_stricter_again_says_so_in_its_stack() -> None:
    said_again = said(context="kind-a", sessionIsolation="namespace")
    assert to_platform_config(resolve_platform([said_again]))["sessionIsolation"] == "namespace"


APP = Pod(namespace="run-web", labels={"app": "web"})
SERVER = Pod(namespace="run-web", labels={"app.kubernetes.io/name": "gitops-run-bucket"})
FLUX = Pod(namespace="flux-system", labels={"app": "source-controller"})
INGRESS = Pod(namespace="ingress-nginx", labels={"app": "nginx"})
NEIGHBOUR = Pod(namespace="run-other", labels={"app": "web"})
PORT = 9000


def policies(store: str, *ingress_from: str) -> list[manifests.Manifest]:
    """Write the NetworkPolicies of a session. store: s3, or in-cluster for one with a server."""
    where = {"store": store} if store == "in-cluster" else {}
    spec = made(World(), **where, **({"endpoint": None} if where else {}))
    spec = replace(spec, bounds=Bounds(ingress_from=ingress_from))
    own = [one for one in bounds_objects(spec) if one["kind"] == "NetworkPolicy"]
    server = StoreServer(
        namespace="run-web", bucket="b", region="r", image="i", flux_namespace="flux-system", labels={}
    )
    return [*own, *([server_policy(server)] if store == "in-cluster" else [])]


@pytest.mark.parametrize("store", ["s3", "in-cluster"])
@pytest.mark.parametrize(
    ("client", "is_let_in"), [(APP, True), (NEIGHBOUR, False), (INGRESS, False), (FLUX, False)]
)
def test_pods_of_the_session_alone_connect_to_its_pods(store: str, client: Pod, *, is_let_in: bool) -> None:
    assert may_connect(policies(store), client, APP, PORT) is is_let_in


@pytest.mark.parametrize(("client", "is_let_in"), [(INGRESS, True), (NEIGHBOUR, False)])
def test_pods_of_namespaces_that_the_platform_names_connect_too(client: Pod, *, is_let_in: bool) -> None:
    assert may_connect(policies("s3", "ingress-nginx", "monitoring"), client, APP, PORT) is is_let_in


@pytest.mark.parametrize(
    ("client", "is_let_in"), [(FLUX, True), (APP, False), (NEIGHBOUR, False), (INGRESS, False)]
)
def test_flux_alone_connects_to_the_bucket_s_server(client: Pod, *, is_let_in: bool) -> None:
    assert may_connect(policies("in-cluster", "ingress-nginx"), client, SERVER, PORT) is is_let_in


def test_no_label_of_a_pod_opens_it_to_other_namespaces() -> None:
    disguised = Pod(namespace="run-web", labels=SERVER.labels)
    assert not may_connect(policies("s3"), NEIGHBOUR, disguised, PORT)


def test_the_session_s_pods_connect_to_others() -> None:
    assert may_connect(policies("in-cluster"), APP, INGRESS, PORT)
