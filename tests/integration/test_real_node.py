"""Pods in containers, on a node of the sandbox's own; and the machine as it was, however that ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from ssl import create_default_context
from typing import Any

import pytest
import yaml

from gitops_run.adapters.machine.host import ProcessRecord, is_running, record
from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.journal import SUPERVISOR
from gitops_run.sandbox.node import machine
from gitops_run.sandbox.node.images import TRIAL_IMAGES, Image, write_archive
from gitops_run.sandbox.processes import wait_until
from gitops_run.sandbox.state import NodeKind, Sandbox, load
from gitops_run.sandbox.status import PartStatus, status_of
from tests.integration.sandbox_kubectl import apply, kubectl, run_kubectl
from tests.machine_facts import machine_facts
from tests.people import COMMAND, PATIENCE_S

pytestmark = [pytest.mark.real_node, pytest.mark.timeout(180)]

NAMESPACE = "trials"
OTHER = "second"
PARTS = {
    "supervisor",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
}
IN_POD = ("exec", "deployment/web", "-n", NAMESPACE, "--", "/usr/local/bin/trial")
SECONDS = 30


@pytest.fixture(scope="module")
def cluster(real_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The shared sandbox, with a Deployment of the trial image and its Service."""
    kubectl(real_sandbox, "create", "namespace", NAMESPACE)
    kubectl(real_sandbox, "label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    apply(real_sandbox, deployment(replicas=2), service())
    kubectl(real_sandbox, "rollout", "status", "deployment/web", "--timeout=60s", "-n", NAMESPACE)
    yield real_sandbox
    kubectl(real_sandbox, "delete", "namespace", NAMESPACE, "--timeout=60s")


@pytest.fixture
def own_base() -> Iterator[Path]:
    """A folder for a sandbox of one test, short enough for sockets, of which nothing runs on afterwards."""
    with tempfile.TemporaryDirectory(prefix="node-") as folder:
        yield Path(folder)
        with suppress(Exception):
            lifecycle.stop(OTHER, Path(folder))


def test_every_part_is_ready(real_sandbox: Sandbox) -> None:
    found = status_of(real_sandbox.name)

    assert found.is_up
    assert {part.name for part in found.parts} == PARTS
    assert [part.name for part in found.parts if not part.memory_mb] == []


def test_a_deployment_serves_and_its_log_says_so(cluster: Sandbox) -> None:
    log = kubectl(cluster, "logs", "deployment/web", "-n", NAMESPACE)

    assert 'serving "hello" on port 8080' in log


def test_a_command_runs_in_a_pod(cluster: Sandbox) -> None:
    answer = in_pod(cluster, "get", "http://127.0.0.1:8080/")

    assert answer.startswith("hello from web-")


def test_a_pod_reaches_a_service_by_its_name(cluster: Sandbox) -> None:
    address = in_pod(cluster, "lookup", f"web.{NAMESPACE}.svc.cluster.local").strip()

    assert address == cluster_ip(cluster)
    assert wait_until(lambda: answers(cluster, "http://web/", "hello from web-"), SECONDS)


def test_a_pod_reaches_the_address_of_a_service(cluster: Sandbox) -> None:
    address = f"http://{cluster_ip(cluster)}/"

    assert wait_until(lambda: answers(cluster, address, "hello from web-"), SECONDS)


def test_a_name_outside_the_cluster_is_refused_at_once(cluster: Sandbox) -> None:
    answer = run_kubectl(cluster, *IN_POD, "lookup", "no.example")

    assert answer.returncode != 0
    assert "no.example" in answer.stderr


def test_a_port_of_a_pod_is_forwarded(cluster: Sandbox) -> None:
    with (
        forwarded(cluster, "deployment/web") as address,
        urllib.request.urlopen(address, timeout=SECONDS) as answer,
    ):
        text = answer.read().decode()

    assert text.startswith("hello from web-")


def test_a_new_image_is_rolled_out(cluster: Sandbox) -> None:
    apply(cluster, deployment(replicas=2, image=TRIAL_IMAGES[1], body="changed"))
    kubectl(cluster, "rollout", "status", "deployment/web", "--timeout=60s", "-n", NAMESPACE)

    assert wait_until(lambda: answers(cluster, "http://web/", "changed from web-"), SECONDS)
    apply(cluster, deployment(replicas=2))
    kubectl(cluster, "rollout", "status", "deployment/web", "--timeout=60s", "-n", NAMESPACE)


def test_an_image_that_was_loaded_runs(cluster: Sandbox, tmp_path: Path) -> None:
    image = Image(program="trial", names=("example.com/own:1",), path="/usr/local/bin/trial")
    write_archive(image, cluster.binaries["trial"], tmp_path / "own.tar")
    command = [*COMMAND, "sandbox", "load", str(tmp_path / "own.tar"), "--name", cluster.name]

    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert told == "example.com/own:1\n"
    apply(cluster, pod("own", ["serve"], image="example.com/own:1"))
    kubectl(cluster, "wait", "--for=condition=Ready", "pod/own", "--timeout=60s", "-n", NAMESPACE)


def test_a_crash_leaves_its_last_line_and_its_code(cluster: Sandbox) -> None:
    arguments = ["crash", "-line", "out of luck", "-code", "7"]
    apply(cluster, pod("crashing", arguments))

    kubectl(
        cluster,
        "wait",
        "--for=jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}=7",
        "pod/crashing",
        "--timeout=60s",
        "-n",
        NAMESPACE,
    )

    log = kubectl(cluster, "logs", "crashing", "--previous", "-n", NAMESPACE)
    assert log.splitlines()[-1] == "out of luck"


def test_a_pod_that_takes_more_memory_than_it_may_is_killed(cluster: Sandbox) -> None:
    apply(cluster, pod("greedy", ["eat", "-megabytes", "200"], memory="64Mi"))

    kubectl(
        cluster,
        "wait",
        "--for=jsonpath={.status.containerStatuses[0].lastState.terminated.reason}=OOMKilled",
        "pod/greedy",
        "--timeout=60s",
        "-n",
        NAMESPACE,
    )


def test_a_pod_against_the_namespace_s_pod_security_is_refused(cluster: Sandbox) -> None:
    privileged = pod("privileged", ["serve"])
    privileged["spec"]["containers"][0]["securityContext"] = {"privileged": True}

    answer = run_kubectl(cluster, "apply", "--filename=-", stdin=yaml.safe_dump(privileged))

    assert answer.returncode != 0
    assert "violates PodSecurity" in answer.stderr


def test_the_kubelet_answers_nobody_whom_the_cluster_does_not_know(real_sandbox: Sandbox) -> None:
    address = f"https://{real_sandbox.address}:{real_sandbox.ports['kubelet']}/pods"
    context = create_default_context(cafile=str(real_sandbox.ca))

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(address, context=context, timeout=SECONDS)

    refused.value.close()
    assert refused.value.code == 401


def test_a_killed_kubelet_is_started_again_and_pods_serve_on(cluster: Sandbox) -> None:
    names = kubectl(cluster, "get", "pods", "-n", NAMESPACE, "-l", "app=web", "-o", "name")
    before = part_of(cluster, "kubelet")

    os.kill(before.pid or 0, signal.SIGKILL)

    assert wait_until(lambda: is_restarted(cluster, before), SECONDS)
    assert kubectl(cluster, "get", "pods", "-n", NAMESPACE, "-l", "app=web", "-o", "name") == names
    assert wait_until(
        lambda: run_kubectl(cluster, "logs", "deployment/web", "-n", NAMESPACE).returncode == 0, SECONDS
    )


def test_a_second_sandbox_stands_beside_the_first_and_its_stop_restores_the_machine(
    real_sandbox: Sandbox, own_base: Path
) -> None:
    before = machine_facts(own_base / OTHER)

    second = lifecycle.start(OTHER, own_base, node=NodeKind.REAL)
    apply(second, *(in_default(thing) for thing in (deployment(replicas=1), service())))
    kubectl(second, "rollout", "status", "deployment/web", "--timeout=60s")
    processes = processes_of(second)
    ended = is_stopped(second)

    assert ended
    assert len(processes) > len(PARTS)
    assert [process for process in processes if is_running(process)] == []
    assert machine_facts(own_base / OTHER) == before
    assert "sandbox" in kubectl(real_sandbox, "get", "nodes")


def test_stop_restores_the_machine_after_everything_was_killed_and_a_start_finds_the_pods_again(
    own_base: Path,
) -> None:
    before = machine_facts(own_base / OTHER)
    sandbox = lifecycle.start(OTHER, own_base, node=NodeKind.REAL)
    apply(sandbox, in_default(deployment(replicas=1)))
    kubectl(sandbox, "rollout", "status", "deployment/web", "--timeout=60s")
    processes = processes_of(sandbox)
    parts = status_of(OTHER, own_base).parts
    for part in sorted(parts, key=lambda part: part.name != SUPERVISOR):
        os.kill(part.pid or 0, signal.SIGKILL)

    ended = is_stopped(sandbox)

    assert ended
    assert [process for process in processes if is_running(process)] == []
    assert machine_facts(own_base / OTHER) == before

    again = lifecycle.start(OTHER, own_base, node=NodeKind.REAL)

    assert again.address == sandbox.address
    assert wait_until(lambda: "hello" in run_kubectl(again, "logs", "deployment/web").stdout, SECONDS)


@pytest.mark.parametrize("moment", ["node/namespaces/mnt", "run/processes.json", "run/containerd.sock"])
def test_a_start_that_is_killed_leaves_nothing_that_stop_does_not_end(own_base: Path, moment: str) -> None:
    before = machine_facts(own_base / OTHER)
    command = [*COMMAND, "sandbox", "start", "--node", "real", "--name", OTHER]
    with subprocess.Popen([*command, "--state-dir", str(own_base)], stderr=subprocess.DEVNULL) as start:
        assert wait_until((own_base / OTHER / moment).exists, SECONDS)
        start.kill()

    assert is_stopped(load(OTHER, own_base))
    assert machine.members(own_base / OTHER) == set()
    assert machine_facts(own_base / OTHER) == before


def is_stopped(sandbox: Sandbox) -> bool:
    command = [*COMMAND, "sandbox", "stop", "--name", sandbox.name]
    command += ["--state-dir", str(sandbox.folder.parent)]
    return subprocess.run(command, timeout=PATIENCE_S, check=True).returncode == 0


def processes_of(sandbox: Sandbox) -> list[ProcessRecord]:
    """The supervisor, the parts, the shims, and what runs in pods."""
    pids = {part.pid for part in status_of(sandbox.name, sandbox.folder.parent).parts if part.pid}
    found = (record(pid) for pid in pids | machine.members(sandbox.folder))
    return [process for process in found if process]


def part_of(sandbox: Sandbox, name: str) -> PartStatus:
    parts = status_of(sandbox.name, sandbox.folder.parent).parts
    return next(part for part in parts if part.name == name)


def is_restarted(sandbox: Sandbox, before: PartStatus) -> bool:
    now = part_of(sandbox, before.name)
    return now.state == "ready" and now.restarts > before.restarts


def in_pod(sandbox: Sandbox, *arguments: str) -> str:
    return kubectl(sandbox, *IN_POD, *arguments)


def answers(sandbox: Sandbox, address: str, beginning: str) -> bool:
    """Ask from within a pod; kube-proxy learns of a service's pods a moment after they are ready."""
    return run_kubectl(sandbox, *IN_POD, "get", address).stdout.startswith(beginning)


def cluster_ip(sandbox: Sandbox) -> str:
    found = json.loads(kubectl(sandbox, "get", "service", "web", "-n", NAMESPACE, "-o", "json"))
    return str(found["spec"]["clusterIP"])


@contextmanager
def forwarded(sandbox: Sandbox, target: str) -> Iterator[str]:
    """Forward a free port of the host's to port 8080 of a pod."""
    command: list[str | Path] = [
        sandbox.binaries["kubectl"],
        "port-forward",
        target,
        ":8080",
        "-n",
        NAMESPACE,
    ]
    environment = {**os.environ, "KUBECONFIG": str(sandbox.kubeconfig)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as forward:
        assert forward.stdout
        line = forward.stdout.readline()  # Forwarding from 127.0.0.1:PORT -> 8080
        try:
            yield f"http://{line.split()[2]}/"
        finally:
            forward.terminate()


def deployment(*, replicas: int, image: str = TRIAL_IMAGES[0], body: str = "hello") -> dict[str, Any]:
    spec = pod("web", ["serve", "-body", body], image=image)["spec"]
    spec["containers"][0]["readinessProbe"] = {
        "httpGet": {"path": "/readyz", "port": 8080},
        "periodSeconds": 1,
    }
    labels = {"app": "web"}
    del spec["restartPolicy"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def service() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def pod(
    name: str, arguments: list[str], *, image: str = TRIAL_IMAGES[0], memory: str = "128Mi"
) -> dict[str, Any]:
    container = {
        "name": "trial",
        "image": image,
        "args": arguments,
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": memory}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
        },
    }


def in_default(thing: dict[str, Any]) -> dict[str, Any]:
    return {**thing, "metadata": {**thing["metadata"], "namespace": "default"}}
