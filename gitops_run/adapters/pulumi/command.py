"""Pulumi's command line as a child that ends in good order.

The Automation API's own command shares our terminal's signals: Ctrl-C would reach Pulumi and Python at once,
and a second one kills it during its work. Here it runs in a session of its own and is signalled once.

What Pulumi and its plugins write is for the user's eyes alone, and their temporary files go with them: the
kubernetes plugin leaves a copy of the kubeconfig, with its keys, behind each run (4.34, provider/util.go).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import IO, Final

from pulumi import automation
from semver import VersionInfo

from gitops_run.adapters.machine.scratch import Scratch, scratch_folder
from gitops_run.adapters.pulumi.runs import Runs
from gitops_run.errors import BackendError
from gitops_run.model.session.setting_table import SETTINGS
from gitops_run.model.text.masking import Masker

SPEAKS: VersionInfo = VersionInfo(3, 206, 0)
"""The oldest version that reports its events over gRPC; Pulumi.yaml requires it, and Pulumi checks that."""

OWNER_ONLY: Final = 0o077
_OWN_SECRETS: Final = frozenset(setting.variable for setting in SETTINGS if setting.is_secret)

Listener = Callable[[str], object]


def require_pulumi() -> None:
    """Make sure that there is Pulumi. Raises BackendError."""
    if shutil.which("pulumi") is None:
        raise BackendError(
            "pulumi is not on PATH",
            hint='install it (https://www.pulumi.com/docs/install), or: eval "$(gitops-run sandbox env)"',
        )


class PulumiProcess(automation.PulumiCommand):
    """Run pulumi from PATH, one run at a time, and interrupt it."""

    def __init__(self, runs: Runs, masker: Masker | None = None) -> None:
        """Skip the base's own start: it runs `pulumi version`, 0.2 s, for what Pulumi.yaml says already.

        runs: where each run is recorded. masker: knows what must not be in an error.
        """
        self._runs = runs
        self._masker = masker or Masker()
        self.command = "pulumi"
        self.version = SPEAKS
        self.is_interrupted = False
        self._child: subprocess.Popen[str] | None = None

    def interrupt(self) -> None:
        """Ask the running pulumi to stop after what it is doing. A second call changes nothing."""
        if not self.is_interrupted:
            self.is_interrupted = True
            self._pass_on()

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Listener | None = None,
        on_error: Listener | None = None,
    ) -> automation.CommandResult:
        """Run one command to its end. Raises the Automation API's CommandError where it fails."""
        with (
            scratch_folder(os.environ) as scratch,
            subprocess.Popen(
                [self.command, "--non-interactive", *args],
                cwd=cwd,
                env=_environment(additional_env, scratch),
                pass_fds=(scratch.lock,),
                umask=OWNER_ONLY,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            ) as child,
        ):
            self._child = child
            known = self._runs.begin(child.pid)
            if self.is_interrupted:
                self._pass_on()
            try:
                output, errors = _drain(child, on_output, on_error)
            finally:
                self._child = None
            if child.returncode >= 0:
                known.unlink(missing_ok=True)
        result = automation.CommandResult(stdout=output, stderr=errors, code=child.returncode)
        if child.returncode != 0:
            mask = self._masker.mask_whole  # a piece could be in a lock's process id, which is read later
            result.stdout, result.stderr = mask(output), mask(errors)
            raise automation.errors.create_command_error(result)
        return result

    def _pass_on(self) -> None:
        if self._child is not None:
            self._child.send_signal(signal.SIGINT)


def _environment(additional: Mapping[str, str], scratch: Scratch) -> dict[str, str]:
    """Write the environment of pulumi, its plugins, and what these start.

    All of ours is kept, since a state backend, a proxy or a kubeconfig's exec plugin may need any of it:
    needs of it; but for our own secrets, which the program has read already.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _OWN_SECRETS}
    places = dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(scratch.folder))
    return {**kept, **additional, **places, "PULUMI_AUTOMATION_API": "true"}


def _drain(
    child: subprocess.Popen[str], on_output: Listener | None, on_error: Listener | None
) -> tuple[str, str]:
    """Read both streams to their ends, each line to its listener as it comes."""
    lines: tuple[list[str], list[str]] = ([], [])
    readers = [
        threading.Thread(target=_read, args=(stream, listener, kept), daemon=True)
        for stream, listener, kept in zip(
            (child.stdout, child.stderr), (on_output, on_error), lines, strict=True
        )
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    child.wait()
    return "\n".join(lines[0]), "\n".join(lines[1])


def _read(stream: IO[str], listener: Listener | None, kept: list[str]) -> None:
    for line in stream:
        kept.append(line.rstrip())
        if listener:
            listener(line.rstrip())
