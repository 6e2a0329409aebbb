"""What a person waits for where pods are containers: platform, the bucket beside a session, the way there."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import p50, percentiles, seconds
from benchmarks.floor import floor
from benchmarks.process import program_of, resident_mb
from benchmarks.session import FIRST_PATIENCE_S, Bench, Session, session
from benchmarks.targets import make_target
from gitops_run.model.names import STORE_SERVER, SessionName
from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.node.images import TRIAL_IMAGES
from gitops_run.sandbox.node.machine import members
from gitops_run.sandbox.node.requirements import obstacle, this_machine
from gitops_run.sandbox.state import NodeKind
from tests.people import Person, Running

OBJECTS = 10
ROUNDS = 2
SAVES = 20
ROLLOUTS = 5
FILES = 1_000
PLATFORM_PATIENCE_S = 180.0
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      securityContext: {{runAsNonRoot: true, runAsUser: 1000, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
        - name: web
          image: {image}
          args: [serve, -body, "{body}"]
          securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
          readinessProbe: {{httpGet: {{path: /readyz, port: 8080}}, periodSeconds: 1}}
"""


def measure_real(bench: Bench) -> dict[str, Any]:
    """Measure on a node that runs containers; nothing, and told so, where there can't be one."""
    if problem := obstacle(this_machine()):
        print(f"real: not measured, there is no real node here: {problem}")
        return {}
    name = f"{bench.sandbox.name}-real"
    lifecycle.start(name, node=NodeKind.REAL)  # builds and imports what later starts find
    lifecycle.stop(name)
    began = time.monotonic()
    sandbox = lifecycle.start(name, node=NodeKind.REAL)
    try:
        real: dict[str, Any] = {"node_ready_s": round(time.monotonic() - began, 2)}
        there = Bench(sandbox, bench.folder)
        person = there.person(bench.folder)
        real["platform_up_s"] = round(seconds(lambda: _platform(person, "up")), 2)
        real |= _ten(there)
        real |= _thousand(there)
        _platform(person, "down")
    finally:
        lifecycle.stop(name)
    return {"real": real}


def _platform(person: Person, verb: str) -> None:
    finished = person.types("platform", verb, timeout_s=PLATFORM_PATIENCE_S)
    if finished.code:
        raise RuntimeError(f"platform {verb}: {finished.err}")


def _ten(bench: Bench) -> dict[str, Any]:
    """Measure saves of one among ten files, rollouts, and a bucket server that is replaced."""
    root = make_target(bench.folder / "real", OBJECTS)
    began = time.monotonic()
    with session(bench, "real", root) as made:
        floors: list[float] = []
        with made.synced() as sync:
            first_applied_s = time.monotonic() - began
            rest_mb = _server_mb(bench)
        for _ in range(ROUNDS):
            with made.synced() as sync:
                made.save(sync, SAVES)
            floors += floor(made, SAVES)
        with made.synced() as sync:
            healthy = [_rollout(root, sync, number) for number in range(ROLLOUTS)]
            heal_s = _replace_server(made, sync)
        return {
            "up_first_applied_s": round(first_applied_s, 2),
            **_named("save", made.saves),
            **_named("floor", floors),
            "healthy_p50_ms": p50(healthy),
            "forward_heal_s": round(heal_s, 2),
            "store_rest_mb": rest_mb,
        }


def _named(name: str, times: list[float]) -> dict[str, int]:
    return {f"{name}_{key}_ms": value for key, value in percentiles(times).items()}


def _rollout(root: Path, sync: Running, number: int) -> float:
    """Save another state of a Deployment and wait until it is healthy. Returns milliseconds."""
    image = TRIAL_IMAGES[number % len(TRIAL_IMAGES)]
    (root / "web.yaml").write_text(WEB.format(image=image, body=number), encoding="utf-8")
    (root / "kustomization.yaml").write_text(_with_web(root), encoding="utf-8")
    save = sync.tells("save_pushed")["save"]
    return float(sync.tells("save_healthy", save=save)["times_ms"]["healthy"])


def _with_web(root: Path) -> str:
    text = (root / "kustomization.yaml").read_text(encoding="utf-8")
    return text if "web.yaml" in text else f"{text}  - web.yaml\n"


def _replace_server(made: Session, sync: Running) -> float:
    """Delete the bucket server's pod. Returns seconds from the new one's readiness to a full bucket."""
    where = ("-n", SessionName.parse(made.name).namespace)
    name = f"{STORE_SERVER}-0"
    old = made.person.kubectl("get", "pod", name, *where, "-o", "jsonpath={.metadata.uid}")
    states = made.person.starts(
        "kubectl", "get", "pod", name, *where, "--watch", "-o", f"jsonpath={_STATE}", has_output=True
    )
    try:
        made.person.kubectl("delete", "pod", name, *where, "--wait=false")
        ready = next(datetime.now(UTC) for uid, is_ready in _states(states) if uid != old and is_ready)
        filled = datetime.fromisoformat(sync.tells("save_pushed", patience_s=FIRST_PATIENCE_S)["ts"])
    finally:
        states.terminate()
        states.communicate()
    return (filled - ready).total_seconds()


_STATE = '{.metadata.uid} {.status.conditions[?(@.type=="Ready")].status}{"\\n"}'


def _states(watch: subprocess.Popen[str]) -> Iterator[tuple[str, bool]]:
    """Read a watched pod's UID and whether it is ready, as kubectl tells them."""
    assert watch.stdout is not None
    for line in watch.stdout:
        uid, _, ready = line.strip().partition(" ")
        yield uid, ready == "True"


def _thousand(bench: Bench) -> dict[str, Any]:
    """Measure the first upload of a thousand files, and what the server has in memory after it."""
    root = make_target(bench.folder / "real-1000", FILES)
    with session(bench, "real-1000", root) as made:
        command = ("sync", made.name, "--root", str(root), "--allow-prune")
        with made.person.leaves_running(*command) as sync:
            times = sync.tells("save_pushed", patience_s=FIRST_PATIENCE_S)["times_ms"]
            sync.tells("save_applied", patience_s=FIRST_PATIENCE_S)
            loaded_mb = _server_mb(bench)
    return {
        "first_upload_1000_s": round((times["uploaded"] - times["fenced"]) / 1000, 2),
        "store_loaded_mb": loaded_mb,
    }


def _server_mb(bench: Bench) -> int:
    """Read the resident memory of the bucket server of the only session."""
    [server] = [pid for pid in members(bench.sandbox.folder) if program_of(pid) == "versitygw"]
    return resident_mb(server)
