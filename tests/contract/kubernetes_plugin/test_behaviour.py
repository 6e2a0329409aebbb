"""What the recordings don't show: deadlines, cancellation, import, and how the process ends.

With PLUGINS=real in the environment this suite runs against the pulumi-resource-kubernetes that Pulumi
has installed; otherwise against this project's stand-in.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.kubernetes_plugin.conftest import Meddle
from tests.contract.kubernetes_plugin.plugin import Plugin, running
from tests.contract.kubernetes_plugin.recordings import Scene

FINALIZER = "example.com/never"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
DEFINITION = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"


def _request(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"urn": f"urn:pulumi:g::golden::{kind}::{name}", "type": kind, "name": name, **more}


def _config_map(scene: Scene, name: str, **metadata: Any) -> dict[str, Any]:
    place = {"name": name, "namespace": scene.name, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": place, "data": {"a": "1"}}


@pytest.fixture(scope="module", autouse=True)
def namespace(scene: Scene, meddle: Meddle) -> None:
    """A namespace to work in; the scene takes it away."""
    meddle("create", "namespace", scene.name)


@pytest.fixture
def configured(plugin: Plugin, scene: Scene) -> Plugin:
    """A plugin that is configured for the cluster."""
    plugin.call("Configure", scene.calls("02-create")[2]["request"])
    return plugin


@pytest.fixture
def held(configured: Plugin, scene: Scene, meddle: Meddle) -> Iterator[dict[str, Any]]:
    """The request to delete an object that a finalizer holds."""
    inputs = _config_map(scene, "held", finalizers=[FINALIZER])
    created = configured.call("Create", _request(CONFIG_MAP, "held", properties=inputs))["response"]
    yield _request(CONFIG_MAP, "held", id=created["id"], properties=created["properties"])
    place = ("--namespace", scene.name, "--type=merge", "--patch", '{"metadata": {"finalizers": null}}')
    meddle("patch", "configmap", "held", *place)


def test_a_deletion_that_outlasts_its_timeout_names_the_finalizers(
    configured: Plugin, held: dict[str, Any]
) -> None:
    answer = configured.call("Delete", {**held, "timeout": 2})
    assert "timed out waiting for the condition" in answer["errors"][0]
    assert f"finalizers might be preventing deletion ({FINALIZER})" in configured.engine.messages


def test_an_object_that_does_not_become_ready_in_time_is_kept_in_the_state(
    configured: Plugin, scene: Scene
) -> None:
    never = {"pulumi.com/waitFor": "jsonpath={.data.never}"}
    inputs = _config_map(scene, "never", annotations=never)
    answer = configured.call("Create", _request(CONFIG_MAP, "never", properties=inputs, timeout=2))
    assert answer["left"]["id"] == f"{scene.name}/never"
    assert answer["left"]["properties"]["__inputs"] == inputs


def test_cancelling_ends_a_wait(configured: Plugin, held: dict[str, Any]) -> None:
    answers: list[dict[str, Any]] = []
    waiting = threading.Thread(target=lambda: answers.append(configured.call("Delete", held)))
    waiting.start()
    configured.call("Cancel", {})
    waiting.join(timeout=30)
    assert "errors" in answers[0]


def test_an_object_that_pulumi_does_not_know_yet_is_imported_with_its_inputs(
    configured: Plugin, scene: Scene, meddle: Meddle
) -> None:
    meddle("create", "configmap", "found", "--namespace", scene.name, "--from-literal=a=1")
    answer = configured.call("Read", _request(CONFIG_MAP, "found", id=f"{scene.name}/found"))
    assert answer["response"]["inputs"] == _config_map(scene, "found")


@pytest.mark.parametrize(
    ("manager", "remains"), [("kubectl-annotate", False), ("kubectl-edit", False), ("some-tool", True)]
)
def test_an_update_removes_the_annotations_that_kubectl_has_set_and_keeps_those_of_others(
    configured: Plugin, scene: Scene, meddle: Meddle, manager: str, *, remains: bool
) -> None:
    inputs = _config_map(scene, manager)
    created = configured.call("Create", _request(CONFIG_MAP, manager, properties=inputs))["response"]
    place = ("configmap", manager, "--namespace", scene.name)
    meddle("annotate", *place, "example.com/mark=yes", "--field-manager", manager)
    updated = configured.call(
        "Update",
        _request(
            CONFIG_MAP,
            manager,
            id=created["id"],
            olds=created["properties"],
            news={**inputs, "data": {"a": "2"}},
        ),
    )["response"]
    annotations = updated["properties"]["metadata"].get("annotations", {})
    assert ("example.com/mark" in annotations) is remains


@pytest.fixture
def definition(scene: Scene, meddle: Meddle) -> Iterator[dict[str, Any]]:
    """A definition of custom resources whose schema has keys that Pulumi's SDKs name in another way."""
    group = f"{scene.name}.example.com"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    yield {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": "Thing", "listKind": "ThingList", "plural": "things", "singular": "thing"},
            "scope": "Namespaced",
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }
    meddle("delete", "customresourcedefinition", f"things.{group}", "--ignore-not-found")


def _schema(definition: Any) -> dict[str, Any]:
    (version,) = definition["spec"]["versions"]
    return dict(version["schema"]["openAPIV3Schema"])


def test_a_definitions_schema_is_kept_with_underscores_and_does_not_differ(
    configured: Plugin, definition: dict[str, Any]
) -> None:
    request = _request(DEFINITION, "things")
    inputs = configured.call("Check", {**request, "news": definition})["response"]["inputs"]
    created = configured.call("Create", {**request, "properties": inputs})["response"]
    state = created["properties"]
    diff = configured.call("Diff", {**request, "id": created["id"], "olds": state, "news": inputs})
    read = configured.call("Read", {**request, "id": created["id"], "properties": state, "inputs": inputs})[
        "response"
    ]
    kept = {"type": "object", "x_kubernetes_preserve_unknown_fields": True}
    assert _schema(inputs) == _schema(definition)
    assert [_schema(state), _schema(state["__inputs"]), _schema(read["properties"])] == [kept, kept, kept]
    assert _schema(read["inputs"]) == _schema(definition)
    assert diff["response"]["changes"] == "DIFF_NONE"


def test_what_is_gone_is_deleted_already(configured: Plugin, scene: Scene) -> None:
    state = {**_config_map(scene, "gone"), "__inputs": _config_map(scene, "gone")}
    answer = configured.call(
        "Delete", _request(CONFIG_MAP, "gone", id=f"{scene.name}/gone", properties=state)
    )
    assert answer == {"response": {}}


def test_the_engines_interrupt_ends_the_process() -> None:
    with running() as plugin:
        plugin.process.send_signal(2)
        assert plugin.process.wait(timeout=30) == 0
