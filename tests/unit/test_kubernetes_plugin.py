"""The stand-in's decisions: secrecy, canonical forms, differences, ownership of fields."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_run.errors import UsageError
from gitops_run.sandbox.kubernetes_plugin import (
    diffing,
    kinds,
    managers,
    objects,
    options,
    quantities,
    values,
)
from gitops_run.sandbox.kubernetes_plugin.diffing import Change, differences

MANAGER = "pulumi-kubernetes-0123abcd"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=4), JSON, max_size=4)
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "n"}}


def _found(old: dict[str, Any], new: dict[str, Any], *fixed: tuple[str, ...]) -> dict[str, tuple[str, bool]]:
    return {found.path: (found.change.value, found.replaces) for found in differences(old, new, fixed)}


@pytest.mark.parametrize(
    ("given_text", "canonical"),
    [
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("0.5", "500m"),
        ("1000m", "1"),
        ("2000", "2k"),
        ("10", "10"),
        ("0", "0"),
        ("0.5Gi", "512Mi"),
        ("1e3", "1e3"),
        ("100Mi", "100Mi"),
        ("no quantity", "no quantity"),
    ],
)
def test_quantities_are_written_as_the_api_server_writes_them(given_text: str, canonical: str) -> None:
    assert quantities.canonical(given_text) == canonical


@given(st.integers(0, 10**9), st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi"]))
def test_a_canonical_quantity_is_its_own_canonical_form(number: int, suffix: str) -> None:
    once = quantities.canonical(f"{number}{suffix}")
    assert quantities.canonical(once) == once


@given(OBJECTS)
def test_an_object_does_not_differ_from_itself(value: dict[str, Any]) -> None:
    assert differences(value, value, ()) == ()


@given(OBJECTS, OBJECTS)
def test_what_is_added_one_way_is_deleted_the_other_way(one: dict[str, Any], other: dict[str, Any]) -> None:
    there = {found.path for found in differences(one, other, ()) if found.change is Change.ADD}
    back = {found.path for found in differences(other, one, ()) if found.change is Change.DELETE}
    assert there == back


def test_each_property_that_differs_is_named_by_its_path() -> None:
    old = {"spec": {"replicas": 1, "list": [{"a": 1, "b": 2}], "gone": True}}
    new = {"spec": {"replicas": 2, "list": [{"a": 1}, {"a": 3}], "x.y": "new"}}
    assert _found(old, new) == {
        "spec.replicas": ("UPDATE", False),
        "spec.gone": ("DELETE", False),
        "spec.list[0].b": ("DELETE", False),
        "spec.list[1]": ("ADD", False),
        'spec["x.y"]': ("ADD", False),
    }


def test_a_change_below_a_fixed_field_replaces_the_object() -> None:
    old, new = {"data": {"ttl": "8h"}}, {"data": {"ttl": "4h"}}
    assert _found(old, new, ("data",)) == {"data.ttl": ("UPDATE", True)}


def test_a_change_above_a_fixed_field_replaces_the_object_only_where_it_reaches_the_field() -> None:
    assert _found({}, {"spec": {"selector": {}}}, ("spec", "selector")) == {"spec": ("ADD", True)}
    assert _found({}, {"spec": {"replicas": 1}}, ("spec", "selector")) == {"spec": ("ADD", False)}


def test_ignored_changes_count_with_all_that_lies_below_them() -> None:
    found = differences({}, {"metadata": {"annotations": {"a": "1"}}, "annotation": 1}, ())
    assert [left.path for left in diffing.without_ignored(found, ["metadata"])] == ["annotation"]


def test_the_data_of_a_secret_is_secret_whatever_its_inputs_say() -> None:
    assert values.marked({**SECRET, "data": {"a": "Yg=="}}, {}) == {
        **SECRET,
        "data": values.secret({"a": "Yg=="}),
    }


def test_secrecy_spreads_to_the_value_in_an_object_and_to_a_whole_array() -> None:
    like = {"spec": {"a": values.secret("x"), "b": "y", "c": [values.secret("z")]}}
    assert values.marked({"spec": {"a": "x", "b": "y", "c": ["z", "more"]}}, like) == {
        "spec": {"a": values.secret("x"), "b": "y", "c": values.secret(["z", "more"])}
    }


@given(OBJECTS)
def test_marks_of_secrecy_change_no_value(value: dict[str, Any]) -> None:
    assert values.plain(values.secret(value)) == value
    assert values.plain(values.marked(value, {key: values.secret(0) for key in value})) == value


def test_string_data_becomes_data_and_wins_over_it() -> None:
    inputs = {**SECRET, "data": {"a": "b2xk", "b": "Yg=="}, "stringData": {"a": "new"}}
    assert objects.normalized(inputs) == {**SECRET, "data": {"a": "bmV3", "b": "Yg=="}}


def test_quantities_of_known_kinds_are_canonical_in_inputs() -> None:
    inputs = {"kind": "ResourceQuota", "spec": {"hard": {"requests.memory": "1024Mi", "pods": 10}}}
    assert objects.normalized(inputs)["spec"]["hard"] == {"requests.memory": "1Gi", "pods": "10"}


def test_what_only_a_server_sets_is_no_input() -> None:
    inputs = {"metadata": {"name": "a", "uid": "u", "managedFields": [], "resourceVersion": "1"}}
    assert objects.normalized(inputs) == {"metadata": {"name": "a"}}


def test_a_live_object_is_cut_to_what_was_declared() -> None:
    live = {"a": 1, "default": 2, "list": [{"x": 1, "y": 2}, {"x": 3}], "other": "text"}
    assert objects.pruned(live, {"a": 9, "list": [{"x": 0}], "other": {}, "gone": 1}) == {
        "a": 1,
        "list": [{"x": 1}],
        "other": "text",
    }


def test_a_namespace_left_out_is_the_default_one_and_no_difference() -> None:
    live = {"metadata": {"name": "a", "namespace": "default"}}
    old = objects.State(inputs={"metadata": {"name": "a"}}, live=live, api_version="v1", manager=MANAGER)
    base, wanted = objects.comparable(old, {"metadata": {"name": "a"}})
    assert base == wanted


SCHEMA = {"items": [{"x-kubernetes-list-type": "set", "x-kubernetes-other": 1}]}


def test_a_state_has_the_keys_of_an_objects_schema_with_underscores() -> None:
    state = objects.State(inputs=SCHEMA, live=SCHEMA, api_version="v1", manager=MANAGER)
    written = {"items": [{"x_kubernetes_list_type": "set", "x-kubernetes-other": 1}]}
    rendered = objects.render_state(state, {})
    assert (rendered["items"], rendered["__inputs"]) == (written["items"], written)
    assert objects.parse_state(rendered) == state


@pytest.mark.parametrize("key", ["x-kubernetes-list-type", "x_kubernetes_list_type"])
def test_inputs_and_older_states_may_have_the_keys_of_a_schema_in_either_form(key: str) -> None:
    parsed = {"items": [{"x-kubernetes-list-type": "set"}]}
    assert objects.parse_inputs({"items": [{key: "set"}]}) == parsed
    assert objects.parse_state({"items": [{key: "set"}]}).live == parsed


def _entry(manager: str, operation: str, fields: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": fields, **more}


def test_the_creators_fields_go_over_to_the_resources_manager() -> None:
    entries = [
        _entry("pulumi-kubernetes", "Update", {"f:data": {"f:a": {}}}),
        _entry("kube-controller-manager", "Update", {"f:status": {}}, subresource="status"),
        _entry(MANAGER, "Apply", {"f:data": {"f:b": {}}}),
    ]
    assert managers.handed_over(entries, MANAGER) == [
        _entry(MANAGER, "Apply", {"f:data": {"f:a": {}, "f:b": {}}}),
        entries[1],
    ]


@pytest.mark.parametrize(
    ("manager", "operation"),
    [
        ("kubectl-annotate", "Update"),
        ("kubectl-client-side-apply", "Update"),
        ("kubectl", "Apply"),
        (MANAGER, "Update"),
    ],
)
def test_fields_go_over_from_every_manager_whose_name_begins_like_a_known_one(
    manager: str, operation: str
) -> None:
    entries = [_entry(MANAGER, "Apply", {"f:a": {}}), _entry(manager, operation, {"f:b": {}})]
    assert managers.handed_over(entries, MANAGER) == [_entry(MANAGER, "Apply", {"f:a": {}, "f:b": {}})]


@pytest.mark.parametrize(
    ("manager", "operation"),
    [("source-controller", "Update"), ("before-first-apply", "Apply"), ("my-kubectl", "Update")],
)
def test_fields_of_others_stay_theirs(manager: str, operation: str) -> None:
    entries = [_entry(manager, operation, {"f:metadata": {}}), _entry(MANAGER, "Apply", {})]
    assert managers.handed_over(entries, MANAGER) is None


@pytest.mark.parametrize(
    ("token", "api_version", "is_custom"),
    [
        ("kubernetes:core/v1:Namespace", "v1", False),
        ("kubernetes:rbac.authorization.k8s.io/v1:Role", "rbac.authorization.k8s.io/v1", False),
        ("kubernetes:source.toolkit.fluxcd.io/v1:Bucket", "source.toolkit.fluxcd.io/v1", True),
        ("kubernetes:gateway.networking.k8s.io/v1:Gateway", "gateway.networking.k8s.io/v1", True),
    ],
)
def test_types_name_kinds(token: str, api_version: str, *, is_custom: bool) -> None:
    kind = kinds.parse_type(token)
    assert (kind.api_version, kind.is_custom) == (api_version, is_custom)


@pytest.mark.parametrize(
    "token", ["kubernetes:batch/v1:Job", "kubernetes:yaml:ConfigFile", "aws:s3/bucket:Bucket"]
)
def test_types_that_are_not_known_are_refused_by_name(token: str) -> None:
    with pytest.raises(UsageError, match=token.rpartition(":")[2]):
        kinds.parse_type(token)


def test_a_secret_can_change_in_place_only_where_the_provider_says_so() -> None:
    kind = kinds.known(kinds.KindName(api_version="v1", name="Secret"))
    assert kind is not None
    assert ("data",) not in kinds.fixed_fields(kind, SECRET, secrets_mutable=True)
    assert ("data",) in kinds.fixed_fields(kind, SECRET, secrets_mutable=False)
    assert ("data",) in kinds.fixed_fields(kind, {**SECRET, "immutable": True}, secrets_mutable=True)


KUBECONFIG = """
clusters: [{name: one, cluster: {server: "https://one"}}, {name: two, cluster: {server: "https://two"}}]
contexts: [{name: one, context: {cluster: one}}, {name: two, context: {cluster: two}}]
current-context: one
"""


@pytest.mark.parametrize(
    ("old", "new", "replaces"),
    [
        ({"context": "one"}, {"context": "two"}, ("context",)),
        ({"context": "one"}, {"context": "one", "enableSecretMutable": "true"}, ()),
        ({"context": "one", "clusterIdentifier": "x"}, {"context": "two", "clusterIdentifier": "x"}, ()),
        ({"clusterIdentifier": "x"}, {"clusterIdentifier": "y"}, ("clusterIdentifier",)),
        ({}, {"clusterIdentifier": "y"}, ()),
    ],
)
def test_another_cluster_means_new_objects(
    old: dict[str, str], new: dict[str, str], replaces: tuple[str, ...]
) -> None:
    common = {"kubeconfig": KUBECONFIG}
    assert options.config_difference({**common, **old}, {**common, **new}).replaces == replaces
