"""Whether NetworkPolicies let one pod connect to another: a small evaluator, since the sandbox enforces none.

Knows ingress and egress, pod and namespace selectors, and ports; addresses (ipBlock) are refused. Source:
networking.k8s.io/v1, and its documentation: a pod that no policy selects for a direction is open in it, and
policies add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Policy = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """Hold what policies see of a pod."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def namespace_labels(self) -> Mapping[str, str]:
        """List the labels of its namespace: Kubernetes adds the name to every one."""
        return {"kubernetes.io/metadata.name": self.namespace}


def may_connect(policies: Iterable[Policy], client: Pod, server: Pod, port: int) -> bool:
    """Report whether a client may connect to a server's port, by TCP."""
    known = list(policies)
    return _is_open(known, "Egress", client, server, port) and _is_open(
        known, "Ingress", server, client, port
    )


def _is_open(policies: list[Policy], direction: str, pod: Pod, peer: Pod, port: int) -> bool:
    selecting = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == pod.namespace
        and direction in policy["spec"]["policyTypes"]
        and _matches(policy["spec"]["podSelector"], pod.labels)
    ]
    rules = [rule for spec in selecting for rule in spec.get(direction.lower(), ())]
    side = "from" if direction == "Ingress" else "to"
    return not selecting or any(
        _has_peer(rule.get(side), pod, peer) and _has_port(rule.get("ports"), port) for rule in rules
    )


def _has_peer(peers: list[Any] | None, pod: Pod, peer: Pod) -> bool:
    return not peers or any(_is_peer(one, pod, peer) for one in peers)


def _is_peer(one: Mapping[str, Any], pod: Pod, peer: Pod) -> bool:
    assert one.keys() <= {"podSelector", "namespaceSelector"}, one
    if "namespaceSelector" in one:
        is_there = _matches(one["namespaceSelector"], peer.namespace_labels)
    else:
        is_there = peer.namespace == pod.namespace
    return is_there and _matches(one.get("podSelector", {}), peer.labels)


def _has_port(ports: list[Any] | None, port: int) -> bool:
    return not ports or any(one.get("protocol", "TCP") == "TCP" and one["port"] == port for one in ports)


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels", "matchExpressions"}, selector
    equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return equal and all(_fulfils(one, labels) for one in selector.get("matchExpressions", ()))


def _fulfils(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator = requirement["key"], requirement["operator"]
    match operator:
        case "In":
            return labels.get(key) in requirement["values"]
        case "NotIn":
            return labels.get(key) not in requirement["values"]
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    raise AssertionError(operator)
