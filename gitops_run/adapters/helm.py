"""Rendering by helm, as helm-controller renders: from a copy, with the session's namespace and values.

Knows the process and the form of its errors. Hooks are no objects of a release, and are left out.
Source: helm 4, cmd template and pkg/engine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import anyio
import yaml

from gitops_run.adapters.kubectl import RENDER_S, StagedSnapshot
from gitops_run.errors import UsageError
from gitops_run.model.helm_release import CHART_FILE, HelmValues
from gitops_run.model.problem import Problem

_HOOK: Final = "helm.sh/hook"
_HOME_VARIABLES: Final = ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_PLACE = re.compile(r"([\w.-]+/[\w./-]*templates/[\w./-]+?):(\d+)")
_AT = re.compile(r"error at \([^)]*\): (.*)", re.DOTALL)
_RENDERED = re.compile(r"YAML parse error on ([^:]+): (.*)", re.DOTALL)
_LOADED = re.compile(r"(cannot load|failed to parse) (\S+?\.yaml): (.*)", re.DOTALL)
_LINE = re.compile(r"yaml: line (\d+)")
_WRAPPING = "error converting YAML to JSON: "


def find_helm() -> str:
    """Find helm on PATH. Raises UsageError: unrendered, nobody can tell what a save would prune."""
    found = shutil.which("helm")
    if not found:
        raise UsageError(
            "the session's target is a chart, and there is no helm here to render it with",
            hint="install helm 4: https://helm.sh/docs/intro/install; in a sandbox: gitops-run sandbox env",
        )
    return found


class Helm:
    """Render the chart of one session. work: a folder of its own, for helm's caches."""

    def __init__(self, namespace: str, values: HelmValues, work: Path) -> None:
        self._helm = find_helm()
        self._namespace = namespace
        self._values = values
        self._work = work

    async def render(self, snapshot: StagedSnapshot, target: str) -> str | Problem:
        """Render a chart as Flux will: YAML, or what is wrong."""
        if snapshot.read_text(_join(target, CHART_FILE)) is None:
            return Problem(
                path=_join(target, CHART_FILE),
                message="this is gone, and the session was made for a chart",
                hint="bring it back, or make the session anew: gitops-run down, then gitops-run up",
            )
        for path in self._values.values_files:
            if snapshot.read_text(path) is None:
                return Problem(
                    path=path,
                    message="this values file is gone, and the session needs it",
                    hint="bring it back, or name others: gitops-run up with --values-files",
                )
        command = self._command(snapshot.folder, target)
        with anyio.move_on_after(RENDER_S):
            result = await anyio.run_process(
                command, check=False, stdin=subprocess.DEVNULL, env=self._environment()
            )
            if result.returncode == 0:
                return without_hooks(result.stdout.decode())
            message = result.stderr.decode("utf-8", "replace")
            return explain_failure(message, folder=str(snapshot.folder), target=target)
        return Problem(path=target, message=f"helm did not end within {RENDER_S:.0f} s")

    def _command(self, folder: Path, target: str) -> list[str]:
        values = (f"--values={folder / path}" for path in self._values.values_files)
        chart = str(folder / target)
        place = ("--namespace", self._namespace, "--include-crds")
        return [self._helm, "template", self._values.release_name, chart, *place, *values]

    def _environment(self) -> dict[str, str]:
        """Keep helm away from the user's plugins, repositories and cluster."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HELM_")}
        homes = {variable: str(self._work / variable.lower()) for variable in _HOME_VARIABLES}
        return {**kept, **homes, "KUBECONFIG": os.devnull}


def without_hooks(rendered: str) -> str:
    """Leave out hooks: they run and aren't part of what a release holds."""
    if _HOOK not in rendered:
        return rendered
    documents = [document for document in yaml.load_all(rendered, Loader=_Loader) if document]
    return yaml.dump_all([d for d in documents if not _is_hook(d)], Dumper=_Dumper, sort_keys=False)


def _is_hook(document: object) -> bool:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return isinstance(annotations, dict) and _HOOK in annotations


def explain_failure(message: str, *, folder: str, target: str) -> Problem:
    """Turn what helm wrote on standard error into one problem with file and line.

    folder: the absolute folder that the chart was rendered from; it is taken out of the message.
    """
    lines = [line for line in message.splitlines() if not line.startswith(("level=", "WARNING"))]
    text = "\n".join(lines).replace(f"{folder}/", "").replace(folder, ".").strip()
    text = text.removeprefix("Error: ").partition("\n\nUse --debug")[0].strip()
    if rendered := _RENDERED.search(text):
        inner = rendered[2].removeprefix(_WRAPPING)
        path = _in_target(rendered[1], target)
        return Problem(path=path, message=f"what this renders to is not valid YAML: {inner}")
    if loaded := _LOADED.search(text):
        inner = loaded[3].rpartition(_WRAPPING)[2]
        path = _join(target, loaded[2]) if loaded[1] == "cannot load" else loaded[2]
        stated = _LINE.search(inner)
        return Problem(path=path, line=int(stated[1]) if stated else None, message=f"not valid YAML: {inner}")
    if places := _PLACE.findall(text):
        path, line = places[-1]
        at = _AT.search(text)
        inner = at[1] if at else text.splitlines()[-1]
        return Problem(path=_in_target(path, target), line=int(line), message=inner.strip())
    return Problem(path=_join(target, CHART_FILE), message=text or "helm failed")


def _in_target(path: str, target: str) -> str:
    """Turn helm's path, which begins with the chart's name, into one within the root."""
    return _join(target, path.partition("/")[2])


def _join(target: str, path: str) -> str:
    return path if target == "." else f"{target}/{path}"
