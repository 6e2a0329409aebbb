"""What a developer is told of health, on a real admission, scheduler and controller manager.

Nodes are simulated: what only a kubelet says of a pod is written by the admin in its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitops_run.sandbox.processes import wait_until
from tests.integration.conftest import SharedSession
from tests.people import Person, Running

DISCOVERED_S = 30.0
WORKER = "Deployment run-health/worker"
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      nodeSelector: {{{selector}}}
      containers:
        - name: {name}
          image: busybox:1.37
          command: [sleep, infinity]
          securityContext:
            allowPrivilegeEscalation: false
            runAsNonRoot: true
            capabilities: {{drop: [ALL]}}
            seccompProfile: {{type: RuntimeDefault}}
"""
CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
"""


SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: refused}}
spec: {{{}}}
"""
UNKNOWN_KIND = """
apiVersion: batch/v9
kind: CronJob
metadata: {name: refused}
"""
REFUSED = (
    (SERVICE.format("ports: [{port: 70000}]"), "Service run-health/refused: [spec.ports[0].port: Invalid"),
    (SERVICE.format("type: NodePort"), "Service run-health/refused: spec.ports: Required value"),
    (UNKNOWN_KIND, 'CronJob run-health/refused: no matches for kind "CronJob" in version "batch/v9"'),
)


@pytest.fixture
def sync(session: SharedSession, developer: Person) -> Iterator[Running]:
    """The owner's sync, with no rights but those of the session, once everything is healthy."""
    owner = Person(env=developer.env, cwd=session.root)
    with owner.leaves_running("sync", session.name, "--allow-prune") as running:
        running.tells("save_healthy")
        yield running


def add(session: SharedSession, name: str, selector: str = "") -> None:
    (session.root / f"{name}.yaml").write_text(DEPLOYMENT.format(name=name, selector=selector))


def worker_pod(admin: Person, namespace: str) -> str:
    pods = admin.get("pods", namespace)
    names = (str(pod["metadata"]["name"]) for pod in pods)
    return next(name for name in names if name.startswith("worker-"))


def write_status(admin: Person, namespace: str, pod: str, *, ready: str, **container: Any) -> None:
    """Say of a pod what a kubelet would."""
    status = {
        "conditions": [{"type": name, "status": ready} for name in ("Ready", "ContainersReady")],
        "containerStatuses": [
            {
                "name": "worker",
                "image": "busybox:1.37",
                "imageID": "",
                "ready": ready == "True",
                "restartCount": 0,
                **container,
            }
        ],
    }
    flags = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    admin.kubectl("-n", namespace, "patch", "pod", pod, *flags)


def test_a_save_is_told_healthy_with_its_times(session: SharedSession, sync: Running) -> None:
    add(session, "second")
    save = sync.tells("save_applied")["save"]
    times = sync.tells("save_healthy", save=save)["times_ms"]
    assert times["healthy"] >= times["applied"] > 0
    assert not [event for event in sync.told if event.get("health") == "failed"]


def test_a_pod_that_fits_no_node_is_told_with_why_and_holds_no_newer_save_up(
    session: SharedSession, sync: Running
) -> None:
    add(session, "picky", "disk: golden")
    told = sync.tells_until(
        lambda told: "can't be scheduled: 0/1 nodes are available" in told["message"],
        "health_changed",
        object="Deployment run-health/picky",
    )
    assert told["health"] == "progressing"
    assert "preemption" not in told["message"]
    (session.root / "settings.yaml").write_text(
        (session.root / "settings.yaml").read_text().replace("30s", "31s")
    )
    newer = sync.tells("save_applied")["save"]
    (session.root / "picky.yaml").unlink()
    assert sync.tells("save_healthy")["save"] > newer


def test_a_claim_that_no_volume_answers_is_told(session: SharedSession, sync: Running) -> None:
    (session.root / "claim.yaml").write_text(CLAIM)
    told = sync.tells_until(
        lambda told: "volume" in told["message"],
        "health_changed",
        object="PersistentVolumeClaim run-health/data",
    )
    assert told["health"] == "progressing"


