"""A real sandbox of these tests' own: they end its parts, and stop it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import tarfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError

from gitops_run.adapters.store.keys import open_keys
from gitops_run.errors import SandboxError
from gitops_run.model.store.objects import StoreAccess
from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.environment import shell_lines
from gitops_run.sandbox.export import export
from gitops_run.sandbox.journal import SUPERVISOR
from gitops_run.sandbox.kubeconfigs import issue_user_kubeconfig
from gitops_run.sandbox.processes import wait_until
from gitops_run.sandbox.state import LOOPBACK, NodeKind, Sandbox
from gitops_run.sandbox.status import PartStatus, status_of
from tests.integration.sandbox_kubectl import apply, kubectl, run_kubectl

pytestmark = [
    pytest.mark.xdist_group("sandbox"),
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes through /proc"),
]

NAME = "trial"
PARTS = {
    "supervisor",
    "etcd",
    "versitygw",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    "source-controller",
    "kustomize-controller",
    "helm-controller",
}
SECONDS = 30
CREDENTIAL = "c4nary-of-the-starter"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandboxes")


@pytest.fixture(scope="module")
def running(base: Path) -> Iterator[Sandbox]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_SECRET_ACCESS_KEY", CREDENTIAL)
        started = lifecycle.start(NAME, base, node=NodeKind.SIMULATED)
    yield started
    lifecycle.stop(NAME, base)


@pytest.fixture
def own_base(tmp_path: Path) -> Iterator[Path]:
    """A folder for a sandbox of one test, of which nothing runs on afterwards."""
    yield tmp_path
    lifecycle.stop(NAME, tmp_path)


@dataclass(frozen=True)
class StoreKeys:
    """The keys of the sandbox's store: the administrator's, and those that it made for one bucket."""

    access: dict[str, str]
    secret: dict[str, str]


@pytest.fixture(scope="module")
def keys(running: Sandbox) -> StoreKeys:
    settings = yaml.safe_load(running.settings.read_text())
    admin = StoreAccess(
        endpoint=settings["endpoint"],
        region=settings["region"],
        access_key=settings["accessKey"],
        secret_key=settings["secretKey"],
        ca_cert=Path(settings["caFile"]).read_text(),
    )
    made = {role: uuid.uuid4().hex for role in ("reader", "writer")}
    with open_keys(admin) as store:
        for role, secret in made.items():
            store.make(role, secret, {})
    return StoreKeys(
        access={"": admin.access_key, "reader": "reader", "writer": "writer"},
        secret={"": admin.secret_key, **made},
    )


@pytest.fixture(scope="module")
def accounts(running: Sandbox, keys: StoreKeys) -> Callable[[str], Any]:
    settings = yaml.safe_load(running.settings.read_text())

    def client(prefix: str) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=settings["endpoint"],
            region_name=settings["region"],
            verify=settings["caFile"],
            config=Config(request_checksum_calculation="when_required"),
            aws_access_key_id=keys.access[prefix],
            aws_secret_access_key=keys.secret[prefix],
        )

    return client


@pytest.fixture(scope="module")
def bucket(accounts: Callable[[str], Any]) -> str:
    """A bucket of the administrator's, in which the reader may read and the writer may write."""
    name, arn = "trial-bucket", "arn:aws:s3:::trial-bucket"
    grants = {
        "reader": ["s3:GetObject"],
        "writer": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
    }
    statements = [
        {"Effect": "Allow", "Principal": {"AWS": [key]}, "Action": actions, "Resource": resource}
        for key, rights in grants.items()
        for actions, resource in ((["s3:ListBucket"], arn), (rights, f"{arn}/*"))
    ]
    accounts("").create_bucket(Bucket=name)
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    accounts("").put_bucket_policy(Bucket=name, Policy=policy)
    return name


def test_every_part_is_ready_and_so_is_the_node(running: Sandbox, base: Path) -> None:
    found = status_of(NAME, base)

    assert found.is_up
    assert {part.name for part in found.parts} == PARTS
    assert {part.state for part in found.parts} == {"ready"}
    assert "condition met" in kubectl(running, "wait", "--for=condition=Ready", "node/sandbox")


