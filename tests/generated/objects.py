"""Objects of the kinds that targets are made of, each valid by itself.

Values of ConfigMaps and annotations are where the odd scalars and the variables are.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.generated.texts import Draw, Pairs, Plain, scalars, strings

Body = dict[str, Any]

VARIABLES = {
    "NAME": "shop",
    "COUNT": "5",
    "YES": "y",
    "OCTAL": "0o444",
    "EMPTY": "",
    "LINES": "one\ntwo",
    "QUOTE": "it's",
    "COLON": "a: b",
    "HASH": "a #b",
    "DOLLAR": "${NAME}",
}
"""What a session substitutes where it substitutes anything."""

_REFERENCES = (
    *(
        "${NAME}",
        "${COUNT}",
        "${YES}",
        "${OCTAL}",
        "x-${NAME}-y",
        "${UNSET:-d}",
        "${EMPTY:-d}",
        "${UNSET:=d}",
    ),
    *("$${NAME}", "$NAME", "$(NAME)", "${UNSET:-${NAME}}", "${LINES}", "${QUOTE}", "${COLON}", "${HASH}"),
    *("${DOLLAR}", "${UNSET-d}", "${UNSET:-}", "${NAME}${COUNT}", "$", "$$", "a$b", "${UNSET:-a b}"),
)


def references() -> st.SearchStrategy[Any]:
    """Make values with variables in them, in quotes or not."""
    texts = st.sampled_from(_REFERENCES)
    return st.one_of(texts, texts.map(Plain))


def values() -> st.SearchStrategy[Any]:
    return st.one_of(strings(), strings(), references(), scalars())


_KEYS = ("k", "a.b", "file.txt", "UPPER", "5", "y", "null", "with-dash", "1.0")


@st.composite
def data(draw: Draw, of_values: st.SearchStrategy[Any]) -> Any:
    found = draw(st.dictionaries(st.sampled_from(_KEYS), of_values, max_size=3))
    return {"k": "v", **found}


SIMPLE = st.sampled_from(("v", "w", "five"))
"""Values that any field takes, labels too."""


@st.composite
def metadata(draw: Draw, name: str, *, is_valid: bool) -> Body:
    found: Body = {"name": name}
    for key in ("labels", "annotations"):
        if draw(st.integers(0, 3)) == 0:
            texts = SIMPLE if is_valid and key == "labels" else strings()
            found[key] = draw(st.dictionaries(st.sampled_from(("app", "x.io/a", "tier")), texts, max_size=2))
    if draw(st.integers(0, 7)) == 0:
        found["namespace"] = draw(st.sampled_from(("own", "default", "run-x")))
    if draw(st.integers(0, 9)) == 0:
        mark = draw(st.sampled_from(_MARKS))
        found["annotations"] = {**(found.get("annotations") or {}), **mark}
    return found


_MARKS = (
    {"kustomize.toolkit.fluxcd.io/substitute": "disabled"},
    {"kustomize.toolkit.fluxcd.io/prune": "disabled"},
    {"config.kubernetes.io/local-config": "true"},
    {"kustomize.config.k8s.io/needs-hash": "true"},
    {"config.kubernetes.io/origin": "made up"},
    {"config.kubernetes.io/index": "3"},
    {"internal.config.kubernetes.io/path": "x.yaml"},
)


def pod(draw: Draw, *, is_valid: bool) -> Body:
    image = draw(st.sampled_from(("nginx", "nginx:1.0", "reg.io:5000/nginx:1", "nginx@sha256:" + "0" * 64)))
    environment = (
        [{"name": "E", "value": draw(strings() if is_valid else values())}] if draw(st.booleans()) else []
    )
    source = {"configMapKeyRef": {"name": "c0", "key": "k"}}
    container: Body = {
        "name": "main",
        "image": image,
        "env": [*environment, {"name": "F", "valueFrom": source}],
        "envFrom": [{"secretRef": {"name": "s0"}}],
    }
    if draw(st.booleans()):
        container["ports"] = [{"containerPort": 80}]
    volumes: list[Body] = [{"name": "v", "configMap": {"name": "c0"}}]
    if draw(st.booleans()):
        mode = draw(st.sampled_from((Plain("0o444"), Plain("0444"), 292, Plain("0x124"))))
        volumes.append({"name": "w", "secret": {"secretName": "s0", "defaultMode": mode}})
    return {"serviceAccountName": "a0", "containers": [container], "volumes": volumes}


def _workload(draw: Draw, name: str, kind: str, *, is_valid: bool) -> Body:
    labels = {"app": name}
    spec: Body = {"template": {"metadata": {"labels": labels}, "spec": pod(draw, is_valid=is_valid)}}
    if kind == "Job":
        spec["template"]["spec"]["restartPolicy"] = "Never"
    else:
        spec["selector"] = {"matchLabels": labels}
    if kind in ("Deployment", "StatefulSet") and draw(st.booleans()):
        spec["replicas"] = draw(st.sampled_from((1, 3) if is_valid else (1, 3, Plain("${COUNT}"))))
    return {"apiVersion": _WORKLOADS[kind], "kind": kind, "spec": spec}


def _plain_object(api_version: str, kind: str, rest: Body) -> Body:
    return {"apiVersion": api_version, "kind": kind, **rest}


_FIXED: dict[str, Body] = {
    "Service": _plain_object("v1", "Service", {"spec": {"ports": [{"port": 80}], "selector": {"app": "d0"}}}),
    "ServiceAccount": _plain_object("v1", "ServiceAccount", {"imagePullSecrets": [{"name": "s0"}]}),
    "Role": _plain_object(
        "rbac.authorization.k8s.io/v1",
        "Role",
        {"rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["s0"], "verbs": ["get"]}]},
    ),
    "RoleBinding": _plain_object(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r0"},
            "subjects": [
                {"kind": "ServiceAccount", "name": "default", "namespace": "was"},
                {"kind": "ServiceAccount", "name": "a0", "namespace": "was"},
            ],
        },
    ),
    "Ingress": _plain_object(
        "networking.k8s.io/v1",
        "Ingress",
        {
            "spec": {
                "tls": [{"secretName": "s0"}],
                "defaultBackend": {"service": {"name": "v0", "port": {"number": 80}}},
            }
        },
    ),
    "HorizontalPodAutoscaler": _plain_object(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        {
            "spec": {
                "maxReplicas": 3,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d0"},
            }
        },
    ),
    "Widget": _plain_object("x.io/v1", "Widget", {"spec": {"size": 5, "secret": {"name": "s0"}}}),
    "ClusterRole": _plain_object("rbac.authorization.k8s.io/v1", "ClusterRole", {"rules": []}),
    "Namespace": _plain_object("v1", "Namespace", {}),
    "PersistentVolumeClaim": _plain_object(
        "v1", "PersistentVolumeClaim", {"spec": {"resources": {"requests": {"storage": "1Gi"}}}}
    ),
}
_WORKLOADS = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "Job": "batch/v1",
}
VALID_KINDS = ("ConfigMap", "ConfigMap", "Secret", *_WORKLOADS, "Service", "ServiceAccount", "Ingress")
"""Kinds that a session may apply, in the form that they have here."""
KINDS = ("ConfigMap", "ConfigMap", "Secret", *_WORKLOADS, *_FIXED)
PREFIXES = {
    "ConfigMap": "c",
    "Secret": "s",
    "Deployment": "d",
    "Service": "v",
    "ServiceAccount": "a",
    "Role": "r",
}


@st.composite
def bodies(draw: Draw, kind: str, name: str, *, is_valid: bool) -> Body:
    """Make an object of a kind. is_valid: one that the API server takes."""
    taken = strings() if is_valid else values()
    if kind == "ConfigMap":
        found: Body = {"apiVersion": "v1", "kind": kind, "data": draw(data(taken))}
    elif kind == "Secret":
        found = {"apiVersion": "v1", "kind": kind, "stringData": draw(data(taken))}
    elif kind in _WORKLOADS:
        found = _workload(draw, name, kind, is_valid=is_valid)
    else:
        found = dict(_FIXED[kind])
    head = {key: found.pop(key) for key in ("apiVersion", "kind")}
    return {**head, "metadata": draw(metadata(name, is_valid=is_valid)), **found}


def with_anchor(body: Body) -> Any:
    """Let an object hold a mapping twice, by an anchor and merged into another."""
    shared = {"k": "shared", "l": "m"}
    merged = Pairs([(Plain("<<"), shared), ("k", "own")])
    return {**body, "data": shared, "binaryData": {}, "immutable": False, "extra": merged}
