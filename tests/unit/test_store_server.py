"""The S3 server beside a session: its manifests, and the credentials that it is given."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest
from cryptography import x509
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2

from gitops_run.errors import UsageError
from gitops_run.model.manifests.store_server import (
    ServerCredentials,
    StoreServer,
    forward_rules,
    server_files,
    server_names,
    server_policy,
    server_secret,
    server_service,
    server_set,
)
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.objects.ownership import SessionPlace
from gitops_run.model.store.keys import KeyPair
from gitops_run.plugins.gitops_run import credentials, credentials_answers
from gitops_run.plugins.gitops_run.certificates import make
from gitops_run.plugins.gitops_run.values import UNKNOWN, plain
from gitops_run.sandbox.kubernetes_plugin import readiness

NOW = datetime(2026, 11, 24, tzinfo=UTC)
SERVER = StoreServer(
    namespace="run-web",
    bucket="gitops-run-web-1",
    region="us-east-1",
    image="registry.example.com/versitygw:v1.8.0",
    flux_namespace="gitops",
    labels={"gitops-run.dev/session": "web"},
)


def key(role: str) -> KeyPair:
    return KeyPair(access_key=role.upper(), secret_key=f"{role}-hunter2")


CREDENTIALS = ServerCredentials(
    ca="CA",
    certificate="CERT",
    key="KEY-hunter2",
    fingerprint="f",
    root=key("root"),
    reader=key("reader"),
    writer=key("writer"),
)


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = server_set(SERVER, "f")["spec"]["template"]["spec"]
    return spec


def test_the_pod_passes_the_restricted_standard() -> None:
    (container,) = pod()["containers"]
    security = pod()["securityContext"]
    assert (security["runAsNonRoot"], security["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    assert security["runAsUser"] > 0
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not pod()["automountServiceAccountToken"]


def test_the_pod_asks_for_what_it_needs_at_rest_and_has_limits() -> None:
    resources = pod()["containers"][0]["resources"]
    assert resources["requests"].keys() == resources["limits"].keys() == {"cpu", "memory"}
    assert resources["requests"]["memory"] == "64Mi"
    assert all("sizeLimit" in volume["emptyDir"] for volume in pod()["volumes"] if "emptyDir" in volume)


def test_every_probe_speaks_tls() -> None:
    (container,) = pod()["containers"]
    probes = [container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")]
    assert {probe["httpGet"]["scheme"] for probe in probes} == {"HTTPS"}


def test_every_mount_has_its_volume_and_every_file_is_in_the_secret() -> None:
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    assert {mount["name"] for mount in pod()["containers"][0]["volumeMounts"]} == set(volumes)
    projected = chain.from_iterable(
        volume["secret"]["items"] for volume in volumes.values() if "secret" in volume
    )
    assert {item["key"] for item in projected} <= server_files(SERVER.bucket, CREDENTIALS).keys()


def test_another_certificate_is_another_pod() -> None:
    assert server_set(SERVER, "a")["spec"]["template"] != server_set(SERVER, "b")["spec"]["template"]


def test_secrets_stand_in_the_secret_alone() -> None:
    files = server_files(SERVER.bucket, CREDENTIALS)
    others = [server_set(SERVER, "f"), server_service(SERVER), server_policy(SERVER)]
    assert "hunter2" not in repr(others) + repr(CREDENTIALS)
    assert server_secret(SERVER, files)["stringData"] == files


def test_root_s_own_key_is_no_user_s() -> None:
    users = json.loads(server_files(SERVER.bucket, CREDENTIALS)["users.json"])["accessAccounts"]
    assert {(access, user["role"]) for access, user in users.items()} == {
        ("READER", "user"),
        ("WRITER", "user"),
    }


def test_only_source_controller_may_connect_and_nobody_is_called() -> None:
    spec = server_policy(SERVER)["spec"]
    ((source,),) = [rule["from"] for rule in spec["ingress"]]
    assert source["podSelector"] == {"matchLabels": {"app": "source-controller"}}
    assert source["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "gitops"}
    assert "Egress" in spec["policyTypes"]
    assert "egress" not in spec


def test_policy_service_and_set_mean_the_same_pods() -> None:
    template = server_set(SERVER, "f")["spec"]["template"]["metadata"]["labels"]
    for selector in (
        server_service(SERVER)["spec"]["selector"],
        server_policy(SERVER)["spec"]["podSelector"]["matchLabels"],
        server_set(SERVER, "f")["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= template.items()


def test_the_owner_may_forward_to_the_server_s_pod_alone() -> None:
    (rule,) = forward_rules()
    assert (rule["resources"], rule["resourceNames"]) == (["pods/portforward"], ["gitops-run-bucket-0"])


@pytest.mark.parametrize("kind", ["StatefulSet", "Service", "Secret", "NetworkPolicy"])
def test_nothing_may_apply_what_the_server_is_made_of(kind: str) -> None:
    ref = ObjectRef(group="", kind=kind, namespace="run-web", name="gitops-run-bucket")
    assert SessionPlace(name="web", namespace="run-web").is_own_part(ref)


def test_the_certificate_is_signed_for_every_name_and_ends_with_its_authority() -> None:
    made = make(server_names("run-web"), NOW)
    authority = x509.load_pem_x509_certificate(made["caCert"].encode())
    server = x509.load_pem_x509_certificate(made["certificate"].encode())
    server.verify_directly_issued_by(authority)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "gitops-run-bucket.run-web.svc" in names.get_values_for_type(x509.DNSName)
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert server.not_valid_after_utc == authority.not_valid_after_utc == NOW + credentials.LIFETIME


def test_all_keys_differ() -> None:
    made = make(["a"], NOW), make(["a"], NOW)
    values = [one[name] for one in made for name in credentials.SECRETS]
    assert len(set(values)) == len(values)


@pytest.mark.parametrize(
    ("left", "is_due"), [(credentials.RENEWAL + timedelta(days=1), False), (timedelta(days=1), True)]
)
def test_credentials_are_due_some_time_before_they_end(left: timedelta, *, is_due: bool) -> None:
    state = make(["a"], NOW)
    assert credentials.is_due(state, NOW + credentials.LIFETIME - left) is is_due


def struct(values: dict[str, Any]) -> Struct:
    made = Struct()
    made.update(values)
    return made


def created(*, preview: bool = False) -> Struct:
    request = provider_pb2.CreateRequest(properties=struct({"serverNames": ["a"]}), preview=preview)
    properties: Struct = credentials_answers.create(request).properties
    return properties


def test_what_is_secret_is_handed_to_pulumi_as_a_secret() -> None:
    made = MessageToDict(created())
    signatures = {made[name]["4dabf18193072939515e22adb298388d"] for name in credentials.SECRETS}
    assert signatures == {"1b47061264138c4ac30d75fd1eb44270"}


def test_a_preview_makes_nothing() -> None:
    assert {plain(created(preview=True))[name] for name in credentials.OUTPUTS} == {UNKNOWN}


def test_the_same_names_keep_the_credentials_in_whatever_order() -> None:
    state = make(["a", "b"], datetime.now(UTC)) | {"serverNames": ["a", "b"]}
    request = provider_pb2.DiffRequest(olds=struct(state), news=struct({"serverNames": ["b", "a"]}))
    assert credentials_answers.diff(request).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_other_names_and_a_near_end_replace_them() -> None:
    old = make(["a"], datetime.now(UTC) - credentials.LIFETIME + timedelta(days=1)) | {"serverNames": ["a"]}
    request = provider_pb2.DiffRequest(olds=struct(old), news=struct({"serverNames": ["b"]}))
    assert set(credentials_answers.diff(request).replaces) == {"serverNames", "notAfter"}


def test_an_import_is_refused() -> None:
    with pytest.raises(UsageError, match="can't be imported"):
        credentials_answers.read(provider_pb2.ReadRequest(id="x"))


@pytest.mark.parametrize("names", [[], "a", None])
def test_a_server_without_names_is_refused(names: object) -> None:
    assert "serverNames" in credentials.problems({"serverNames": names})


def stateful_set(**status: Any) -> dict[str, Any]:
    counts = {"observedGeneration": 2, "replicas": 1, "readyReplicas": 1, "currentReplicas": 1}
    revisions = {"currentRevision": "b", "updateRevision": "b"}
    return {
        "metadata": {"generation": 2},
        "spec": {"replicas": 1},
        "status": {**counts, **revisions, **status},
    }


def test_a_stateful_set_is_ready_when_its_pods_are_of_its_revision() -> None:
    assert readiness.stateful_set(stateful_set()).is_ready


@pytest.mark.parametrize(
    "status",
    [
        {"observedGeneration": 1},
        {"readyReplicas": 0},
        {"currentReplicas": 0},
        {"currentRevision": "a"},
    ],
)
def test_a_stateful_set_that_still_rolls_out_is_not_ready(status: dict[str, Any]) -> None:
    assert not readiness.stateful_set(stateful_set(**status)).is_ready
