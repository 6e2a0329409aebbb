"""kubectl on a sandbox, as its administrator."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from gitops_run.sandbox.state import Sandbox


def run_kubectl(sandbox: Sandbox, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KUBECONFIG": str(sandbox.kubeconfig)}
    command: list[str | Path] = [sandbox.binaries["kubectl"], *arguments]
    return subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, check=False)


def kubectl(sandbox: Sandbox, *arguments: str, stdin: str = "") -> str:
    answer = run_kubectl(sandbox, *arguments, stdin=stdin)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def apply(sandbox: Sandbox, *objects: dict[str, Any]) -> None:
    kubectl(sandbox, "apply", "--filename=-", stdin=yaml.safe_dump_all(objects))
