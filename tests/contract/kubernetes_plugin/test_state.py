"""A stack that the real plugin made goes on with the one under test, through the real engine.

With PLUGINS=real in the environment this suite runs against the pulumi-resource-kubernetes that Pulumi
has installed; otherwise against this project's stand-in. The state is the real plugin's; its objects are
made first, by replaying their creation, and their uids put into the state in place of the recorded ones.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gitops_run.sandbox.state import Sandbox
from tests.conftest import share_kubernetes_plugin
from tests.contract.kubernetes_plugin.conftest import Meddle
from tests.contract.kubernetes_plugin.plugin import encoded, environment, running
from tests.contract.kubernetes_plugin.recordings import Scene

PROGRAM = Path(__file__).parent / "program"
CREATED = "02-create"
PULUMI_TIMEOUT_S = 120


@dataclass(frozen=True)
class Stack:
    """The stack g of a project in a directory of its own, with the engine's command line."""

    project: str
    folder: Path
    env: Mapping[str, str]

    def pulumi(self, *arguments: str, step: int = 1) -> str:
        result = subprocess.run(
            ["pulumi", "--non-interactive", "--stack", "g", *arguments],
            cwd=self.folder,
            env={**self.env, "STEP": str(step)},
            capture_output=True,
            text=True,
            timeout=PULUMI_TIMEOUT_S,
            check=False,
        )
        assert result.returncode == 0, f"{arguments}: {result.stdout}\n{result.stderr}"
        return result.stdout

    def inputs(self) -> dict[str, Any]:
        """Read the inputs of every resource from the stack's state, secrets in plain text."""
        export = json.loads(self.pulumi("stack", "export", "--show-secrets"))
        return {entry["urn"]: entry.get("inputs") for entry in export["deployment"].get("resources", [])}

    def planned(self, *, step: int) -> dict[str, set[str]]:
        """Preview the program, and say which resources it would touch, by what would be done."""
        plan: dict[str, set[str]] = {}
        for planned in json.loads(self.pulumi("preview", "--json", step=step))["steps"]:
            kind, name = planned["urn"].split("::")[2:]
            plan.setdefault(planned["op"], set()).add(f"{kind.rpartition(':')[2]} {name}")
        return plan


@pytest.fixture
def stack(sandbox: Sandbox, scene: Scene, tmp_path: Path) -> Stack:
    """A stack with the state that the real plugin left, and its objects in the cluster."""
    (tmp_path / "state").mkdir()
    share_kubernetes_plugin(tmp_path / "pulumi")
    variables = {
        "HOME": str(tmp_path),
        "KUBECONFIG": scene.kubeconfig,
        "CONTEXT": scene.context,
        "NAME": scene.name,
        "STORE": scene.store,
        "PULUMI_HOME": str(tmp_path / "pulumi"),
        "PULUMI_BACKEND_URL": (tmp_path / "state").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    base = {**os.environ, **sandbox.env, **variables}
    base.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)
    folder = Path(shutil.copytree(PROGRAM, tmp_path / "program"))
    (folder / "Pulumi.yaml").write_text(f"name: {scene.name}\nruntime: python\n")
    made = Stack(project=scene.name, folder=folder, env=environment(base))
    made.pulumi("stack", "init")
    (folder / "state.json").write_text(json.dumps(_with_uids(scene.state(CREATED), _made_uids(scene))))
    made.pulumi("stack", "import", "--file", "state.json")
    return made


def _made_uids(scene: Scene) -> dict[str, str]:
    """Make the objects of the recorded state; return their uids by URN."""
    with running() as plugin:
        answers = [
            (call, plugin.call(call["method"], call["request"]))
            for call in scene.calls(CREATED)
            if call["method"] in {"Configure", "Create"}
        ]
    return {
        call["request"]["urn"]: answer["response"]["properties"]["metadata"]["uid"]
        for call, answer in answers
        if call["method"] == "Create"
    }


def _with_uids(export: dict[str, Any], uids: Mapping[str, str]) -> dict[str, Any]:
    for resource in export["deployment"]["resources"]:
        if resource["urn"] in uids:
            resource["outputs"]["metadata"]["uid"] = uids[resource["urn"]]
    return export


@pytest.mark.timeout(300)
def test_a_stack_of_the_real_plugin_is_refreshed_updated_and_destroyed(stack: Stack, meddle: Meddle) -> None:
    name = stack.project
    recorded = stack.inputs()
    stack.pulumi("refresh", "--yes", "--skip-preview")
    assert stack.inputs() == recorded
    assert stack.planned(step=1).keys() == {"same"}

    plan = stack.planned(step=2)
    assert plan["update"] == {"Secret creds", "ResourceQuota quota", "Deployment store", "Bucket source"}
    assert plan["replace"] == {"ConfigMap settings"}
    stack.pulumi("up", "--yes", "--skip-preview", step=2)
    secret = json.loads(meddle("get", "secret", "creds", "--namespace", name, "--output=json"))
    assert secret["data"]["secretkey"] == encoded("rotated")
    assert encoded("rotated") not in stack.pulumi("stack", "export")
    assert stack.planned(step=2).keys() == {"same"}

    stack.pulumi("destroy", "--yes", "--skip-preview")
    assert stack.inputs() == {}
    assert meddle("get", "namespace", name, "--ignore-not-found") == ""
    assert meddle("get", "clusterrole", f"{name}-reader", "--ignore-not-found") == ""
