"""The collector's image in a pod of a real node: imported from its layout, run by the platform's CronJob."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from gitops_run.sandbox.node.importing import import_archive
from gitops_run.sandbox.processes import wait_until
from gitops_run.sandbox.state import Sandbox
from tests.people import Person

BUILD_S = 600
PATIENCE_S = 150.0
pytestmark = [pytest.mark.real_node, pytest.mark.timeout(2 * BUILD_S)]

NAME = "collected"
IMAGE = "registry.example.com/gitops-run:test"
NEVER = "0 0 31 2 *"
SPACE, COLLECTOR, JOB = "gitops-run-system", "gitops-run-collector", "once"
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {value: one}\n"


@pytest.fixture(scope="module")
def image(real_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build the image as `make image` does, and import it under the name that a registry would give it."""
    folder = tmp_path_factory.mktemp("image")
    layout, archive = folder / "layout", folder / "image.tar"
    command = [sys.executable, "-m", "image", "--out", str(layout)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_S)
    assert done.returncode == 0, done.stderr
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0]["annotations"]["io.containerd.image.name"] = IMAGE
    (layout / "index.json").write_text(json.dumps(index))
    with tarfile.open(archive, "w") as tar:
        for part in sorted(layout.iterdir()):
            tar.add(part, part.name)
    assert import_archive(real_sandbox, archive) == (IMAGE,)
    return IMAGE


def test_the_cron_job_ends_an_expired_session_from_its_pod(
    real_admin: Person, image: str, tmp_path: Path
) -> None:
    collecting = ("--collector-image", image, "--collector-schedule", NEVER)
    made = real_admin.types("platform", "up", *collecting, timeout_s=PATIENCE_S)
    assert made.code == 0, made.err
    (tmp_path / "settings.yaml").write_text(CONFIG)
    real_admin.succeeds("up", NAME, str(tmp_path), "--root", str(tmp_path), "--ttl", "5s")
    assert wait_until(lambda: NAME in expired(real_admin), PATIENCE_S)
    real_admin.kubectl("create", "job", JOB, f"--from=cronjob/{COLLECTOR}", "-n", SPACE)
    try:
        wait = ("wait", f"job/{JOB}", "-n", SPACE, "--for=condition=complete")
        real_admin.kubectl(*wait, f"--timeout={PATIENCE_S:.0f}s", timeout_s=PATIENCE_S + 10)
        assert f"session {NAME}" in real_admin.kubectl("logs", f"job/{JOB}", "-n", SPACE)
    finally:
        real_admin.kubectl("delete", "job", JOB, "-n", SPACE)
    assert f"run-{NAME}" not in real_admin.names("namespace")
    assert f"{COLLECTOR} ended session" in real_admin.succeeds("down", NAME).err


def expired(person: Person) -> set[str]:
    found = person.succeeds("gc", "-o", "json").json
    return {one["session"] for one in found if one["kind"] == "expired"}
