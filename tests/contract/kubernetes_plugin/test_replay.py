"""The plugin answers every recorded call as the real one did.

With PLUGINS=real in the environment this suite runs against the pulumi-resource-kubernetes that Pulumi
has installed in its own home directory; otherwise against this project's stand-in. The recorded requests
are sent one by one, in order, to a running plugin on a real API server with Flux; the answers are
compared but for the volatile parts, which recordings.comparable names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.contract.kubernetes_plugin.conftest import Meddle
from tests.contract.kubernetes_plugin.plugin import running
from tests.contract.kubernetes_plugin.recordings import STEPS, Scene, comparable

pytestmark = pytest.mark.xdist_group("kubernetes-plugin-replay")

Calls = list[dict[str, Any]]
READY = {"type": "Ready", "status": "True"}


@pytest.fixture(scope="module")
def replayed(scene: Scene, meddle: Meddle) -> Mapping[str, Calls]:
    """Play every step, each with a plugin of its own, and what was done by hand between them."""
    answers: dict[str, Calls] = {}
    for step in STEPS:
        _happens_before(step, scene, meddle)
        with running() as plugin:
            answers[step] = [plugin.call(call["method"], call["request"]) for call in scene.calls(step)]
    return answers


def _happens_before(step: str, scene: Scene, meddle: Meddle) -> None:
    inside = ("--namespace", scene.name)
    if step == "08-refresh-after-drift":
        meddle(
            "patch", "configmap", "settings", *inside, "--type=merge", "--patch", '{"data": {"ttl": "1h"}}'
        )
        meddle("delete", "limitrange", "limits", *inside)
    if step == "11-create-what-exists":
        meddle("create", "namespace", scene.name)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("step", STEPS)
def test_the_answers_are_those_of_the_real_plugin(
    step: str, scene: Scene, replayed: Mapping[str, Calls]
) -> None:
    recorded = scene.calls(step)
    expected = [_labelled(call, call) for call in recorded]
    answered = [_labelled(call, answer) for call, answer in zip(recorded, replayed[step], strict=True)]
    assert comparable(answered) == comparable(expected)


def _labelled(call: dict[str, Any], outcome: dict[str, Any]) -> dict[str, Any]:
    """Put beside an outcome what it answers, so that a difference can be read."""
    label = f"{call['method']} {call['request'].get('urn', '')}"
    return {"call": label, **{key: outcome[key] for key in ("response", "errors") if key in outcome}}


@pytest.mark.timeout(300)
def test_an_object_that_is_waited_for_is_ready_when_its_creation_returns(
    scene: Scene, replayed: Mapping[str, Calls]
) -> None:
    calls = zip(scene.calls("02-create"), replayed["02-create"], strict=True)
    (created,) = [
        answer["response"]["properties"]
        for call, answer in calls
        if call["method"] == "Create" and call["request"]["name"] == "waits"
    ]
    conditions = created["status"]["conditions"]
    assert READY in [{key: condition[key] for key in READY} for condition in conditions]
