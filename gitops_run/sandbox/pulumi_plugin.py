"""Find out whether Pulumi has its kubernetes plugin here, and try to install it where it hasn't.

This module knows where Pulumi keeps plugins. A failed try is remembered for a while, so that a machine
without a network doesn't wait for one at each start; a plugin that comes in any other way is found at once.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from gitops_run.adapters.pulumi.own_plugin import plugins_folder
from gitops_run.sandbox.state import Sandbox, write_private

_TRY_S: Final = 20
_AGAIN_AFTER_S: Final = 3600
_REASON_LENGTH: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginOutcome:
    """Hold what became of a try to install the plugin of one version, and if it failed, why."""

    version: str
    is_installed: bool
    reason: str


def kubernetes_plugin(environment: Mapping[str, str]) -> Path:
    """Name the program of the kubernetes plugin, where Pulumi has the version that programs ask for."""
    return plugins_folder(environment) / f"resource-kubernetes-v{_version()}" / "pulumi-resource-kubernetes"


def has_kubernetes_plugin(environment: Mapping[str, str]) -> bool:
    """Report whether Pulumi has the kubernetes plugin of the version that programs ask for."""
    program = kubernetes_plugin(environment)
    is_partial = program.parent.with_name(f"{program.parent.name}.partial").exists()
    return program.is_file() and not is_partial


def ensure_kubernetes_plugin(sandbox: Sandbox, pulumi: Path) -> bool:
    """Report whether Pulumi has the plugin; try to install it unless that failed within an hour."""
    if has_kubernetes_plugin(os.environ):
        return True
    memory = sandbox.folder / "kubernetes-plugin.json"
    if not _has_failed_lately(memory):
        write_private(memory, json.dumps(asdict(_install(pulumi, _version()))))
    return has_kubernetes_plugin(os.environ)


def _version() -> str:
    return importlib.metadata.version("pulumi-kubernetes")


def _has_failed_lately(memory: Path) -> bool:
    if not memory.exists() or time.time() - memory.stat().st_mtime > _AGAIN_AFTER_S:
        return False
    known = PluginOutcome(**json.loads(memory.read_text()))
    return known.version == _version() and not known.is_installed


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
