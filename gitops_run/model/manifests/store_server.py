"""The S3 server that runs in a session's namespace, as Kubernetes writes it.

This module knows how versitygw is started so that it has its bucket, its accounts and their rights from the
start, without requests that create them: a bucket is a directory, and the server keeps a bucket's metadata in
files next to it. It knows nothing of how its keys are made. Source: versitygw 1.8, docker-entrypoint.sh,
backend/posix, backend/meta/sidecar.go and auth/iam_internal.go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gitops_run.model.names import STORE_SERVER, STORE_SERVER_PORT
from gitops_run.model.rights.access import Rule
from gitops_run.model.store.keys import KeyPair
from gitops_run.model.store.policy import bucket_policy

Manifest = dict[str, Any]

STORAGE_LIMIT = "1Gi"
MEMORY_AT_REST = "64Mi"
MEMORY_LIMIT = "256Mi"
MEMORY_GOAL = "192MiB"
"""Go's collector works harder from here on, so that a large upload doesn't end at the limit."""
TERMINATION_S = 2
"""There is nothing to save: the loop fills the next pod's storage."""
USER_ID = 65532
"""Any but root; nothing in the image belongs to it."""
CREDENTIALS_ANNOTATION = "gitops-run.dev/credentials"

_PROGRAM = "/usr/local/bin/versitygw"
"""Where upstream's image has it. Named, so that an image of the bare program will do as well."""
_FILES = "/etc/gitops-run"
_OBJECTS = "/store/objects"
_METADATA = "/store/metadata"
_READ_ONLY_MODE = 0o440
_HEALTH = "/healthz"
_APP = "app.kubernetes.io/name"
_HTTPS = "https"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCredentials:
    """Hold what a server serves with, and who may come. fingerprint: of the certificate, and no secret."""

    ca: str
    certificate: str
    key: str = field(repr=False)
    fingerprint: str
    root: KeyPair
    reader: KeyPair
    writer: KeyPair


def read_credentials(made: Mapping[str, str]) -> ServerCredentials:
    """Read what the plugin has made, by the plugin's names for it."""

    def pair(role: str) -> KeyPair:
        return KeyPair(access_key=made[f"{role}AccessKey"], secret_key=made[f"{role}SecretKey"])

    return ServerCredentials(
        ca=made["caCert"],
        certificate=made["certificate"],
        key=made["privateKey"],
        fingerprint=made["fingerprint"],
        root=pair("root"),
        reader=pair("reader"),
        writer=pair("writer"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreServer:
    """Describe one session's server. flux_namespace: where the source-controller is that reads from it."""

    namespace: str
    bucket: str
    region: str
    image: str
    flux_namespace: str
    labels: Mapping[str, str]


def server_names(namespace: str) -> tuple[str, ...]:
    """List the names under which the server is reached: in the cluster, and at the end of a forward."""
    service = f"{STORE_SERVER}.{namespace}"
    return (f"{service}.svc", f"{service}.svc.cluster.local", service, "localhost", "127.0.0.1")


def server_files(bucket: str, credentials: ServerCredentials) -> dict[str, str]:
    """Write what the server reads: certificate and key, its accounts, and the bucket's owner and policy."""
    users = {pair.access_key: _user(pair) for pair in (credentials.reader, credentials.writer)}
    policy = bucket_policy(bucket, reader=credentials.reader.access_key, writer=credentials.writer.access_key)
    return {
        "tls.crt": credentials.certificate,
        "tls.key": credentials.key,
        "users.json": json.dumps({"accessAccounts": users}),
        "acl": json.dumps({"Owner": credentials.root.access_key, "Grantees": []}),
        "policy": json.dumps(policy),
        "root-access-key": credentials.root.access_key,
        "root-secret-key": credentials.root.secret_key,
    }


def server_secret(server: StoreServer, files: Mapping[str, str]) -> Manifest:
    """Write the Secret with the server's files."""
    return {**_object(server, "v1", "Secret"), "stringData": dict(files)}


def server_service(server: StoreServer) -> Manifest:
    """Write the Service, by whose name Flux reaches the server."""
    port = {"name": _HTTPS, "port": STORE_SERVER_PORT, "targetPort": _HTTPS, "protocol": "TCP"}
    return {**_object(server, "v1", "Service"), "spec": {"selector": _selector(), "ports": [port]}}


def server_policy(server: StoreServer) -> Manifest:
    """Write who may connect: source-controller; and nobody is called.

    A port-forward needs no rule: the node's container runtime connects from within the pod's own network, to
    its loopback, and no policy of the pod's sees that. The kubelet's probes come from the node, which the
    networks that keep policies let in.
    """
    source_controller = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": server.flux_namespace}},
        "podSelector": {"matchLabels": {"app": "source-controller"}},
    }
    port = {"protocol": "TCP", "port": STORE_SERVER_PORT}
    return {
        **_object(server, "networking.k8s.io/v1", "NetworkPolicy"),
        "spec": {
            "podSelector": {"matchLabels": _selector()},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [source_controller], "ports": [port]}],
        },
    }


