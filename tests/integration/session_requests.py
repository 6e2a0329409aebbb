"""The requests of the tests of rights, and the people who send them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import anyio

from gitops_run.adapters.cluster.connection import APPLY_PATCH, MERGE_PATCH, Json, connect
from gitops_run.adapters.cluster.request import Request
from tests.conftest import DEVELOPER
from tests.people import Person

NAME = "inside"
NS = f"namespaces/run-{NAME}"
CORE, APPS, NETWORK = f"/api/v1/{NS}", f"/apis/apps/v1/{NS}", f"/apis/networking.k8s.io/v1/{NS}"
RBAC, LEASES = f"/apis/rbac.authorization.k8s.io/v1/{NS}", f"/apis/coordination.k8s.io/v1/{NS}/leases"
BUCKETS = f"/apis/source.toolkit.fluxcd.io/v1/{NS}/buckets"
KUSTOMIZATIONS = f"/apis/kustomize.toolkit.fluxcd.io/v1/{NS}/kustomizations"
SERVER = "gitops-run-bucket"
LABEL = "gitops-run.dev/session"
PROBE: Json = {"metadata": {"annotations": {"probe": "asked"}}}
ALLOWED = frozenset({200, 201})
DENIED = frozenset({403, 422})


@dataclass(frozen=True)
class Cluster:
    """A cluster with the platform's policies, and the people on it."""

    context: str
    engineer: Person
    maker: Person
    owner: Person
    viewer: Person

    def ask(self, who: str, request: Request) -> tuple[int, str]:
        """Send a request as the owner, the maker, the engineer, or as the applying account by the owner."""

        async def send() -> tuple[int, Json]:
            async with connect(self._person(who).env["KUBECONFIG"], self.context) as connection:
                return await connection.ask(replace(request, headers=self._headers(who)))

        status, answer = anyio.run(send)
        return status, str(answer.get("message", ""))

    def ask_all(self, who: str, requests: Mapping[str, Request]) -> dict[str, int]:
        """Send many requests as ask does, one after another; the status of each."""

        async def send() -> dict[str, int]:
            async with connect(self._person(who).env["KUBECONFIG"], self.context) as connection:
                return {
                    name: (await connection.ask(replace(request, headers=self._headers(who))))[0]
                    for name, request in requests.items()
                }

        return anyio.run(send)

    def _person(self, who: str) -> Person:
        person: Person = self.owner if who == "account" else getattr(self, who)
        return person

    def _headers(self, who: str) -> dict[str, str]:
        account = f"system:serviceaccount:run-{NAME}:flux-run"
        return {"Impersonate-User": account} if who == "account" else {}

    def tries(self, who: str, request: Request) -> tuple[int, str]:
        """Send a request that changes nothing even where it is allowed."""
        return self.ask(who, replace(request, query={"dryRun": "All"}))


def patch(path: str, body: object = PROBE, content_type: str = MERGE_PATCH) -> Request:
    return Request(method="PATCH", path=path, body=body, content_type=content_type)


def delete(path: str) -> Request:
    return Request(method="DELETE", path=path)


def get(path: str) -> Request:
    return Request(method="GET", path=path)


def create(path: str, kind: str, name: str, **more: Any) -> Request:
    """Make an object. more: its other fields; labels, annotations and finalizers go into its metadata."""
    marks = {key: more.pop(key) for key in ("labels", "annotations", "finalizers") if key in more}
    group = path.removeprefix("/apis/").partition("/namespaces")[0] if path.startswith("/apis/") else "v1"
    body: dict[str, Any] = {"apiVersion": group, "kind": kind, "metadata": {"name": name, **marks}, **more}
    return Request(method="POST", path=path, body=body)