def test_a_deployment_becomes_available(running: Sandbox) -> None:
    kubectl(running, "create", "deployment", "web", "--image=example.com/web", "--replicas=2")

    assert "successfully rolled out" in kubectl(
        running, "rollout", "status", "deployment/web", "--timeout=30s"
    )


def test_a_version_check_finds_which_flux_it_is(running: Sandbox) -> None:
    labels = json.loads(kubectl(running, "get", "namespace", "flux-system", "-o", "json"))["metadata"][
        "labels"
    ]

    assert labels["app.kubernetes.io/part-of"] == "flux"
    assert labels["app.kubernetes.io/version"].startswith("v2.")


def test_everything_listens_on_the_loopback_interface_only(running: Sandbox, base: Path) -> None:
    listening = {address for part in status_of(NAME, base).parts for address in listening_addresses(part.pid)}

    assert {host for host, _ in listening} == {LOOPBACK}
    assert {port for _, port in listening} == set(running.ports.values())


def test_files_belong_to_their_owner_alone(running: Sandbox) -> None:
    kept = [*(running.folder / "pki").iterdir(), *(running.folder / "kubeconfigs").iterdir()]
    kept += [running.kubeconfig, running.settings, running.folder / "store" / "accounts.json"]
    kept += (running.folder / "store" / "accounts").iterdir()

    assert running.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}


def test_no_command_line_holds_a_secret(running: Sandbox, base: Path, keys: StoreKeys) -> None:
    secrets = [*keys.secret.values(), keys.access[""]]

    lines = " ".join(Path(f"/proc/{part.pid}/cmdline").read_text() for part in status_of(NAME, base).parts)

    assert [secret for secret in secrets if secret in lines] == []


def test_the_reader_reads_and_does_not_write(accounts: Callable[[str], Any], bucket: str) -> None:
    accounts("writer").put_object(Bucket=bucket, Key="src/a", Body=b"a")
    reader = accounts("reader")

    reader.head_bucket(Bucket=bucket)
    assert reader.get_object(Bucket=bucket, Key="src/a")["Body"].read() == b"a"
    assert [found["Key"] for found in reader.list_objects_v2(Bucket=bucket)["Contents"]] == ["src/a"]
    assert status_code(lambda: reader.head_object(Bucket=bucket, Key=".sourceignore")) == 404
    assert status_code(lambda: reader.put_object(Bucket=bucket, Key="src/b", Body=b"b")) == 403
    assert status_code(lambda: reader.delete_object(Bucket=bucket, Key="src/a")) == 403


def test_the_writer_writes_and_does_not_administer(accounts: Callable[[str], Any], bucket: str) -> None:
    writer = accounts("writer")

    answer = writer.put_object(Bucket=bucket, Key="src/c", Body=b"content")
    writer.delete_object(Bucket=bucket, Key="src/c")

    assert answer["ETag"].strip('"') == hashlib.md5(b"content").hexdigest()
    assert status_code(lambda: writer.create_bucket(Bucket="trial-other")) == 403
    assert status_code(lambda: writer.delete_bucket(Bucket=bucket)) == 403


def test_neither_account_reaches_a_bucket_without_a_policy(accounts: Callable[[str], Any]) -> None:
    accounts("").create_bucket(Bucket="trial-closed")

    assert status_code(lambda: accounts("reader").head_bucket(Bucket="trial-closed")) == 403
    assert status_code(lambda: accounts("writer").head_bucket(Bucket="trial-closed")) == 403


def test_many_small_puts_in_a_row_succeed(accounts: Callable[[str], Any]) -> None:
    admin = accounts("")
    admin.create_bucket(Bucket="trial-many")

    for number in range(100):
        admin.put_object(Bucket="trial-many", Key=f"src/{number}", Body=b"x" * 500)

    assert admin.list_objects_v2(Bucket="trial-many")["KeyCount"] == 100


