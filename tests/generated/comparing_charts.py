"""A chart by the code path of a save, and by Helm's packages as helm-controller uses them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from gitops_run.adapters.files import WorkTree
from gitops_run.adapters.render.helm import Helm
from gitops_run.flows.building import Builder, Built
from gitops_run.model.charts.build import revision_of, version_suffix
from gitops_run.model.flux.helm_release import HelmValues, ReleaseFacts
from gitops_run.model.tree.snapshot import Snapshot
from tests.charts import KnownDiscovery, KnownRelease
from tests.generated.comparing import NAMESPACE, Compared, Finding, Object, Oracle, exact, identity, misplaced
from tests.generated.drafts import GeneratedTree

RELEASE = "r"
KINDS = ("v1", "v1/ConfigMap", "apps/v1", "apps/v1/Deployment")
WITH_WIDGETS = (*KINDS, "x.io/v1", "x.io/v1/Widget")


def compared_chart(tree: GeneratedTree, helm: Oracle, work: Path) -> Compared:
    """Compare one chart: as it is installed, or, by the number of its files, as an upgrade."""
    shutil.rmtree(work, ignore_errors=True)
    tree.write(work / "root")
    is_upgrade = len(tree.files) % 2 == 0
    kinds = WITH_WIDGETS if len(tree.files) % 3 == 0 else KINDS
    facts = (
        ReleaseFacts(number=1, live_version="0.0.1", generation=7)
        if is_upgrade
        else ReleaseFacts(generation=7)
    )
    release = KnownRelease(facts, api_versions=kinds)
    snapshot, built = _built(tree, release, work)
    question = {
        "target": tree.target,
        "suffix": version_suffix(revision_of(snapshot.tree), 7 if tree.values_files else None),
        "namespace": NAMESPACE,
        "name": RELEASE,
        "kubeVersion": release.kube_version,
        "valuesFiles": list(tree.values_files),
        "apiVersions": list(kinds),
        "isUpgrade": is_upgrade,
    }
    theirs = helm.ask({**question, "root": str(work / "root")})
    findings = _findings(tree, theirs, built)
    if "error" in theirs and built.problems:
        replace(tree, files=tree.sound).write(work / "sound")
        is_sound = tree.fault is not None and "error" not in helm.ask(
            {**question, "root": str(work / "sound")}
        )
        findings = misplaced(tree, built, theirs["error"], is_sound=is_sound)
    return Compared(
        findings=tuple(findings),
        objects=len(built.objects),
        unchecked=len(built.unevaluated),
        is_refused="error" in theirs,
    )


def _built(tree: GeneratedTree, release: KnownRelease, work: Path) -> tuple[Snapshot, Built]:
    values = HelmValues(release_name=RELEASE, values_files=tree.values_files)
    helm = Helm(NAMESPACE, values, work / "work", KnownDiscovery(), release=release)
    work_tree = WorkTree(work / "root", work / "stage", tree.target, tree.values_files, is_chart=True)

    async def build() -> tuple[Snapshot, Built]:
        snapshot = await work_tree.snapshot()
        if snapshot.problems:
            return snapshot, Built(problems=snapshot.problems)
        return snapshot, await Builder(helm, tree.target, None).build(snapshot)

    return anyio.run(build)


def _findings(tree: GeneratedTree, theirs: Any, built: Built) -> list[Finding]:
    if "error" in theirs:
        return [] if built.problems else [Finding(kind="false pass", told=theirs["error"])]
    if built.problems:
        return [Finding(kind="false refusal", told="\n".join(map(str, built.problems)))]
    unchecked = {item.ref.inventory_id for item in built.objects if item.ref in built.unevaluated}
    ours = {_unmarked_id(item.body): _unmarked(item.body) for item in built.objects}
    others = {_unmarked_id(one): _unmarked(one) for one in theirs.get("objects") or []}
    hidden = {_unmarked_id(item.body) for item in built.objects if item.ref.inventory_id in unchecked}
    return [
        Finding(kind="difference", told=f"{key}\nhere: {ours.get(key)}\nFlux: {others.get(key)}")
        for key in sorted(ours.keys() | others.keys())
        if key not in hidden and exact(ours.get(key)) != exact(others.get(key))
    ]


def _unmarked_id(body: Object) -> str:
    return identity(_unmarked(body))


def _unmarked(body: Object) -> Object:
    """Take off what Helm adds as it applies."""
    metadata = dict(body["metadata"])
    if metadata.get("namespace") == NAMESPACE:
        del metadata["namespace"]
    for place, prefixes in (("labels", "app.kubernetes.io/managed-by"), ("annotations", "meta.helm.sh/")):
        found = metadata.pop(place, None)
        if isinstance(found, Mapping):
            kept = {key: value for key, value in found.items() if not key.startswith(prefixes)}
            metadata |= {place: kept} if kept else {}
        elif found is not None:
            metadata[place] = found
    return {**body, "metadata": metadata}
