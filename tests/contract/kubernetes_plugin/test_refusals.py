"""What the stand-in doesn't know it refuses by name, and it says what it is. Of the stand-in alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.kubernetes_plugin.plugin import Plugin, is_real, running

pytestmark = pytest.mark.skipif(is_real(), reason="the real plugin stands in for nobody")

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}}


def _check(plugin: Plugin, kind: str, inputs: dict[str, Any]) -> list[str]:
    request = {"urn": f"urn:pulumi:g::p::{kind}::a", "type": kind, "news": inputs}
    failures = plugin.call("Check", request)["response"].get("failures", [])
    return [failure["reason"] for failure in failures]


@pytest.mark.parametrize(
    "kind",
    [
        "kubernetes:core/v1:Pod",
        "kubernetes:core/v1:ConfigMapPatch",
        "kubernetes:core/v1:ConfigMapList",
        "kubernetes:apps/v1:StatefulSet",
        "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition",
        "kubernetes:helm.sh/v3:Release",
    ],
)
def test_a_kind_that_is_not_known_is_refused_by_name(plugin: Plugin, kind: str) -> None:
    (reason,) = _check(plugin, kind, CONFIG_MAP)
    assert kind.removeprefix("kubernetes:").replace(":", "/") in reason


def test_an_annotation_that_is_not_known_is_refused_by_name(plugin: Plugin) -> None:
    metadata = {"name": "a", "annotations": {"pulumi.com/patchForce": "true"}}
    (reason,) = _check(plugin, "kubernetes:core/v1:ConfigMap", {**CONFIG_MAP, "metadata": metadata})
    assert "pulumi.com/patchForce" in reason


def test_a_condition_to_wait_for_that_is_malformed_is_refused_before_anything_is_made(plugin: Plugin) -> None:
    metadata = {"name": "a", "annotations": {"pulumi.com/waitFor": "ready"}}
    (reason,) = _check(plugin, "kubernetes:core/v1:ConfigMap", {**CONFIG_MAP, "metadata": metadata})
    assert "pulumi.com/waitFor" in reason


def test_an_object_without_a_name_is_refused(plugin: Plugin) -> None:
    (reason,) = _check(plugin, "kubernetes:core/v1:ConfigMap", {**CONFIG_MAP, "metadata": {}})
    assert "metadata.name" in reason


def test_an_option_that_is_not_known_is_refused_by_name(plugin: Plugin) -> None:
    answer = plugin.call("CheckConfig", {"news": {"context": "c", "deleteUnreachable": "true"}})
    assert [failure["property"] for failure in answer["response"]["failures"]] == ["deleteUnreachable"]


def test_an_option_from_the_environment_that_is_not_known_is_refused_by_name() -> None:
    with running({"PULUMI_K8S_AWAIT_ALL": "true"}) as plugin:
        answer = plugin.call("Configure", {})
    assert "PULUMI_K8S_AWAIT_ALL" in answer["errors"][0]


def test_a_function_is_refused_by_name(plugin: Plugin) -> None:
    answer = plugin.call("Invoke", {"tok": "kubernetes:yaml:decode"})
    assert "kubernetes:yaml:decode" in answer["errors"][0]


def test_the_stand_in_says_once_what_it_is(plugin: Plugin) -> None:
    plugin.call("Configure", {})
    (message,) = plugin.engine.messages
    assert "stand-in for pulumi-resource-kubernetes" in message


def test_a_cluster_that_is_not_there_is_named(plugin: Plugin) -> None:
    plugin.call("Configure", {"variables": {"kubernetes:config:kubeconfig": UNREACHABLE}})
    request = {"urn": "urn:pulumi:g::p::kubernetes:core/v1:ConfigMap::a", "properties": CONFIG_MAP}
    assert "https://127.0.0.1:1" in plugin.call("Create", request)["errors"][0]


def test_a_kubeconfig_that_is_not_there_is_told(plugin: Plugin) -> None:
    plugin.call("Configure", {"variables": {"kubernetes:config:kubeconfig": "/nowhere/kubeconfig"}})
    request = {"urn": "urn:pulumi:g::p::kubernetes:core/v1:ConfigMap::a", "properties": CONFIG_MAP}
    assert "neither a file that exists" in plugin.call("Create", request)["errors"][0]


UNREACHABLE = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c}}]
current-context: c
"""
