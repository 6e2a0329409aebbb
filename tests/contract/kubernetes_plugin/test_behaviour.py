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
