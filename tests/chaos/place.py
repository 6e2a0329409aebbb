"""A sandbox of its own with one session, whose store and API server are reached through the proxies."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from gitops_run.adapters.machine.host import is_running
from gitops_run.errors import NotFound
from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.journal import read_state, recorded_processes
from gitops_run.sandbox.processes import wait_until
from gitops_run.sandbox.state import LOOPBACK, NodeKind, Sandbox, write_private
from tests.conftest import homes
from tests.people import COMMAND

SANDBOX = "chaos"
SESSION = "chaos"
NAMESPACE = f"run-{SESSION}"
UP_S = 180.0
RESTART_S = 60.0
OWN_FOLDERS = ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything happens. env: that of a person who uses the sandbox through the proxies."""

    folder: Path
    sandbox: Sandbox
    env: Mapping[str, str]

    @property
    def artifacts(self) -> Path:
        """The folder from which source-controller serves what Flux applies."""
        return self.sandbox.folder / "artifacts" / "bucket" / NAMESPACE / SESSION

    @property
    def objects(self) -> Path:
        """The folder in which the store keeps all buckets."""
        return self.sandbox.folder / "store" / "objects"

    def home(self, name: str) -> dict[str, str]:
        """Give a person a home, and a cache, of their own."""
        home = self.folder / name
        home.mkdir(exist_ok=True)
        return {**self.env, **homes(home), "XDG_CACHE_HOME": str(home / "cache")}

    def up(self, root: Path) -> None:
        """Make the session. Raises AssertionError with the command's output."""
        command = [*COMMAND, "up", SESSION, str(root), "--root", str(root)]
        with subprocess.Popen(
            command,
            env=self.home("first"),
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=UP_S)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)  # with the engine that it started
                raise
        assert process.returncode == 0, f"up ended with {process.returncode}: {output}"

    def end_part(self, part: str, number: signal.Signals) -> int:
        """Send a signal to a part of the sandbox, which starts it again; return its process id."""

        def runs() -> bool:
            entry = read_state(self.sandbox.folder)["parts"].get(part, {})
            process = recorded_processes(read_state(self.sandbox.folder)).get(part)
            return entry.get("state") == "ready" and process is not None and is_running(process)

        assert wait_until(runs, RESTART_S), f"{part} was not ready within {RESTART_S:.0f} s"
        pid = recorded_processes(read_state(self.sandbox.folder))[part].pid
        os.kill(pid, number)
        return pid


def start(folder: Path) -> Sandbox:
    """Start the sandbox with everything that it keeps below a folder."""
    os.environ |= {name: str(folder / name.lower()) for name in OWN_FOLDERS}
    return lifecycle.start(SANDBOX, folder / "sandboxes", node=NodeKind.SIMULATED)


def stop(folder: Path) -> None:
    """End the sandbox, wherever its start was interrupted."""
    with suppress(NotFound):
        lifecycle.stop(SANDBOX, folder / "sandboxes")


def through_proxies(folder: Path, sandbox: Sandbox, store_port: int, api_port: int) -> Place:
    """Write settings and a kubeconfig that lead to the proxies."""
    config = yaml.safe_load(sandbox.kubeconfig.read_text())
    for cluster in config["clusters"]:
        cluster["cluster"]["server"] = f"https://{LOOPBACK}:{api_port}"
    settings = yaml.safe_load(sandbox.settings.read_text())
    settings |= {
        "endpoint": f"https://{LOOPBACK}:{store_port}",
        "kubeconfig": str(folder / "kubeconfig"),
    }
    write_private(folder / "kubeconfig", yaml.safe_dump(config))
    write_private(folder / "settings.yaml", yaml.safe_dump(settings))
    env = {
        **os.environ,
        **sandbox.env,
        "GITOPS_RUN_SETTINGS": str(folder / "settings.yaml"),
        "KUBECONFIG": str(folder / "kubeconfig"),
    }
    return Place(folder, sandbox, env)
