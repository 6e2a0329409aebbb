"""What a save changes, field by field, without bookkeeping and without secrets."""

from __future__ import annotations

from typing import Any

import pytest

from gitops_run.model.objects.changes import find_change, find_recreation
from gitops_run.model.objects.identity import ObjectRef, parse_document
from gitops_run.model.objects.ownership import SessionPlace, foreign_owner

CONFIG = ObjectRef(group="", kind="ConfigMap", namespace="ns", name="a")
SECRET = ObjectRef(group="", kind="Secret", namespace="ns", name="a")
PLACE = SessionPlace(name="web", namespace="ns")


def fields(
    before: dict[str, Any], after: dict[str, Any], ref: ObjectRef = CONFIG
) -> list[tuple[str, str, str]]:
    change = find_change(ref, before, after)
    return [(field.path, field.before, field.after) for field in change.fields] if change else []


def test_bookkeeping_status_and_owners_labels_are_no_change() -> None:
    marks = {"kustomize.toolkit.fluxcd.io/name": "web", "kustomize.toolkit.fluxcd.io/namespace": "ns"}
    live = {
        "metadata": {"labels": marks, "generation": 1, "uid": "u", "managedFields": []},
        "status": {"x": 1},
    }
    assert fields(live, {"metadata": {"generation": 2, "managedFields": [1]}}) == []


def test_a_field_is_told_by_its_path_with_both_values() -> None:
    assert fields({"spec": {"replicas": 1}}, {"spec": {"replicas": 3}}) == [("spec.replicas", "1", "3")]


def test_a_named_item_of_a_list_is_told_by_its_name() -> None:
    before = {"spec": {"containers": [{"name": "proxy", "image": "p"}, {"name": "web", "image": "1"}]}}
    after = {"spec": {"containers": [{"name": "web", "image": "2"}]}}
    assert fields(before, after) == [
        ("spec.containers[proxy]", '{"name": "proxy", "image": "p"}', ""),
        ("spec.containers[web].image", '"1"', '"2"'),
    ]


def test_other_lists_are_told_by_place_and_dotted_keys_in_brackets() -> None:
    before = {"args": ["a", "b"], "metadata": {"labels": {"a.b/c": "1"}}}
    after = {"args": ["a", "c"], "metadata": {"labels": {"a.b/c": "2"}}}
    assert fields(before, after) == [("args[1]", '"b"', '"c"'), ("metadata.labels[a.b/c]", '"1"', '"2"')]


@pytest.mark.parametrize("live", [{"data": {"k": "djE="}}, {"data": {}}, {}])
def test_a_secret_s_values_are_masked_wherever_they_come_or_go(live: dict[str, Any]) -> None:
    there, back = fields(live, {"data": {"k": "djI="}}, SECRET), fields({"data": {"k": "djI="}}, live, SECRET)
    assert [field[0][:4] for field in there + back] == ["data", "data"]
    assert "dj" not in str(there + back)


def test_a_new_object_is_a_creation() -> None:
    change = find_change(CONFIG, None, {"data": {}})
    assert change is not None
    assert (change.object, change.ref, change.action) == ("ConfigMap ns/a", CONFIG, "create")


def owner(labels: dict[str, str] | None = None, **metadata: Any) -> str:
    return foreign_owner({"metadata": {"labels": labels or {}, **metadata}}, PLACE)


@pytest.mark.parametrize("prefix", ["kustomize", "helm"])
def test_what_bears_our_name_and_namespace_is_ours(prefix: str) -> None:
    labels = {f"{prefix}.toolkit.fluxcd.io/name": "web", f"{prefix}.toolkit.fluxcd.io/namespace": "ns"}
    assert owner(labels) == ""
    assert owner({**labels, f"{prefix}.toolkit.fluxcd.io/namespace": "other"}).endswith("other/web")


def test_every_other_owner_is_named() -> None:
    assert owner({"gitops-run.dev/session": "web"}) == "belongs to session web itself"
    release = {"meta.helm.sh/release-name": "r", "meta.helm.sh/release-namespace": "n"}
    assert owner(annotations=release) == "belongs to Helm release n/r"
    parent = [{"kind": "ReplicaSet", "name": "web-1", "controller": True}]
    assert owner(ownerReferences=parent) == "belongs to ReplicaSet web-1"
    assert owner(managedFields=[{"manager": "kubectl"}]) == "was created by someone else, with kubectl"
    assert owner(managedFields=[{"manager": "kube-controller-manager"}]) == "was created by Kubernetes itself"
    assert owner() == "was created by Kubernetes itself"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12:30", "12:30"),
        ("2026-01-31", "2026-01-31"),
        ("1e3", 1000.0),
        ("0755", 0o755),
        ("1_0", 10),
        ("yes", True),
        ("'1'", "1"),
        ("1.5", 1.5),
        ("-3", -3),
        (".5", 0.5),
        ("1.2.3", "1.2.3"),
    ],
)
def test_values_are_read_as_kubernetes_reads_them(text: str, value: object) -> None:
    [item] = parse_document(f"apiVersion: v1\nkind: A\nmetadata: {{name: a}}\nx: {text}\n")
    assert item.body["x"] == value
    assert type(item.body["x"]) is type(value)


def test_a_recreation_lists_what_is_sent_and_differs_as_the_api_server_writes_it() -> None:
    live = {
        "spec": {"cpu": "1", "ip": "10.0.0.1", "type": "A", "gone": 1},
        "metadata": {"name": "a", "uid": "u"},
    }
    sent = {"spec": {"cpu": "1000m", "type": "B"}, "metadata": {"name": "a"}}
    made = {"spec": {"cpu": "1", "type": "B", "ip": "10.0.0.2"}, "metadata": {"name": "a-recreated"}}
    found = find_recreation(CONFIG, live, sent, made)
    assert (found.action, [(one.path, one.before, one.after) for one in found.fields]) == (
        "recreate",
        [("spec.type", '"A"', '"B"')],
    )
    assert find_recreation(CONFIG, live, sent, None).fields == ()
