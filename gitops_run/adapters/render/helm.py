"""Rendering by helm, as helm-controller renders: from a copy, with the session's namespace and values.

This module knows the process, the form of its errors, and what an object gets between its template and the
cluster. Hooks are no objects of a release, and are left out.
Source: helm 4, cmd template, pkg/engine and pkg/action/validate; helm-controller 1.6, internal/inventory.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import anyio.to_thread

from gitops_run.adapters.render.chart_stage import (
    PACKAGES,
    STAGE,
    StagedChart,
    give_kinds,
    lay_out,
    package,
    template_texts,
)
from gitops_run.adapters.render.children import LimitedRuns, Limits, rendering_environment
from gitops_run.adapters.render.kubectl import disk_errors, refused, shown
from gitops_run.errors import UsageError
from gitops_run.model.charts.build import VALUES_FILE, built_version, revision_of, version_suffix
from gitops_run.model.charts.capabilities import Capabilities
from gitops_run.model.charts.failures import explain_failure, in_target
from gitops_run.model.charts.unknowns import (
    ChartTexts,
    is_certain,
    kinds_of_unrendered,
    of_source,
    unknown_templates,
    why_unknown,
)
from gitops_run.model.charts.values import unwritable
from gitops_run.model.flux.helm_release import CHART_FILE, HelmValues, ReleaseFacts
from gitops_run.model.objects.identity import (
    DEFINITION,
    ObjectRef,
    RenderedObject,
    Resource,
    parse_document,
    split_documents,
    text_digest,
)
from gitops_run.model.text.masking import Masker
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.snapshot import Snapshot

_HOOK: Final = "helm.sh/hook"
_HOME_VARIABLES: Final = ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")
_LABELS: Final = {"app.kubernetes.io/managed-by": "Helm"}

_SOURCE = re.compile(r"\s*# Source: (.+)")
_WRONG: Final = "wrong version"
_OF_CRDS = re.compile(r"[^/]+/(?:charts/[^/]+/)*crds/")
_KIND = re.compile(r"""^["']?kind["']?:\s*["']?(\w+)""", re.MULTILINE)


def find_helm() -> str:
    """Find helm on PATH. Raises UsageError, since an unrendered save might prune anything."""
    found = shutil.which("helm")
    if not found:
        raise UsageError(
            "the session's target is a chart, and helm, which renders it, is not installed",
            hint="install helm 4: https://helm.sh/docs/intro/install; "
            'in a sandbox: eval "$(gitops-run sandbox env)"',
        )
    return found


class ReleaseLook(Protocol):
    """What a chart's rendering needs of the cluster. Each raises TransientError where the cluster fails."""

    async def facts(self) -> ReleaseFacts:
        """Read what there is of the release."""
        ...

    async def capabilities(self, *, has_kinds: bool) -> Capabilities:
        """Read which version the cluster has. has_kinds: and which kinds."""
        ...


class Kinds(Protocol):
    """Which kinds a cluster has."""

    async def find(self, ref: ObjectRef) -> Resource | None:
        """Find an object's kind; None where the cluster doesn't have it, now."""
        ...


@dataclass(frozen=True, slots=True)
class _Run:
    """Hold one rendering."""

    snapshot: Snapshot
    target: str
    command: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubts:
    """Hold why documents, by digest, and objects of a kind may be other ones once Flux renders them."""

    documents: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)


