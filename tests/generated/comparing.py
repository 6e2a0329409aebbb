"""A tree by the code path of a save, and by Flux's own packages; what differs is a finding.

Knows how each is run. The rendering of a save is compared with what Flux builds from the whole root, and that
with what Flux builds from the files that a save uploads.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import anyio

from gitops_run.adapters.files import WorkTree
from gitops_run.adapters.render.kubectl import Kustomize
from gitops_run.flows.building import Builder, Built
from gitops_run.model.objects.substitution import Variables
from gitops_run.model.tree.kustomize import KUSTOMIZATION_FILES
from gitops_run.model.tree.snapshot import Snapshot
from tests.generated.drafts import GeneratedTree

NAMESPACE = "run-x"

Object = Mapping[str, Any]


class Oracle(AbstractContextManager["Oracle"]):
    """A program that answers lines of JSON, kept running."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def __enter__(self) -> Self:
        self._process = subprocess.Popen([self._program], stdin=-1, stdout=-1, stderr=-3, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()

    def ask(self, question: Mapping[str, Any]) -> Any:
        """Ask one question. Raises RuntimeError where the program ends on it."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(question) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"the program ended on {question}")
        return json.loads(line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Name what differs. kind: false refusal, false pass, difference, closure or wrong file."""

    kind: str
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Hold what came of one tree. unchecked: the objects that only Flux evaluates."""

    findings: tuple[Finding, ...] = ()
    objects: int = 0
    unchecked: int = 0
    is_refused: bool = False
    problems: tuple[str, ...] = field(default=(), repr=False)


def compared(tree: GeneratedTree, flux: Oracle, work: Path) -> Compared:
    """Compare one tree. work: a folder that is emptied before."""
    shutil.rmtree(work, ignore_errors=True)
    tree.write(work / "root")
    (work / "stage").mkdir()
    snapshot, built = _built(tree, work)
    theirs = _asked(flux, tree, shutil.copytree(work / "root", work / "flux", symlinks=True))
    findings: list[Finding] = []
    if any(_NO_LINKS in problem.message for problem in snapshot.problems):
        return Compared(is_refused=True)
    if not snapshot.problems:
        uploaded = _asked(flux, tree, shutil.copytree(snapshot.folder, work / "uploaded"))
        if not _needs_links(tree):
            findings += _closure_findings(theirs, uploaded)
        elif "error" not in uploaded:
            theirs = uploaded
    findings += _findings(tree, theirs, built)
    if "error" in theirs and built.problems:
        findings += misplaced(tree, built, theirs["error"], is_sound=_is_sound(flux, tree, work))
    return Compared(
        findings=tuple(findings),
        objects=len(built.objects),
        unchecked=len(built.unevaluated),
        is_refused="error" in theirs,
        problems=tuple(map(str, built.problems)),
    )


_NO_LINKS = "a copy has no links"
"""How a save is refused on purpose where only a link tells what a file means: a bucket holds none."""


def _needs_links(tree: GeneratedTree) -> bool:
    """Say whether Flux passes over links that a save follows: it names no resources behind them itself."""
    inside = {f"{tree.target}/{name}" for name in KUSTOMIZATION_FILES}
    return bool(tree.links) and not inside & set(tree.files)


def _built(tree: GeneratedTree, work: Path) -> tuple[Snapshot, Built]:
    renderer = Kustomize(NAMESPACE, work / "work")
    variables = Variables(values=tree.variables) if tree.variables else None
    builder = Builder(renderer, tree.target, variables)
    work_tree = WorkTree(work / "root", work / "stage", tree.target)

    async def build() -> tuple[Snapshot, Built]:
        snapshot = await work_tree.snapshot()
        if snapshot.problems:
            return snapshot, Built(problems=snapshot.problems)
        return snapshot, await builder.build(snapshot)

    return anyio.run(build)


def _asked(flux: Oracle, tree: GeneratedTree, root: Path) -> Any:
    question = {"root": str(root), "target": tree.target, "namespace": NAMESPACE}
    answer = flux.ask({**question, "variables": dict(tree.variables)})
    if _INVALID_LABEL in answer.get("built", ""):
        return {"error": f"the API server refuses the label {_INVALID_LABEL}"}
    return answer


_INVALID_LABEL = "app.kubernetes.io/managed-by: kustomize-(devel)"


def _closure_findings(whole: Any, closure: Any) -> list[Finding]:
    if ("error" in whole) != ("error" in closure):
        told = f"whole: {whole.get('error', 'builds')}; uploaded: {closure.get('error', 'builds')}"
        return [Finding(kind="closure", told=told)]
    if whole.get("built") != closure.get("built"):
        return [
            Finding(kind="closure", told=f"{whole.get('built')}\n--- uploaded ---\n{closure.get('built')}")
        ]
    return []


def _findings(tree: GeneratedTree, theirs: Any, built: Built) -> list[Finding]:
    ours = "\n".join(map(str, built.problems))
    if "error" in theirs:
        if not built.problems:
            only_flux = "; ".join(built.unevaluated.values())
            return [] if only_flux else [Finding(kind="false pass", told=theirs["error"])]
        return []
    if built.problems:
        return [Finding(kind="false refusal", told=ours)]
    return _differences(theirs.get("objects") or [], built)


def _is_sound(flux: Oracle, tree: GeneratedTree, work: Path) -> bool:
    """Say whether the planted fault is the only one."""
    if tree.fault is None:
        return False
    replace(tree, files=tree.sound).write(work / "sound")
    return "error" not in _asked(flux, tree, work / "sound")


def misplaced(tree: GeneratedTree, built: Built, error: str, *, is_sound: bool) -> list[Finding]:
    """Find reports of a file that is neither there nor missed, or that is another than the one to fix."""
    places = tree.fault.places if tree.fault else frozenset()
    planted = places if tree.fault and tree.fault.error in error else frozenset()
    reported = {tree.real(problem.path) for problem in built.problems}
    there = {*tree.files, *places}
    folders = {folder for path in there for folder in _parents(path)}
    if reported <= there | folders and (not is_sound or not planted or reported & planted):
        return []
    told = f"planted at {sorted(planted)}: {built.problems[0]}\nFlux: {error}"
    return [Finding(kind="wrong file", told=told)]


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


def _differences(theirs: Sequence[Object], built: Built) -> list[Finding]:
    unchecked = {item.ref.inventory_id for item in built.objects if item.ref in built.unevaluated}
    ours = {item.ref.inventory_id: item.body for item in built.objects}
    others = {identity(one): one for one in theirs}
    found = []
    for key in sorted(ours.keys() | others.keys()):
        if key not in unchecked and exact(ours.get(key)) != exact(others.get(key)):
            told = f"{key}\nhere: {json.dumps(ours.get(key))}\nFlux: {json.dumps(others.get(key))}"
            found.append(Finding(kind="difference", told=told))
    if len(built.objects) != len(theirs):
        found.append(Finding(kind="difference", told=f"{len(built.objects)} objects, Flux: {len(theirs)}"))
    return found


def identity(body: Object) -> str:
    metadata = body["metadata"]
    group = str(body["apiVersion"]).rpartition("/")[0]
    name = str(metadata["name"]).replace(":", "__")
    return f"{metadata.get('namespace') or ''}_{name}_{group}_{body['kind']}"


def exact(value: Any) -> Any:
    """Tell true from 1, which JSON's values in Python don't."""
    if isinstance(value, dict):
        return {key: exact(one) for key, one in value.items()}
    if isinstance(value, list):
        return [exact(one) for one in value]
    if isinstance(value, bool):
        return ("bool", value)
    is_large = isinstance(value, int) and abs(value) >= 2**63
    return float(value) if is_large else value