PARTS = {
    "the reading key": f"{CORE}/secrets/bucket-reader",
    "the writing key": f"{CORE}/secrets/bucket-writer",
    "the age key": f"{CORE}/secrets/sops-age",
    "the server's keys": f"{CORE}/secrets/{SERVER}",
    "the account": f"{CORE}/serviceaccounts/flux-run",
    "the server's Service": f"{CORE}/services/{SERVER}",
    "the server's pod": f"{CORE}/pods/{SERVER}-0",
    "the server's StatefulSet": f"{APPS}/statefulsets/{SERVER}",
    "the ResourceQuota": f"{CORE}/resourcequotas/gitops-run-quota",
    "the LimitRange": f"{CORE}/limitranges/gitops-run-defaults",
    "the NetworkPolicy": f"{NETWORK}/networkpolicies/gitops-run-ingress",
    "the server's NetworkPolicy": f"{NETWORK}/networkpolicies/{SERVER}",
    "the account's Role": f"{RBAC}/roles/flux-run",
    "the owner's Role": f"{RBAC}/roles/session-owner",
    "the account's RoleBinding": f"{RBAC}/rolebindings/flux-run",
    "the owner's RoleBinding": f"{RBAC}/rolebindings/session-owner",
    "the Bucket": f"{BUCKETS}/{NAME}",
    "the Kustomization": f"{KUSTOMIZATIONS}/{NAME}",
    "the state": f"{CORE}/configmaps/gitops-run-state",
    "the record": f"{CORE}/configmaps/gitops-run-record",
    "the Namespace": f"/api/v1/{NS}",
}
SAID = {"data": {"loop": "{}"}}
STATES = "/api/v1/configmaps?fieldSelector=metadata.name%3Dgitops-run-state"
FLUX_RUN = {"kubernetes.io/service-account.name": "flux-run"}
TOKEN = "kubernetes.io/service-account-token"
PEER = {"podSelector": {}, "policyTypes": ["Ingress"]}
CONTAINER = {"name": "c", "image": "registry.example.com/c:v1"}
SAFE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
BOUND = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
TOKEN_REQUEST = Request(
    method="POST",
    path=f"{CORE}/serviceaccounts/flux-run/token",
    body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
)


def request_of(who: str) -> Request:
    """Ask for something in somebody's name."""
    asked = {"gitops-run.dev/request": '{"id": "1", "verb": "retry", "when": "now"}'}
    annotations = {**asked, "gitops-run.dev/requested-by": who}
    return patch(f"{BUCKETS}/{NAME}", {"metadata": {"annotations": annotations}})


