"""Whether a live object is ready, and if not, what it waits for.

It is pure. Built-in rules for the kinds that the real plugin waits for, and the conditions that the
annotation pulumi.com/waitFor may name: condition=TYPE[=STATUS] and jsonpath={.path}[=value].
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gitops_run.errors import UsageError
from gitops_run.sandbox.kubernetes_plugin.kinds import WAIT_FOR
from gitops_run.sandbox.kubernetes_plugin.objects import metadata

_JSONPATH = re.compile(
    r"\{\s*\$?(?P<path>(?:\.[A-Za-z_][\w-]*|\[\d+\]|\['[^']+'\])+)\s*\}(?:=(?P<value>.+))?"
)
_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\[(\d+)\]|\['([^']+)'\]")
_CONDITION = re.compile(r"(?P<type>[^=]+)(?:=(?P<status>.+))?")
_ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether an object is ready, and what it waits for.

    has_failed: waiting longer is in vain. may_settle: not ready, but nothing is on its way either.
    """

    is_ready: bool
    message: str = ""
    has_failed: bool = False
    may_settle: bool = False


Rule = Callable[[Mapping[str, Any]], Readiness]
READY = Readiness(is_ready=True)


def parse_wait_for(annotation: str) -> Rule:
    """Read the annotation pulumi.com/waitFor: one condition, or a JSON array of them.

    Raises UsageError where it is neither.
    """
    try:
        values = json.loads(annotation)
    except ValueError:
        values = [annotation]
    if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
        raise _malformed(annotation)
    rules = [_parse_rule(value) for value in values]

    def all_of(live: Mapping[str, Any]) -> Readiness:
        return next((found for rule in rules if not (found := rule(live)).is_ready), READY)

    return all_of


def _parse_rule(text: str) -> Rule:
    form, _, rest = text.partition("=")
    if form == "condition" and (match := _CONDITION.fullmatch(rest)):
        name, status = match["type"], match["status"] or "True"
        return lambda live: _condition(live, name, status)
    if form == "jsonpath" and (match := _JSONPATH.fullmatch(rest)):
        path, value = match["path"], match["value"]
        return lambda live: _at_path(live, path, value)
    raise _malformed(text)


def _malformed(text: str) -> UsageError:
    return UsageError(
        f"the annotation {WAIT_FOR} has the value {text!r}",
        hint="use condition=TYPE, condition=TYPE=STATUS, jsonpath={.path} or jsonpath={.path}=value",
    )