def test_what_happens_to_a_pod_later_is_told_and_its_recovery_too(
    session: SharedSession, sync: Running, admin: Person
) -> None:
    pod = worker_pod(admin, session.namespace)
    ended = {"exitCode": 137, "reason": "OOMKilled"}
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}
    crash = {"state": {"waiting": waiting}, "lastState": {"terminated": ended}}
    write_status(admin, session.namespace, pod, ready="False", **crash)
    told = sync.tells("health_changed", object=WORKER, health="failed")
    assert told["message"] == f"pod {pod}, container worker crashes: OOMKilled, exit code 137"
    pull = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "busybox:1.37": no such tag'}
    write_status(admin, session.namespace, pod, ready="False", state={"waiting": pull}, lastState=None)
    told = sync.tells("health_changed", object=WORKER, health="failed")
    assert told["message"] == f"pod {pod}: image busybox:1.37 can't be pulled: no such tag"
    running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    write_status(admin, session.namespace, pod, ready="True", state=running)
    sync.tells("health_changed", object=WORKER, health="ready")


def test_a_quota_that_is_used_up_is_told(session: SharedSession, sync: Running, admin: Person) -> None:
    admin.kubectl("-n", session.namespace, "create", "quota", "tight", "--hard=pods=1")
    try:
        add(session, "more")
        told = sync.tells("health_changed", object="Deployment run-health/more", health="failed")
        assert "its pods are refused: exceeded quota: tight" in told["message"]
    finally:
        admin.kubectl("-n", session.namespace, "delete", "quota", "tight")


def test_what_pod_security_refuses_is_told(session: SharedSession, sync: Running) -> None:
    careless = DEPLOYMENT.format(name="careless", selector="").partition("          securityContext:")[0]
    (session.root / "careless.yaml").write_text(careless)
    told = sync.tells("health_changed", object="Deployment run-health/careless", health="failed")
    assert 'its pods are refused: violates PodSecurity "restricted' in told["message"]
    assert "allowPrivilegeEscalation" in told["message"]


@pytest.mark.parametrize(("text", "fact"), REFUSED)
def test_what_flux_can_not_apply_is_told_by_object_and_fact(
    session: SharedSession, developer: Person, text: str, fact: str
) -> None:
    owner = Person(env=developer.env, cwd=session.root)
    with owner.leaves_running("sync", session.name, "--allow-prune", "--no-preflight") as sync:
        sync.tells("save_applied")
        (session.root / "refused.yaml").write_text(text)
        told = sync.tells("save_failed")
    assert told["message"].startswith(fact)
    assert told["hint"]


GADGETS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
spec:
  group: example.com
  names: {kind: Gadget, plural: gadgets}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object}}
"""


@pytest.fixture
def gadgets(admin: Person, session: SharedSession, tmp_path: Path) -> Iterator[None]:
    """A kind that the session may apply, by somebody's word, and that its owner may not see."""
    (tmp_path / "gadgets.yaml").write_text(GADGETS)
    admin.kubectl("apply", "-f", str(tmp_path / "gadgets.yaml"))
    admin.kubectl("wait", "crd/gadgets.example.com", "--for=condition=Established")
    listing = ("api-resources", "--api-group=example.com", "-o", "name")
    assert wait_until(lambda: "gadgets" in admin.kubectl(*listing), DISCOVERED_S)  # later than Established
    here, account = ("-n", session.namespace), f"--serviceaccount={session.namespace}:flux-run"
    admin.kubectl("create", "role", "gadgets", "--verb=*", "--resource=gadgets.example.com", *here)
    admin.kubectl("create", "rolebinding", "gadgets", "--role=gadgets", account, *here)
    yield
    for kind in ("role", "rolebinding"):
        admin.kubectl("delete", kind, "gadgets", *here)
    admin.kubectl("delete", "crd", "gadgets.example.com")


@pytest.mark.usefixtures("gadgets")
def test_a_save_is_not_reported_healthy_over_objects_that_the_owner_may_not_watch(
    session: SharedSession, sync: Running
) -> None:
    gadget = session.root / "gadget.yaml"
    gadget.write_text("apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: g}\n")
    save = sync.tells("save_applied")["save"]
    told = sync.tells("save_partly_healthy", save=save)
    assert (told["not_watched"], told["kinds"]) == (1, ["Gadget.example.com"])
    assert told["ready"] > 0
    gadget.unlink()
    sync.tells("save_healthy")