class Helm:
    """Render the chart of one session. work: a folder of its own, for helm's caches."""

    def __init__(  # noqa: PLR0913 - one argument for each part
        self,
        namespace: str,
        values: HelmValues,
        work: Path,
        kinds: Kinds,
        *,
        release: ReleaseLook,
        masker: Masker | None = None,
        limits: Limits | None = None,
    ) -> None:
        """release: what the cluster has of it.

        masker: learns what a broken chart has of Secrets, since helm repeats what it can't read.
        """
        self._helm = find_helm()
        self._namespace = namespace
        self._values = values
        self._work = work
        self._kinds = kinds
        self._release = release
        self._doubts = Doubts()
        self._loose: frozenset[str] = frozenset()
        self._staged = StagedChart(folder=work / STAGE)
        self._masker = masker or Masker()
        self._runs = LimitedRuns(limits or Limits())

    async def render(self, snapshot: Snapshot, target: str) -> str | Problem:
        """Render a chart as Flux will: YAML, or what is wrong.

        Raises NotRenderableError where Flux fetches a part of the chart, TransientError where the cluster
        fails or the disk refuses.
        """
        if problem := await anyio.to_thread.run_sync(self._unfit, snapshot, target):
            return problem
        facts = await self._release.facts()
        generation = facts.generation if self._values.values_files else None
        suffix = version_suffix(revision_of(snapshot.tree), generation)
        version = built_version(snapshot.read_text(in_target(target, CHART_FILE)) or "", suffix)
        has_values = bool(self._values.values_files)
        staged = await anyio.to_thread.run_sync(
            partial(lay_out, snapshot.folder, target, self._work, version, has_values_files=has_values)
        )
        if isinstance(staged, Problem):
            return staged
        self._staged = staged
        texts = await anyio.to_thread.run_sync(partial(self._read, snapshot, target, staged))
        command = await self._command(snapshot, staged, texts)
        run = _Run(snapshot, target, [*command, *_phase(is_upgrade=facts.is_upgrade(version))])
        if staged.added and (problem := await self._wrong_version(run, staged)):
            return problem
        rendered = await self._rendered(run)  # of what isn't packaged, helm finds dependencies missing
        if not isinstance(rendered, Problem) and await anyio.to_thread.run_sync(package, staged.folder):
            rendered = await self._rendered(run)
        if not isinstance(rendered, Problem):
            again = await self._rendered(run) if texts.has_chance else rendered
            self._loose = await anyio.to_thread.run_sync(_loose, rendered)
            self._doubts = await anyio.to_thread.run_sync(_find_doubts, rendered, again, texts)
        return rendered

    def _read(self, snapshot: Snapshot, target: str, staged: StagedChart) -> ChartTexts:
        files = self._values.values_files or (in_target(target, VALUES_FILE),)
        values = "\n".join(snapshot.read_text(path) or "" for path in files)
        return ChartTexts(templates=template_texts(staged.folder), values=values)

    def doubt(self, digest: str) -> str:
        """Explain why Flux may render a document of the last rendering differently, or ""."""
        return self._doubts.documents.get(digest, "")

    @property
    def uncertain_kinds(self) -> Mapping[str, str]:
        """Map kinds of which Flux may render an object that the last rendering lacks to the reasons."""
        return self._doubts.kinds

    def _unfit(self, snapshot: Snapshot, target: str) -> Problem | None:
        if snapshot.read_text(in_target(target, CHART_FILE)) is None:
            return Problem(
                path=in_target(target, CHART_FILE),
                message="this file is missing, and the session was created for a chart",
                hint="restore it, or recreate the session: gitops-run down NAME, "
                "then gitops-run up NAME PATH",
            )
        for path in self._values.values_files:
            if snapshot.read_text(path) is None:
                return Problem(
                    path=path,
                    message="this values file is missing, and the session needs it",
                    hint="restore it, or name others: gitops-run up NAME --values-files FILE",
                )
        return unwritable([(path, snapshot.read_text(path) or "") for path in self._values.values_files])

    async def _rendered(self, run: _Run) -> str | Problem:
        snapshot = run.snapshot
        with disk_errors(self._work):
            self._work.mkdir(parents=True, exist_ok=True)
        finished = await self._runs.run(run.command, env=self._environment(), subject=snapshot.tree)
        if problem := refused(finished, snapshot.tree, run.target, "helm"):
            return problem
        if finished.code == 0:
            # helm ends each document with a line of its own: no part of a text that keeps its last lines
            text = finished.output.decode().replace("\n\n---\n", "\n---\n")
            return await anyio.to_thread.run_sync(without_hooks, text)
        message = finished.message.replace(str(self._work / STAGE), str(snapshot.folder / run.target))
        problem = explain_failure(message, folder=str(snapshot.folder), target=run.target)
        path = self.origin(problem.path, run.target)
        line = None if path.endswith(PACKAGES) else problem.line
        return await shown(replace(problem, path=path, line=line), snapshot, self._masker)

    def origin(self, path: str, target: str) -> str:
        """Name the file of the root that a template of the last rendering is in."""
        return self._staged.origin(path, target)

    async def _wrong_version(self, run: _Run, staged: StagedChart) -> Problem | None:
        """Find a dependency whose version isn't the one that is asked for: Flux refuses to package it."""
        command = [self._helm, "dependency", "list", str(staged.folder), "--max-col-width=0"]
        finished = await self._runs.run(command, env=self._environment(), subject=run.snapshot.tree)
        wrong = [line.split()[0] for line in (finished.text() or "").splitlines() if _WRONG in line]
        wrong = [name for name in wrong if name in staged.added]  # of the others, Flux checks no version
        if not wrong:
            return None
        return Problem(
            path=in_target(run.target, CHART_FILE),
            message=f"the dependency {wrong[0]} has another version than this requires",
            hint="correct the version here or in the dependency",
        )

    async def complete(self, item: RenderedObject) -> RenderedObject:
        """Name the session's namespace where a template names none, and mark the object as Helm does.

        Without the namespace, no object would be the one of the same name in helm-controller's inventory;
        without the marks, each would seem to lose them. What crds/ holds gets neither.
        Raises TransientError where the cluster fails.
        """
        if item.digest in self._loose:
            return item
        namespace = item.ref.namespace or await self._namespace_of(item)
        body = {**item.body, "metadata": self._marked(item.body["metadata"], namespace)}
        return replace(item, ref=replace(item.ref, namespace=namespace), body=body)

    async def _namespace_of(self, item: RenderedObject) -> str:
        resource = await self._kinds.find(item.ref)
        return self._namespace if resource is not None and resource.is_namespaced else ""

    def _marked(self, metadata: Mapping[str, Any], namespace: str) -> Mapping[str, Any]:
        marks = {
            "labels": _LABELS,
            "annotations": {
                "meta.helm.sh/release-name": self._values.release_name,
                "meta.helm.sh/release-namespace": self._namespace,
            },
        }
        found = {key: metadata.get(key) or {} for key in marks}
        merged = {key: {**own, **marks[key]} for key, own in found.items() if isinstance(own, Mapping)}
        return {**metadata, **({"namespace": namespace} if namespace else {}), **merged}

    async def _command(self, snapshot: Snapshot, staged: StagedChart, texts: ChartTexts) -> list[str]:
        found = await self._release.capabilities(has_kinds=texts.asks_for_kinds)
        if texts.asks_for_kinds:
            await anyio.to_thread.run_sync(give_kinds, staged.folder, found.api_versions)
        chart = (self._values.release_name, str(staged.folder))
        place = ("--namespace", self._namespace)
        cluster = (
            f"--kube-version={found.kube_version}",
            *(f"--api-versions={version}" for version in found.api_versions),
        )
        values = (f"--values={snapshot.folder / path}" for path in self._values.values_files)
        return [self._helm, "template", *chart, *place, *cluster, *values]

    def _environment(self) -> dict[str, str]:
        """Keep helm away from the user's plugins, repositories and cluster."""
        homes = {variable: str(self._work / variable.lower()) for variable in _HOME_VARIABLES}
        return {**rendering_environment(os.environ, home=str(self._work)), **homes, "KUBECONFIG": os.devnull}