def test_flux_reads_a_bucket_with_the_reading_account_over_tls(
    running: Sandbox, accounts: Callable[[str], Any], keys: StoreKeys
) -> None:
    settings = yaml.safe_load(running.settings.read_text())
    admin, name = accounts(""), "trial-flux"
    admin.create_bucket(Bucket=name)
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": ["reader"]},
        "Action": ["s3:ListBucket", "s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    admin.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    etag = admin.put_object(Bucket=name, Key="src/a.yaml", Body=b"{}")["ETag"].strip('"')

    apply(running, *flux_objects(settings, keys, name))
    kubectl(running, "wait", "--for=jsonpath={.status.artifact.revision}", f"bucket/{name}", "--timeout=30s")

    source = json.loads(kubectl(running, "get", f"bucket/{name}", "-o", "json"))
    revision = hashlib.sha256(f"src/a.yaml {etag}\n".encode()).hexdigest()
    assert source["status"]["artifact"]["revision"] == f"sha256:{revision}"


def test_a_user_may_do_only_what_is_granted(running: Sandbox) -> None:
    kubeconfig = issue_user_kubeconfig(running, "dev@example.com")

    answer = run_kubectl(running, "get", "pods", f"--kubeconfig={kubeconfig}")

    assert answer.returncode != 0
    assert 'User "dev@example.com" cannot list' in answer.stderr


def test_a_user_of_the_cluster_cannot_open_etcd(running: Sandbox) -> None:
    issue_user_kubeconfig(running, "curious")
    pki = running.folder / "pki"
    address = f"https://{LOOPBACK}:{running.ports['etcd']}/readyz"
    curl = [
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "--cacert",
        str(pki / "etcd-ca.crt"),
        address,
    ]

    def answer(identity: str) -> str:
        keys = ["--cert", str(pki / f"{identity}.crt"), "--key", str(pki / f"{identity}.key")]
        return subprocess.run([*curl, *keys], capture_output=True, text=True, check=False).stdout

    assert answer("etcd-client") == "200"
    assert answer("user-curious") == "000"


def test_a_part_that_crashes_is_told_and_started_again(running: Sandbox, base: Path) -> None:
    before = part_of(base, "kwok")

    os.kill(pid_of(before), signal.SIGKILL)

    assert wait_until(lambda: is_restarted(base, before), SECONDS)
    crash = next(crash for crash in status_of(NAME, base).crashes if crash["part"] == "kwok")
    assert crash["exit_code"] == -signal.SIGKILL
    assert crash["log"]


def test_a_crash_of_the_api_server_is_survived(running: Sandbox, base: Path) -> None:
    kubectl(running, "create", "namespace", "survivor")
    before = part_of(base, "kube-apiserver")

    os.kill(pid_of(before), signal.SIGKILL)

    assert wait_until(lambda: is_restarted(base, before), SECONDS)
    assert "survivor" in kubectl(running, "get", "namespaces")


def test_starting_what_runs_changes_nothing(running: Sandbox, base: Path) -> None:
    before = part_of(base, SUPERVISOR)

    again = lifecycle.start(NAME, base, node=NodeKind.SIMULATED)

    assert again == running
    assert part_of(base, SUPERVISOR) == before


def test_a_shell_uses_the_sandbox_after_evaluating_its_environment(running: Sandbox) -> None:
    script = f"{shell_lines(running)}\nkubectl config current-context; pulumi version; command -v gitops-run"

    answer = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=True)

    context, version, command = answer.stdout.split()
    assert context == f"gitops-run-sandbox-{NAME}"
    assert version.startswith("v3.")
    assert Path(command).name == "gitops-run"


def test_no_part_inherits_the_credentials_of_whoever_started_the_sandbox(
    base: Path, running: Sandbox
) -> None:
    del running
    pids = [part.pid for part in status_of(NAME, base).parts]
    environments = [Path("/proc", str(pid), "environ").read_text() for pid in pids]
    assert len(environments) == len(PARTS)
    assert [text for text in environments if CREDENTIAL in text] == []


def test_an_export_holds_logs_and_flux_objects_and_no_secret(
    running: Sandbox, keys: StoreKeys, tmp_path: Path
) -> None:
    export(running, tmp_path / "out.tar.gz")

    with tarfile.open(tmp_path / "out.tar.gz") as archive:
        files = {entry.name: archive.extractfile(entry) for entry in archive.getmembers()}
        text = b"".join(file.read() for file in files.values() if file).decode()
    assert {"events.jsonl", "logs/etcd.log", "objects/buckets.json", "objects/kustomizations.json"} <= set(
        files
    )
    assert "trial-flux" in text
    assert not [secret for secret in keys.secret.values() if secret in text]


