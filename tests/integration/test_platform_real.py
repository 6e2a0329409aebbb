"""A platform on a real node: upstream's manifests in real pods, and what they fetch and apply."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config

from gitops_run.sandbox.programs import module_version
from gitops_run.sandbox.state import Sandbox
from tests.conftest import homes
from tests.people import PATIENCE_S, Person

pytestmark = [pytest.mark.real_node, pytest.mark.timeout(300)]

NAMESPACE = "platform-chain"
ACCESS, SECRET = "chain-access", "chain-secret-of-the-tests"
S3_PORT = 7070
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 65534,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture(scope="module")
def engineer(real_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Person:
    home = tmp_path_factory.mktemp("engineer")
    return Person(env={**os.environ, **real_sandbox.env, **homes(home)}, cwd=home)


@pytest.fixture(scope="module")
def platform(engineer: Person) -> Iterator[dict[str, Any]]:
    finished = engineer.types("platform", "up", "-o", "json", timeout_s=150)
    assert finished.code == 0, finished.err
    yield finished.json
    engineer.types("platform", "down", timeout_s=150)


@pytest.fixture
def chain(engineer: Person, platform: dict[str, Any]) -> Iterator[Person]:
    """A namespace with an S3 server in it, a Bucket and a Kustomization."""
    manifests = engineer.cwd / "chain.yaml"
    manifests.write_text(yaml.safe_dump_all(chain_manifests()))
    engineer.kubectl("create", "-f", str(manifests))
    engineer.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/s3", "--timeout=60s")
    yield engineer
    suspended = ("--type=merge", "-p", '{"spec": {"suspend": true}}')  # so that nothing is pruned, by nobody
    engineer.kubectl("-n", NAMESPACE, "patch", "kustomization", "chain", *suspended)
    engineer.kubectl("-n", NAMESPACE, "delete", "kustomization,bucket", "--all", "--timeout=60s")
    engineer.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s")


def test_upstream_s_controllers_become_ready_in_pods(platform: dict[str, Any]) -> None:
    assert len(platform["components"]) == 3
    assert all(one["is_ready"] and all(one["lockdown"].values()) for one in platform["components"])


def test_a_second_platform_up_on_real_pods_changes_nothing(
    engineer: Person, platform: dict[str, Any]
) -> None:
    told = engineer.succeeds("platform", "up").err
    assert not [line for line in told.splitlines() if line.split()[1] in {"create", "update", "delete"}]


def test_a_bucket_s_content_is_fetched_and_applied(chain: Person) -> None:
    upload(chain, {"src/settings.yaml": configuration("one")})
    token = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}}
    chain.kubectl("-n", NAMESPACE, "patch", "bucket", "chain", "--type=merge", "-p", json.dumps(token))
    chain.kubectl("-n", NAMESPACE, "wait", "kustomization/chain", "--for=condition=Ready", "--timeout=60s")
    (found,) = [one for one in chain.get("configmap", NAMESPACE) if one["metadata"]["name"] == "settings"]
    assert found["data"] == {"value": "one"}


def test_a_kustomization_without_an_account_has_no_rights(chain: Person) -> None:
    upload(chain, {"src/settings.yaml": configuration("two")})
    without = [{"op": "remove", "path": "/spec/serviceAccountName"}]
    flags = ("--type=json", "-p", json.dumps(without))
    chain.kubectl("-n", NAMESPACE, "patch", "kustomization", "chain", *flags)
    token = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "again"}}}
    chain.kubectl("-n", NAMESPACE, "patch", "bucket", "chain", "--type=merge", "-p", json.dumps(token))
    told = eventually(lambda: ready_message(chain), "default")
    assert "forbidden" in told


def ready_message(person: Person) -> str:
    (found,) = person.get("kustomization", NAMESPACE)
    conditions = found.get("status", {}).get("conditions", [])
    return next((one["message"] for one in conditions if one["type"] == "Ready"), "")


def eventually(ask: Callable[[], str], wanted: str) -> str:
    """Ask until the answer holds what is wanted."""
    until = time.monotonic() + PATIENCE_S
    while wanted not in (told := ask()):
        assert time.monotonic() < until, told
    return told


def upload(person: Person, content: dict[str, str]) -> None:
    """Write into the S3 server's pod, by kubectl's own way there."""
    command = ["kubectl", "-n", NAMESPACE, "port-forward", "service/s3", f":{S3_PORT}"]
    with subprocess.Popen(command, env=dict(person.env), stdout=subprocess.PIPE, text=True) as forward:
        try:
            assert forward.stdout is not None
            port = forward.stdout.readline().split(" -> ")[0].rpartition(":")[2]
            store = boto3.client(
                "s3",
                endpoint_url=f"http://127.0.0.1:{port}",
                aws_access_key_id=ACCESS,
                aws_secret_access_key=SECRET,
                region_name="us-east-1",
                config=Config(request_checksum_calculation="when_required", s3={"addressing_style": "path"}),
            )
            if "chain" not in [bucket["Name"] for bucket in store.list_buckets()["Buckets"]]:
                store.create_bucket(Bucket="chain")
            for key, text in content.items():
                store.put_object(Bucket="chain", Key=key, Body=text.encode())
            store.close()
        finally:
            forward.terminate()


def configuration(value: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{value: {value}}}\n"


def chain_manifests() -> list[dict[str, Any]]:
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        _object("v1", "ServiceAccount", "applier"),
        _object(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            "applier",
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
            subjects=[{"kind": "ServiceAccount", "name": "applier", "namespace": NAMESPACE}],
        ),
        _object("v1", "Secret", "s3", stringData={"accesskey": ACCESS, "secretkey": SECRET}),
        _object("v1", "Service", "s3", spec={"selector": {"app": "s3"}, "ports": [{"port": S3_PORT}]}),
        _object("apps/v1", "Deployment", "s3", spec=_server()),
        _object("source.toolkit.fluxcd.io/v1", "Bucket", "chain", spec=_source()),
        _object("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "chain", spec=_applier()),
    ]


def _object(api_version: str, kind: str, name: str, **rest: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def _server() -> dict[str, Any]:
    version = module_version("versitygw", "github.com/versity/versitygw")
    container = {
        "name": "s3",
        "image": f"ghcr.io/versity/versitygw:{version}",
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "--port",
            f":{S3_PORT}",
            "--health",
            "/healthz",
            "posix",
            "--sidecar",
            "/metadata",
            "/objects",
        ],
        "env": [{"name": "ROOT_ACCESS_KEY", "value": ACCESS}, {"name": "ROOT_SECRET_KEY", "value": SECRET}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": S3_PORT}, "periodSeconds": 1},
        "securityContext": RESTRICTED,
        "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in ("metadata", "objects")],
    }
    volumes = [{"name": name, "emptyDir": {}} for name in ("metadata", "objects")]
    return {
        "selector": {"matchLabels": {"app": "s3"}},
        "template": {
            "metadata": {"labels": {"app": "s3"}},
            "spec": {"containers": [container], "volumes": volumes},
        },
    }


def _source() -> dict[str, Any]:
    return {
        "bucketName": "chain",
        "endpoint": f"s3.{NAMESPACE}.svc.cluster.local:{S3_PORT}",
        "insecure": True,
        "interval": "1h",
        "secretRef": {"name": "s3"},
    }


def _applier() -> dict[str, Any]:
    return {
        "sourceRef": {"kind": "Bucket", "name": "chain"},
        "path": "./src",
        "serviceAccountName": "applier",
        "targetNamespace": NAMESPACE,
        "prune": True,
        "interval": "1h",
        "retryInterval": "2s",
    }
