"""What pulumi-resource-kubernetes 4.34.2 answered to Pulumi 3.259.0, call by call, and how to compare.

One program (program/__main__.py, its environment variable STEP) was taken through its life against
Kubernetes 1.36.3. A recording is bound to a namespace, a kubeconfig and an S3 address; a Scene puts
others in their place.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parent / "recordings"
STEPS = tuple(sorted(path.name.removesuffix(".calls.jsonl") for path in RECORDINGS.glob("*.calls.jsonl")))

_RECORDED_NAME = "golden"
_RECORDED_STORE = "127.0.0.1:19000"
_RECORDED_KUBECONFIG = "@KUBECONFIG@"
_RECORDED_CONTEXT = 'context": "sandbox"'


@dataclass(frozen=True)
class Scene:
    """Where a recording is played: name is that of its project, its namespace and its cluster role."""

    name: str
    kubeconfig: str
    context: str
    store: str

    def calls(self, step: str) -> list[dict[str, Any]]:
        """Read the calls of a step, in order."""
        return [json.loads(line) for line in self._text(f"{step}.calls.jsonl").splitlines()]

    def state(self, step: str) -> dict[str, Any]:
        """Read the stack after a step, as `pulumi stack export` wrote it."""
        state: dict[str, Any] = json.loads(self._text(f"{step}.state.json"))
        return state

    def _text(self, file: str) -> str:
        text = (RECORDINGS / file).read_text()
        text = re.sub(rf"\b{_RECORDED_NAME}\b", self.name, text)
        text = text.replace(_RECORDED_KUBECONFIG, self.kubeconfig).replace(_RECORDED_STORE, self.store)
        return text.replace(_RECORDED_CONTEXT, f'context": "{self.context}"')


# Values that every cluster, and every moment, makes anew.
_VOLATILE_KEYS = frozenset(
    {
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "time",
        "lastTransitionTime",
        "lastUpdateTime",
        "clusterIP",
        "clusterIPs",
    }
)
_MANAGER = re.compile(r"pulumi-kubernetes-[0-9a-f]{8}")
_FLUX_CONTROLLERS = frozenset({"source-controller", "gotk-kustomize-controller", "kustomize-controller"})


def comparable(value: Any) -> Any:
    """Leave out of an answer what no two runs have in common.

    That is: values of the cluster and the moment; the eight random digits of a field manager; and what
    controllers had, or hadn't, written when the object was read, which is no doing of the plugin:
    managedFields of the status and of Flux, status and finalizers of Flux objects, the used part of a
    quota. Conditions are sorted, since controllers append what changed last.
    """
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, str):
        return _MANAGER.sub("pulumi-kubernetes-XXXXXXXX", value)
    if not isinstance(value, dict):
        return value
    found = {key: comparable(item) for key, item in value.items() if key not in _VOLATILE_KEYS}
    if "managedFields" in found:
        found["managedFields"] = [entry for entry in found["managedFields"] if not _is_of_controller(entry)]
    if "conditions" in found:
        found["conditions"] = sorted(found["conditions"], key=lambda condition: condition["type"])
    if found.get("kind") == "ResourceQuota":
        found.get("status", {}).pop("used", None)
    if str(found.get("apiVersion")).partition("/")[0].endswith(".toolkit.fluxcd.io"):
        found.pop("status", None)
        found.get("metadata", {}).pop("finalizers", None)
    return found


def _is_of_controller(entry: dict[str, Any]) -> bool:
    return entry.get("subresource") == "status" or entry.get("manager") in _FLUX_CONTROLLERS
