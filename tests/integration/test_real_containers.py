"""What a developer is told of real containers: kubelet, registry, kernel and admission say it themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import expect

from gitops_run.sandbox.node.images import TRIAL_IMAGES
from tests.browser.chromium import chromium
from tests.integration.page_visits import needs_chromium, visiting
from tests.people import Person, Running

pytestmark = [pytest.mark.real_node, pytest.mark.timeout(300)]

NAME = "containers"
NAMESPACE = f"run-{NAME}"
FIRST_IMAGE, SECOND_IMAGE = TRIAL_IMAGES
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  progressDeadlineSeconds: 60
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      {pod}
      securityContext: {{runAsNonRoot: true, runAsUser: 1000, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
        - name: web
          image: {image}
          args: {args}
          securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
          resources: {{limits: {{memory: {memory}}}}}
          readinessProbe: {{httpGet: {{path: /readyz, port: 8080}}, periodSeconds: 1}}
          livenessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1, failureThreshold: 1}}
"""
CARELESS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: broken}
spec:
  selector: {matchLabels: {app: broken}}
  template:
    metadata: {labels: {app: broken}}
    spec:
      containers: [{name: web, image: gitops-run.dev/trial:1}]
"""


@dataclass(frozen=True)
class Place:
    """A session on the real node, and the sync of its owner."""

    root: Path
    admin: Person
    sync: Running

    def write(self, name: str, text: str = "", **said: object) -> None:
        """Save a Deployment. said: what differs from one that is well."""
        plain = {
            "name": name,
            "image": FIRST_IMAGE,
            "args": "[serve]",
            "memory": "64Mi",
            "replicas": 1,
            "pod": "",
        }
        (self.root / f"{name}.yaml").write_text(text or WEB.format(**{**plain, **said}))

    def hears(self, name: str, health: str, pattern: str = "") -> str:
        """Wait until the health of a Deployment is told in these words. Returns its message."""
        while True:
            told = self.sync.tells(
                "health_changed", object=f"Deployment {NAMESPACE}/{name}", health=health, patience_s=90
            )
            if re.search(pattern, told["message"]):
                return f"{told['message']} {told['log']}"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("containers")


@pytest.fixture(scope="module")
def session(real_admin: Person, root: Path) -> Iterator[Person]:
    real_admin.succeeds("up", NAME, str(root), "--root", str(root))
    yield real_admin
    real_admin.succeeds("down", NAME)


@pytest.fixture
def place(session: Person, root: Path) -> Iterator[Place]:
    """A sync over one healthy Deployment."""
    for file in root.iterdir():
        file.unlink()
    with Person(env=session.env, cwd=root).leaves_running("sync", NAME, "--allow-prune") as sync:
        made = Place(root, session, sync)
        made.write("web")
        sync.tells("save_healthy", patience_s=90)
        yield made


def test_an_image_that_is_not_there_is_told(place: Place) -> None:
    place.write("broken", image="gitops-run.dev/absent:1")
    told = place.hears("broken", "failed")
    assert "image gitops-run.dev/absent:1 can't be pulled" in told


def test_a_container_that_crashes_is_told_with_its_last_words(place: Place) -> None:
    place.write("broken", args='[crash, -line, "no database at db:5432", -code, "3"]')
    told = place.hears("broken", "failed", "crashes")
    assert "exit code 3" in told
    assert "no database at db:5432" in told


@needs_chromium
def test_the_page_has_the_logs_of_all_pods_and_of_the_time_before_a_crash(place: Place) -> None:
    place.write("broken", args='[crash, -line, "no database at db:5432", -code, "3"]')
    place.hears("broken", "failed", "crashes")
    with chromium() as browser, visiting(place.admin, browser) as visit:
        page = visit.opens(f"/s/{NAMESPACE}/{NAME}?tab=logs")
        expect(page.locator("#log-pod option")).to_have_count(3)
        expect(page.locator("#log-lines")).to_contain_text("no database at db:5432")
        page.get_by_label("Before the crash").check()
        expect(page.locator("#log-lines")).to_contain_text("no database at db:5432")
        expect(page.locator("#log-note")).to_contain_text("no container of this pod was started again")


def test_a_container_that_takes_too_much_memory_is_told(place: Place) -> None:
    place.write("broken", args='[eat, -megabytes, "200"]', memory="32Mi")
    assert "OOMKilled" in place.hears("broken", "failed", "crashes")


def test_a_probe_that_fails_is_told(place: Place) -> None:
    place.write("broken", args="[serve, -unready]")
    told = place.hears("broken", "progressing", "statuscode: 503")
    assert "Readiness probe failed" in told


def test_a_pod_that_fits_no_node_is_told(place: Place) -> None:
    place.write("broken", pod="nodeSelector: {disk: golden}")
    told = place.hears("broken", "progressing", "scheduled")
    assert "0/1 nodes are available" in told


def test_a_quota_that_is_used_up_is_told(place: Place) -> None:
    place.admin.kubectl("-n", NAMESPACE, "create", "quota", "tight", "--hard=pods=1")
    try:
        place.write("broken")
        assert "exceeded quota: tight" in place.hears("broken", "failed")
    finally:
        place.admin.kubectl("-n", NAMESPACE, "delete", "quota", "tight")


def test_what_pod_security_refuses_is_told(place: Place) -> None:
    place.write("broken", text=CARELESS)
    assert 'violates PodSecurity "restricted' in place.hears("broken", "failed")


def test_a_rollout_is_told_as_applied_and_then_as_healthy_with_their_times(place: Place) -> None:
    place.write("web", image=SECOND_IMAGE)
    applied = place.sync.tells("save_applied")
    healthy = place.sync.tells("save_healthy", save=applied["save"], patience_s=60)
    assert healthy["times_ms"]["healthy"] > healthy["times_ms"]["applied"] == applied["times_ms"]["applied"]
    images = {
        pod["spec"]["containers"][0]["image"]
        for pod in place.admin.get("pods", NAMESPACE)
        if pod["metadata"]["labels"].get("app") == "web" and "deletionTimestamp" not in pod["metadata"]
    }
    assert images == {SECOND_IMAGE}


def test_a_newer_save_amid_a_rollout_is_not_held_up(place: Place) -> None:
    place.write("web", args="[serve, -delay, 20s]")
    slow = place.sync.tells("save_applied")["save"]
    place.write("web", args="[serve, -body, newer]")
    newer = place.sync.tells("save_applied", patience_s=10)["save"]
    healthy = place.sync.tells("save_healthy", patience_s=15)["save"]
    assert (newer, healthy) == (slow + 1, newer)
