"""Targets of public repositories render to what Flux and Helm build of the whole repository, offline.

What a save would upload is rendered by the product; Flux's own packages and the real helm are given the whole
repository. `python -m tests.corpus` takes the same targets through real controllers.
"""

from __future__ import annotations

import difflib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from gitops_run.adapters.files import WorkTree
from gitops_run.adapters.render.helm import Helm
from gitops_run.adapters.render.kubectl import Kustomize
from gitops_run.model.charts.build import NotRenderableError, built_version, revision_of, version_suffix
from gitops_run.model.flux.helm_release import HelmValues
from gitops_run.model.objects.identity import IncompleteError, parse_document, split_documents, text_digest
from gitops_run.model.text.problem import Problem
from tests.charts import KnownDiscovery, KnownRelease
from tests.contract.go_programs import build_program
from tests.corpus.modules import Module, copy_of, fetch
from tests.corpus.table import MODULES
from tests.corpus.trial import KUSTOMIZATIONS, is_chart
from tests.programs import helm_folder

NAMESPACE = "run-x"
RELEASE = "r"
LINES_MAX = 20
PROGRAM = Path(__file__).parent / "flux_generator" / "main.go"
VERSIONS = ("v1", "apps/v1", "apps/v1/Deployment", "policy/v1", "policy/v1/PodDisruptionBudget")

Documents = list[str] | None
"""What a target is built to, sorted; None where it is refused."""


@dataclass(frozen=True)
class Tools:
    """Flux's packages in a program, helm, and the repositories."""

    flux: subprocess.Popen[str]
    helm: Path
    fetched: Mapping[str, Path]


@dataclass(frozen=True)
class References:
    """Who has the last word on a target of a whole repository. root: the repository."""

    tools: Tools
    root: Path
    work: Path

    def kustomization(self, target: str) -> Documents:
        """Build a target with Flux's packages, which write into its kustomization."""
        file = next(
            self.root / target / name for name in KUSTOMIZATIONS if (self.root / target / name).exists()
        )
        own = file.read_bytes()
        assert self.tools.flux.stdin is not None
        assert self.tools.flux.stdout is not None
        asked = {"root": str(self.root), "target": target, "namespace": NAMESPACE}
        self.tools.flux.stdin.write(json.dumps(asked) + "\n")
        self.tools.flux.stdin.flush()
        answer = json.loads(self.tools.flux.stdout.readline())
        file.write_bytes(own)
        return None if "error" in answer else sorted(split_documents(answer["built"]))

    def chart(self, target: str, version: str, release: KnownRelease) -> Documents:
        """Package a chart, and render the package."""
        packages = self.work / "packages"
        declared = [self.root / target / name for name in ("Chart.yaml", "requirements.yaml")]
        is_local = any(file.exists() and "file://" in file.read_text() for file in declared)
        update = ("--dependency-update",) if is_local else ()
        chart = (str(self.root / target), "--version", version, "-d", str(packages))
        packed = self._helm("package", *chart, *update)
        if packed.returncode:
            return None
        [package] = packages.iterdir()
        flags = ("--namespace", NAMESPACE, "--include-crds", "--no-hooks")
        cluster = (
            f"--kube-version={release.kube_version}",
            f"--api-versions={','.join(release.api_versions)}",
        )
        rendered = self._helm("template", RELEASE, str(package), *flags, *cluster)
        package.unlink()
        return None if rendered.returncode else _trimmed(rendered.stdout)

    def _helm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "KUBECONFIG": os.devnull}
        command = [str(self.tools.helm), *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    program = build_program(PROGRAM, "kustomize-controller", tmp_path_factory.mktemp("flux") / "generator")
    with subprocess.Popen([program], stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, text=True) as process:
        yield Tools(process, helm_folder() / "helm", fetch(MODULES))
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.path)
def test_the_targets_of_a_repository_render_to_what_flux_builds(
    module: Module, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tools.helm.parent), prepend=os.pathsep)
    root = copy_of(module, tools.fetched[module.path], tmp_path / "root")
    references = References(tools, root, tmp_path)
    found = {target: compared(references, target) for target in module.paths}
    assert "\n".join(f"{target}: {text}" for target, text in found.items() if text) == ""


def compared(references: References, target: str) -> str:
    """Say how a target's rendering differs from what has the last word; "" where it doesn't."""
    compare = _compared_chart if is_chart(references.root / target) else _compared_kustomization
    return compare(references, target)


def _compared_kustomization(references: References, target: str) -> str:
    snapshot = anyio.run(WorkTree(references.root, references.work / "stage", target).snapshot)
    kustomize = Kustomize(NAMESPACE, references.work / "render")
    here = snapshot.problems[0] if snapshot.problems else anyio.run(kustomize.render, snapshot, target)
    documents = here if isinstance(here, Problem) else _readable(sorted(split_documents(here)))
    return _verdict(documents, references.kustomization(target), frozenset())


def _compared_chart(references: References, target: str) -> str:
    release = KnownRelease(api_versions=VERSIONS)
    tree = WorkTree(references.root, references.work / "stage", target, is_chart=True)
    snapshot = anyio.run(tree.snapshot)
    values = HelmValues(release_name=RELEASE, values_files=())
    helm = Helm(NAMESPACE, values, references.work / "render", KnownDiscovery(), release=release)
    try:
        here = snapshot.problems[0] if snapshot.problems else anyio.run(helm.render, snapshot, target)
    except NotRenderableError:
        return ""  # Flux fetches a part of it, if it can
    text = (references.root / target / "Chart.yaml").read_text()
    there = references.chart(
        target, built_version(text, version_suffix(revision_of(snapshot.tree), None)), release
    )
    doubted = split_documents(here) if isinstance(here, str) else []
    unknown = frozenset(_source(one) for one in doubted if helm.doubt(text_digest(one)))
    return _verdict(here if isinstance(here, Problem) else _trimmed(here), there, unknown)


def _readable(documents: list[str]) -> list[str] | Problem:
    """Refuse what preflight refuses to read."""
    try:
        for document in documents:
            parse_document(document)
    except IncompleteError as error:
        if error.is_dropped(is_substituted=False):
            return documents
        return Problem(path="", message=str(error))
    return documents


def _trimmed(rendered: str) -> list[str]:
    """List documents without the ends that helm adds to them, and without those of comments alone."""
    texts = [text.strip() for text in split_documents(rendered)]
    return sorted(text for text in texts if not all(line.startswith("#") for line in text.splitlines()))


def _source(document: str) -> str:
    return document.strip().partition("\n")[0]


def _verdict(here: list[str] | Problem, there: Documents, unknown: frozenset[str]) -> str:
    if isinstance(here, Problem):
        return "" if there is None else f"a false refusal: {here}"
    if there is None:
        return "a false pass"
    known = [one for one in here if _source(one) not in unknown]
    expected = [one for one in there if _source(one) not in unknown]
    if known == expected:
        return ""
    lines = difflib.unified_diff(
        "\n".join(expected).splitlines(), "\n".join(known).splitlines(), n=0, lineterm=""
    )
    return "other objects:\n" + "\n".join(list(lines)[:LINES_MAX])