def _find_doubts(rendered: str, again: str | Problem, texts: ChartTexts) -> Doubts:
    """Find out which documents the cluster, the clock or chance decides.

    again: what a second rendering gave, or the first once more where nothing is left to chance.
    """
    unknown = unknown_templates(texts)
    same = {text_digest(text) for text in split_documents(again)} if isinstance(again, str) else set()
    found, sources = {}, set()
    for text in split_documents(rendered):
        named = _SOURCE.match(text)
        source = named[1] if named else ""
        sources.add(source)
        function = of_source(unknown, source)
        digest = text_digest(text)
        if is_certain(function) or digest not in same:
            found[digest] = why_unknown(function)
    kinds = kinds_of_unrendered(unknown, texts, sources)
    return Doubts(documents=found, kinds={kind: why_unknown(one) for kind, one in kinds.items()})


def _phase(*, is_upgrade: bool) -> tuple[str]:
    """Describe what Helm does: by default, helm-controller applies what crds/ holds by installs alone."""
    return ("--is-upgrade",) if is_upgrade else ("--include-crds",)


def _loose(rendered: str) -> frozenset[str]:
    """List the documents of a chart's crds/, by digest: Helm creates them outside of the release."""
    return frozenset(text_digest(text) for text, is_loose in _with_origin(rendered) if is_loose)


def _with_origin(rendered: str) -> Iterator[tuple[str, bool]]:
    """Yield the documents, and whether each is of a crds/: helm names the source of a file's first one."""
    is_loose = False
    for text in split_documents(rendered):
        if named := _SOURCE.match(text):
            is_loose = _OF_CRDS.match(named[1]) is not None
        yield text, is_loose


def without_hooks(rendered: str) -> str:
    """Leave out hooks, which are not part of a release, and the content of crds/ other than CRDs.

    All else stays as it is.
    """
    if _HOOK not in rendered and "/crds/" not in rendered:
        return rendered
    kept = (
        text
        for text, is_loose in _with_origin(rendered)
        if not (_is_stray(text) if is_loose else _is_hook(text))
    )
    return "---\n".join(kept)


def _is_stray(text: str) -> bool:
    """Report whether a document of crds/ is another kind's object; one of comments alone names the file."""
    kind = _KIND.search(text)
    return kind is not None and kind[1] != DEFINITION


def _is_hook(text: str) -> bool:
    """Report whether a document is a hook; what can't be read stays, for the Builder to report."""
    if _HOOK not in text:
        return False
    try:
        metadata = [item.body["metadata"] for item in parse_document(text)]
    except ValueError:
        return False
    return any(isinstance(own := one.get("annotations"), Mapping) and _HOOK in own for one in metadata)