def server_set(server: StoreServer, fingerprint: str) -> Manifest:
    """Write the StatefulSet: its one pod has a name that a Role can name.

    fingerprint: of the certificate; another one is another pod, since the server reads its files once.
    Parallel: an ordered set waits for a pod that can't start, also where the next revision would mend it.
    """
    metadata = {
        "labels": {**server.labels, **_selector()},
        "annotations": {CREDENTIALS_ANNOTATION: fingerprint},
    }
    return {
        **_object(server, "apps/v1", "StatefulSet"),
        "spec": {
            "replicas": 1,
            "serviceName": STORE_SERVER,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": _selector()},
            "template": {"metadata": metadata, "spec": _pod(server)},
        },
    }


def forward_rules() -> list[Rule]:
    """Let the session's owner reach the server's pod, and no other: by its name, which it keeps.

    get: the API server asks for it where a forward is a websocket; create: before 1.31 and by kubectl, and by
    newer API servers for websockets too.
    """
    return [
        {
            "apiGroups": [""],
            "resources": ["pods/portforward"],
            "verbs": ["create", "get"],
            "resourceNames": [f"{STORE_SERVER}-0"],
        }
    ]


def _pod(server: StoreServer) -> dict[str, Any]:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": TERMINATION_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(server)],
        "volumes": [
            {"name": "store", "emptyDir": {"sizeLimit": STORAGE_LIMIT}},
            {"name": "server", "secret": _projected("tls.crt", "tls.key")},
            {"name": "accounts", "secret": _projected("users.json")},
            {"name": "bucket", "secret": _projected("acl", "policy")},
        ],
    }


def _container(server: StoreServer) -> dict[str, Any]:
    probe = {"httpGet": {"path": _HEALTH, "port": _HTTPS, "scheme": "HTTPS"}, "timeoutSeconds": 2}
    return {
        "name": "versitygw",
        "image": server.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [_PROGRAM],
        "args": arguments(server.region, files=_FILES, objects=_OBJECTS, metadata=_METADATA),
        "env": [
            {"name": "GOMEMLIMIT", "value": MEMORY_GOAL},
            _from_secret("ROOT_ACCESS_KEY", "root-access-key"),
            _from_secret("ROOT_SECRET_KEY", "root-secret-key"),
        ],
        "ports": [{"name": _HTTPS, "containerPort": STORE_SERVER_PORT, "protocol": "TCP"}],
        "startupProbe": {**probe, "periodSeconds": 1, "failureThreshold": 60},
        "readinessProbe": {**probe, "periodSeconds": 5},
        "livenessProbe": {**probe, "periodSeconds": 10, "failureThreshold": 6},
        "resources": {
            "requests": {"cpu": "10m", "memory": MEMORY_AT_REST},
            "limits": {"cpu": "1", "memory": MEMORY_LIMIT},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": _mounts(server.bucket),
    }


def arguments(region: str, *, files: str, objects: str, metadata: str) -> list[str]:
    """Write versitygw's arguments. files, objects, metadata: directories; the last two begin empty."""
    options = {
        "port": f":{STORE_SERVER_PORT}",
        "region": region,
        "cert": f"{files}/server/tls.crt",
        "key": f"{files}/server/tls.key",
        "iam-dir": f"{files}/accounts",
        "health": _HEALTH,
        "quiet": "true",
        "keep-alive": "true",
    }
    posix = {"sidecar": metadata, "io-buffer-size": "65536"}  # upstream's 1 MiB is for larger things
    return [*_flags(options), "posix", *_flags(posix), objects]


def _mounts(bucket: str) -> list[dict[str, Any]]:
    """Mount the storage, and by that make the bucket.

    The kubelet makes a subPath's directory before the container starts: that is the bucket, and the place of
    its owner and policy, onto which they are mounted then, for nobody to change.
    """
    files = [
        {"name": name, "mountPath": f"{_FILES}/{name}", "readOnly": True} for name in ("server", "accounts")
    ]
    return [
        *files,
        {"name": "store", "mountPath": "/store"},
        {"name": "store", "mountPath": "/made/bucket", "subPath": f"objects/{bucket}"},
        {"name": "store", "mountPath": "/made/metadata", "subPath": f"metadata/{bucket}/meta"},
        {"name": "bucket", "mountPath": f"{_METADATA}/{bucket}/meta", "readOnly": True},
    ]


def _flags(options: Mapping[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items()]


def _projected(*keys: str) -> dict[str, Any]:
    items = [{"key": key, "path": key} for key in keys]
    return {"secretName": STORE_SERVER, "defaultMode": _READ_ONLY_MODE, "items": items}


def _from_secret(variable: str, key: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": STORE_SERVER, "key": key}}}


def _user(pair: KeyPair) -> dict[str, str | int]:
    return {
        "access": pair.access_key,
        "secret": pair.secret_key,
        "role": "user",
        "userID": 0,
        "groupID": 0,
    }


def _selector() -> dict[str, str]:
    return {_APP: STORE_SERVER}


def _object(server: StoreServer, api_version: str, kind: str) -> Manifest:
    metadata = {"name": STORE_SERVER, "namespace": server.namespace, "labels": dict(server.labels)}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}