DENIED_ROWS = {
    "ask for something in somebody else's name": request_of("mallory@example.com"),
    "make a lasting token of the account": create(
        f"{CORE}/secrets", "Secret", "token", type=TOKEN, annotations=FLUX_RUN
    ),
    "ask for a token of the account": TOKEN_REQUEST,
    "claim to be a part": create(f"{CORE}/configmaps", "ConfigMap", "claim", labels={LABEL: NAME}),
    "delete all Secrets": delete(f"{CORE}/secrets"),
    "bind a role": create(f"{RBAC}/rolebindings", "RoleBinding", "wide", roleRef=BOUND, subjects=[]),
    "make a role": create(f"{RBAC}/roles", "Role", "wide", rules=[]),
    "make a Kustomization": create(KUSTOMIZATIONS, "Kustomization", "other", spec={}),
    "make a Bucket": create(BUCKETS, "Bucket", "other", spec={}),
    "make a Kustomization that applies elsewhere as another account": create(
        KUSTOMIZATIONS,
        "Kustomization",
        "other",
        spec={
            "interval": "1m",
            "path": "./",
            "prune": True,
            "targetNamespace": "kube-system",
            "serviceAccountName": "default",
            "sourceRef": {"kind": "Bucket", "name": NAME},
        },
    ),
    "make a HelmRelease that installs and stores elsewhere": create(
        f"/apis/helm.toolkit.fluxcd.io/v2/{NS}/helmreleases",
        "HelmRelease",
        "other",
        spec={
            "interval": "1m",
            "targetNamespace": "kube-system",
            "storageNamespace": "kube-system",
            "chart": {"spec": {"chart": "./", "sourceRef": {"kind": "Bucket", "name": NAME}}},
        },
    ),
    "apply in another namespace": patch(
        f"{KUSTOMIZATIONS}/{NAME}", {"spec": {"targetNamespace": "kube-system"}}
    ),
    "apply in the whole cluster": patch(f"{KUSTOMIZATIONS}/{NAME}", {"spec": {"targetNamespace": None}}),
    "apply as another account": patch(
        f"{KUSTOMIZATIONS}/{NAME}", {"spec": {"serviceAccountName": "default"}}
    ),
    "relax the Pod Security of the namespace": patch(
        f"/api/v1/{NS}", {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}
    ),
    "count the session for another team": patch(
        f"{CORE}/resourcequotas/gitops-run-quota", {"metadata": {"labels": {"gitops-run.dev/team": "other"}}}
    ),
    "delete the quota's label": patch(
        f"{CORE}/resourcequotas/gitops-run-quota", {"metadata": {"labels": {LABEL: None}}}
    ),
    "change the account's Role": patch(
        f"{RBAC}/roles/flux-run",
        {"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]},
    ),
    "run a command in the server's pod": Request(
        method="POST", path=f"{CORE}/pods/{SERVER}-0/exec", query={"command": "id"}
    ),
    "attach to the server's pod": Request(method="POST", path=f"{CORE}/pods/{SERVER}-0/attach"),
    "add a container to the server's pod": patch(f"{CORE}/pods/{SERVER}-0/ephemeralcontainers"),
    "evict the server's pod": Request(
        method="POST",
        path=f"{CORE}/pods/{SERVER}-0/eviction",
        body={"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": f"{SERVER}-0"}},
    ),
    "raise the quota": patch(
        f"{CORE}/resourcequotas/gitops-run-quota", {"spec": {"hard": {"requests.cpu": "1000"}}}
    ),
    "raise the quota's status": patch(
        f"{CORE}/resourcequotas/gitops-run-quota/status", {"status": {"hard": {"requests.cpu": "1000"}}}
    ),
    "make another quota": create(f"{CORE}/resourcequotas", "ResourceQuota", "other", spec={"hard": {}}),
    "make other defaults": create(f"{CORE}/limitranges", "LimitRange", "other", spec={"limits": []}),
    "delete all quotas": delete(f"{CORE}/resourcequotas"),
    "delete all NetworkPolicies": delete(f"{NETWORK}/networkpolicies"),
    "take the session's label from the namespace": patch(
        f"/api/v1/{NS}", {"metadata": {"labels": {LABEL: None}}}
    ),
    "forge the inventory": patch(
        f"{KUSTOMIZATIONS}/{NAME}/status",
        {"status": {"inventory": {"entries": [{"id": "default_kube-root-ca.crt__ConfigMap", "v": "v1"}]}}},
    ),
    "delete the Lease": delete(f"{LEASES}/{NAME}"),
    "make the state immutable": patch(PARTS["the state"], {**SAID, "immutable": True}),
    "annotate the record": patch(PARTS["the record"], {"metadata": {"annotations": {"a": "b"}}}),
    "make a Lease of another name with the session's label": create(
        LEASES, "Lease", "other", labels={LABEL: NAME}, spec={}
    ),
}


ALLOWED_ROWS = {
    "the owner fences": (
        "owner",
        patch(
            f"{BUCKETS}/{NAME}",
            {"metadata": {"annotations": {"gitops-run.dev/fence": "x"}}, "spec": {"suspend": True}},
        ),
    ),
    "the owner asks for a reconcile": (
        "owner",
        patch(
            f"{KUSTOMIZATIONS}/{NAME}",
            {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "x"}}},
        ),
    ),
    "the owner asks for something in their own name": ("owner", request_of(DEVELOPER)),
    "the owner suspends": ("owner", patch(f"{KUSTOMIZATIONS}/{NAME}", {"spec": {"suspend": True}})),
    "the owner writes the state": ("owner", patch(PARTS["the state"], SAID)),
    "the owner writes the record": ("owner", patch(PARTS["the record"], SAID)),
    "the account leaves a finalizer": (
        "account",
        create(f"{CORE}/configmaps", "ConfigMap", "stays", finalizers=["example.com/stays"]),
    ),
    "the account makes a Secret": ("account", create(f"{CORE}/secrets", "Secret", "mine")),
    "the account makes a ServiceAccount": (
        "account",
        create(f"{CORE}/serviceaccounts", "ServiceAccount", "mine"),
    ),
    "the account makes a token of another account": (
        "account",
        create(
            f"{CORE}/secrets",
            "Secret",
            "token",
            type=TOKEN,
            annotations={"kubernetes.io/service-account.name": "default"},
        ),
    ),
    "the account makes a NetworkPolicy": (
        "account",
        create(f"{NETWORK}/networkpolicies", "NetworkPolicy", "mine", spec=PEER),
    ),
    "the account runs a pod": (
        "account",
        create(f"{CORE}/pods", "Pod", "mine", spec={"containers": [{**CONTAINER, "securityContext": SAFE}]}),
    ),
}