def test_what_a_killed_supervisor_left_is_ended_and_the_sandbox_is_the_same_again(own_base: Path) -> None:
    first = lifecycle.start(NAME, own_base, node=NodeKind.SIMULATED)
    left = {part.name: part.pid for part in status_of(NAME, own_base).parts}
    kubectl(first, "create", "namespace", "kept")
    left.pop(SUPERVISOR)
    kill(part_of(own_base, SUPERVISOR), own_base)

    second = lifecycle.start(NAME, own_base, node=NodeKind.SIMULATED)

    now = {part.name: part.pid for part in status_of(NAME, own_base).parts}
    assert [name for name, pid in left.items() if now[name] == pid] == []
    assert processes_with(str(own_base)) == {pid for pid in now.values() if pid}
    assert second.ports == first.ports
    assert "kept" in kubectl(second, "get", "namespaces")

    lifecycle.stop(NAME, own_base)

    assert processes_with(str(own_base)) == set()
    assert not status_of(NAME, own_base).is_up
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # old connections may linger
        stranger.bind((LOOPBACK, second.ports["store"]))
        stranger.listen()
        with pytest.raises(SandboxError, match=rf"{second.ports['store']} \(store\)"):
            lifecycle.start(NAME, own_base, node=NodeKind.SIMULATED)


def test_a_part_that_cannot_start_fails_the_start_with_the_end_of_its_log(own_base: Path) -> None:
    folder = own_base / NAME / "etcd"
    folder.mkdir(parents=True)
    (folder / "member").write_text("not a folder")

    with pytest.raises(SandboxError, match=r"(?s)etcd ended with exit code \d+; .*not a directory"):
        lifecycle.start(NAME, own_base, node=NodeKind.SIMULATED)

    assert processes_with(str(own_base)) == set()


def flux_objects(
    settings: dict[str, str], keys: StoreKeys, bucket: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    metadata = {"name": bucket, "namespace": "default"}
    reader = {"accesskey": keys.access["reader"], "secretkey": keys.secret["reader"]}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "stringData": {**reader, "ca.crt": Path(settings["caFile"]).read_text()},
    }
    source = {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "Bucket",
        "metadata": metadata,
        "spec": {
            "bucketName": bucket,
            "endpoint": settings["endpoint"].removeprefix("https://"),
            "region": settings["region"],
            "interval": "24h",
            "secretRef": {"name": bucket},
            "certSecretRef": {"name": bucket},
        },
    }
    return secret, source


def status_code(call: Callable[[], object]) -> int:
    with pytest.raises(ClientError) as refused:
        call()
    code: int = refused.value.response["ResponseMetadata"]["HTTPStatusCode"]
    return code


def part_of(base: Path, name: str) -> PartStatus:
    return next(part for part in status_of(NAME, base).parts if part.name == name)


def pid_of(part: PartStatus) -> int:
    assert part.pid is not None
    return part.pid


def kill(part: PartStatus, base: Path) -> None:
    os.kill(pid_of(part), signal.SIGKILL)
    assert wait_until(lambda: part_of(base, part.name).state == "gone", SECONDS)


def is_restarted(base: Path, before: PartStatus) -> bool:
    now = part_of(base, before.name)
    return now.state == "ready" and now.pid != before.pid and now.restarts == before.restarts + 1


def processes_with(text: str) -> set[int]:
    """Find processes by their command lines and environments; those of other tests hold other folders."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            told = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
            found |= {int(path.name)} if text.encode() in told else set()
    return found


def listening_addresses(pid: int | None) -> set[tuple[str, int]]:
    links = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            links.add(str(link.readlink()))
    rows = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    rows += Path(f"/proc/{pid}/net/tcp6").read_text().splitlines()[1:]
    fields = [row.split() for row in rows]
    return {_address(f[1]) for f in fields if f[3] == "0A" and f"socket:[{f[9]}]" in links}


def _address(text: str) -> tuple[str, int]:
    host, port = text.split(":")
    is_v4 = len(host) == 8
    return socket.inet_ntoa(bytes.fromhex(host)[::-1]) if is_v4 else f"v6 {host}", int(port, 16)
