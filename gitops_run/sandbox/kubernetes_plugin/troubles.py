"""What keeps a workload's pods from being ready, according to its pods and their events."""

from __future__ import annotations

from gitops_run.model.health.pod_troubles import Surroundings, explained_health
from gitops_run.model.health.rules import health_of
from gitops_run.sandbox.kubernetes_plugin.api import Api, ApiError, Request
from gitops_run.sandbox.kubernetes_plugin.kinds import Kind, Place
from gitops_run.sandbox.kubernetes_plugin.values import Object

_POD = Kind(api_version="v1", name="Pod", plural="pods", namespaced=True)
_EVENT = Kind(api_version="v1", name="Event", plural="events", namespaced=True)
_REPLICA_SET = Kind(api_version="apps/v1", name="ReplicaSet", plural="replicasets", namespaced=True)
_WORKLOADS = frozenset({("apps/v1", "Deployment"), ("apps/v1", "StatefulSet")})


def trouble_of(api: Api, place: Place, live: Object) -> str:
    """Describe the obstacles of a Deployment or StatefulSet; nothing if none are known."""
    if (place.kind.api_version, place.kind.name) not in _WORKLOADS:
        return ""
    around = Surroundings(
        pods=_all(api, _POD, place.namespace),
        replica_sets=_all(api, _REPLICA_SET, place.namespace),
        events=_all(api, _EVENT, place.namespace),
    )
    health = explained_health(live, around)
    return "" if health == health_of(live) else health.message


def _all(api: Api, kind: Kind, namespace: str) -> tuple[Object, ...]:
    try:
        return tuple(api.send(Request(method="GET", path=kind.collection(namespace))).get("items") or ())
    except ApiError:
        return ()  # whoever may make a workload needn't be allowed to read these