ELSEWHERE = ("default", "kube-system", "flux-system")
OUTSIDE_KINDS = {
    "ConfigMap": ("/api/v1", "configmaps"),
    "Secret": ("/api/v1", "secrets"),
    "Pod": ("/api/v1", "pods"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "ResourceQuota": ("/api/v1", "resourcequotas"),
    "Kustomization": ("/apis/kustomize.toolkit.fluxcd.io/v1", "kustomizations"),
    "RoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
}
CLUSTER_KINDS = {
    "Namespace": ("/api/v1", "namespaces"),
    "Node": ("/api/v1", "nodes"),
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "ValidatingAdmissionPolicy": (
        "/apis/admissionregistration.k8s.io/v1",
        "validatingadmissionpolicies",
    ),
}


def every_verb(group: str, place: str, plural: str, kind: str) -> dict[str, Request]:
    """Read, write, apply and prune objects of a kind, at a place outside of the session."""
    path = f"{group}{place}/{plural}"
    body = {"apiVersion": group.removeprefix("/apis/").removeprefix("/api/"), "kind": kind}
    named = {**body, "metadata": {"name": "theirs"}}
    applied = Request(
        method="PATCH",
        path=f"{path}/theirs",
        query={"fieldManager": "kustomize-controller", "force": "true"},
        body=named,
        content_type=APPLY_PATCH,
    )
    return {
        "get": get(f"{path}/theirs"),
        "list": get(path),
        "create": Request(method="POST", path=path, body=named),
        "patch": patch(f"{path}/theirs"),
        "apply": applied,
        "delete": delete(f"{path}/theirs"),
        "delete all": delete(path),
    }


OUTSIDE_ROWS = {
    f"{verb} {kind} in {namespace}": request
    for kind, (group, plural) in OUTSIDE_KINDS.items()
    for namespace in ELSEWHERE
    for verb, request in every_verb(group, f"/namespaces/{namespace}", plural, kind).items()
} | {
    f"{verb} {kind} of the cluster": request
    for kind, (group, plural) in CLUSTER_KINDS.items()
    for verb, request in every_verb(group, "", plural, kind).items()
}


READS = {
    "the owner the writing key": ("owner", get(PARTS["the writing key"]), 200),
    "the owner the reading key": ("owner", get(PARTS["the reading key"]), 403),
    "the owner the age key": ("owner", get(PARTS["the age key"]), 403),
    "the owner all Secrets": ("owner", get(f"{CORE}/secrets"), 403),
    "the owner who the owner is": ("owner", get(PARTS["the owner's RoleBinding"]), 200),
    "the account the age key": ("account", get(PARTS["the age key"]), 200),
    "the account the reading key": ("account", get(PARTS["the reading key"]), 200),
    "the viewer the writing key": ("viewer", get(PARTS["the writing key"]), 403),
    "the viewer the state": ("viewer", get(PARTS["the state"]), 200),
    "the viewer the record": ("viewer", get(PARTS["the record"]), 200),
    "the viewer the states of all sessions": ("viewer", get(STATES), 200),
    "the viewer another ConfigMap": ("viewer", get(f"{CORE}/configmaps/kube-root-ca.crt"), 403),
    "the viewer all ConfigMaps of a namespace": ("viewer", get(f"{CORE}/configmaps"), 403),
    "the viewer all ConfigMaps": ("viewer", get("/api/v1/configmaps"), 403),
}
