"""Find out whether Pulumi can get its kubernetes plugin here: one try, whose outcome is remembered."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from gitops_run.sandbox.state import Sandbox, write_private

_TRY_S = 20
_REASON_LENGTH = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginOutcome:
    """Hold whether the plugin of one version is there, and if not, why."""

    version: str
    is_installed: bool
    reason: str


def plugin_outcome(sandbox: Sandbox, pulumi: Path) -> PluginOutcome:
    """Return what became of the plugin's installation, trying it where that hasn't been done yet."""
    version = importlib.metadata.version("pulumi-kubernetes")
    memory = sandbox.folder / "kubernetes-plugin.json"
    if memory.exists():
        known = PluginOutcome(**json.loads(memory.read_text()))
        if known.version == version:
            return known
    outcome = _install(pulumi, version)
    write_private(memory, json.dumps(asdict(outcome)))
    return outcome


def _install(pulumi: Path, version: str) -> PluginOutcome:
    command = [str(pulumi), "plugin", "install", "resource", "kubernetes", version, "--color=never"]
    environment = os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=_TRY_S)
    except subprocess.TimeoutExpired:
        return PluginOutcome(version=version, is_installed=False, reason=f"no answer within {_TRY_S} s")
    except subprocess.CalledProcessError as failure:
        reason = " ".join(failure.stderr.split())[-_REASON_LENGTH:]
        return PluginOutcome(version=version, is_installed=False, reason=reason)
    return PluginOutcome(version=version, is_installed=True, reason="")