def condition_of(live: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """Find a condition of the status by its type, in any case of letters."""
    conditions = (live.get("status") or {}).get("conditions") or []
    return next((entry for entry in conditions if str(entry.get("type")).lower() == name.lower()), None)


def _condition(live: Mapping[str, Any], name: str, wanted: str) -> Readiness:
    found = condition_of(live, name)
    if found is None:
        return Readiness(is_ready=False, message=f"waiting for the condition {name}={wanted}")
    observed = found.get("observedGeneration", (live.get("status") or {}).get("observedGeneration"))
    if _is_behind(live, observed):
        return Readiness(is_ready=False, message=f"waiting for generation {metadata(live)['generation']}")
    if str(found.get("status")).lower() != wanted.lower():
        message = f"the condition {name} is {found.get('status')}, not {wanted}: {found.get('message', '')}"
        return Readiness(is_ready=False, message=message)
    return READY


def _is_behind(live: Mapping[str, Any], observed: Any) -> bool:
    generation = metadata(live).get("generation")
    return generation is not None and observed is not None and observed < generation


def _at_path(live: Mapping[str, Any], path: str, wanted: str | None) -> Readiness:
    if _is_behind(live, (live.get("status") or {}).get("observedGeneration")):
        return Readiness(is_ready=False, message=f"waiting for generation {metadata(live)['generation']}")
    found: Any = live
    for key, index, quoted in _STEP.findall(path):
        found = _step(found, int(index) if index else key or quoted)
    if found is _ABSENT:
        return Readiness(is_ready=False, message=f"waiting for {path}")
    if wanted is None or _as_text(found) == wanted:
        return READY
    return Readiness(is_ready=False, message=f"{path} is {_as_text(found)}, not {wanted}")


def _step(value: Any, step: str | int) -> Any:
    if isinstance(value, Mapping) and step in value:
        return value[step]
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return _ABSENT


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def deployment(live: Mapping[str, Any]) -> Readiness:
    """Judge a Deployment: rolled out as asked for, and available."""
    status, replicas = live.get("status") or {}, (live.get("spec") or {}).get("replicas", 1)
    if _is_behind(live, status.get("observedGeneration", 0)):
        return Readiness(is_ready=False, message="waiting for the rollout to begin")
    progressing = condition_of(live, "Progressing") or {}
    if progressing.get("status") == "False":
        return Readiness(is_ready=False, has_failed=True, message=str(progressing.get("message", "")))
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    is_complete = updated >= replicas and available >= replicas and status.get("replicas", 0) == updated
    is_available = (condition_of(live, "Available") or {}).get("status") == "True"
    if not is_complete or not is_available or progressing.get("reason") == "ReplicaSetUpdated":
        message = f"{available} of {replicas} pods are available"
        return Readiness(is_ready=False, message=message)
    return READY


def stateful_set(live: Mapping[str, Any]) -> Readiness:
    """Judge a StatefulSet that rolls: every pod is there and ready, and of the revision asked for."""
    status, replicas = live.get("status") or {}, (live.get("spec") or {}).get("replicas", 1)
    if _is_behind(live, status.get("observedGeneration", 0)):
        return Readiness(is_ready=False, message="waiting for the rollout to begin")
    counts = ("replicas", "readyReplicas", "currentReplicas")
    if any(status.get(count, 0) != replicas for count in counts):
        return Readiness(
            is_ready=False, message=f"{status.get('readyReplicas', 0)} of {replicas} pods are ready"
        )
    if status.get("currentRevision") != status.get("updateRevision"):
        return Readiness(is_ready=False, message="waiting for every pod to be of the new revision")
    return READY


def resource_quota(live: Mapping[str, Any]) -> Readiness:
    """Judge a ResourceQuota: in force as asked for."""
    hard = (live.get("spec") or {}).get("hard")
    if hard == (live.get("status") or {}).get("hard"):
        return READY
    return Readiness(is_ready=False, message="waiting for the quota to be in force")


def volume_claim(live: Mapping[str, Any], binding_mode: str) -> Readiness:
    """Judge a PersistentVolumeClaim: bound, or pending where it binds to its first pod only."""
    phase = (live.get("status") or {}).get("phase")
    if phase == "Bound" or (phase == "Pending" and binding_mode == "WaitForFirstConsumer"):
        return READY
    return Readiness(is_ready=False, message=f"the claim is {phase or 'new'}")


def service_address(live: Mapping[str, Any]) -> Readiness:
    """Judge a Service by its own status: a load balancer's has an address."""
    spec, status = live.get("spec") or {}, live.get("status") or {}
    if spec.get("type") == "LoadBalancer" and not (status.get("loadBalancer") or {}).get("ingress"):
        return Readiness(is_ready=False, message="waiting for the address of the load balancer")
    return READY


def needs_endpoints(service: Mapping[str, Any]) -> bool:
    """Report whether pods stand behind a Service: not for external names, headless and selectorless ones."""
    spec = service.get("spec") or {}
    return (
        bool(spec.get("selector")) and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName"
    )


def endpoints(live: Mapping[str, Any]) -> Readiness:
    """Judge a Service's Endpoints: pods serve, and none is on its way."""
    subsets = live.get("subsets") or []
    if any(subset.get("notReadyAddresses") for subset in subsets):
        return Readiness(is_ready=False, message="waiting for pods to become ready")
    if not any(subset.get("addresses") for subset in subsets):
        message = "waiting for pods that the selector matches"
        return Readiness(is_ready=False, message=message, may_settle=True)
    return READY


RULES: Mapping[tuple[str, str], Rule] = {
    ("apps/v1", "Deployment"): deployment,
    ("apps/v1", "StatefulSet"): stateful_set,
    ("v1", "ResourceQuota"): resource_quota,
}
