"""Where Flux's manifests come from, and how the sandbox composes them as a release does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from gitops_run.adapters.flux_manifests import read_manifests
from gitops_run.errors import BackendError, UsageError
from gitops_run.sandbox.flux_manifests import write_manifests
from gitops_run.sandbox.programs import FLUX_CONTROLLERS

RELEASES = "https://github.com/fluxcd"


def test_all_documents_of_a_file_are_read_and_empty_ones_left_out(tmp_path: Path) -> None:
    file = tmp_path / "install.yaml"
    file.write_text("---\n---\n{apiVersion: v1, kind: Namespace, metadata: {name: flux-system}}\n---\n")
    assert [one["kind"] for one in asyncio.run(read_manifests(str(file)))] == ["Namespace"]


@pytest.mark.parametrize("text", ["", "a: [", "just words", "kind: List\nitems: []", "- 1"])
def test_a_file_that_holds_no_manifests_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "install.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"install\.yaml"):
        asyncio.run(read_manifests(str(file)))


def test_a_file_that_is_not_there_is_told_with_the_flag_that_names_another(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file") as refused:
        asyncio.run(read_manifests(str(tmp_path / "none.yaml")))
    assert "--flux-manifests" in refused.value.hint


def test_a_place_that_can_not_be_reached_is_told_with_what_a_closed_network_does() -> None:
    with pytest.raises(BackendError, match=r"127\.0\.0\.1:1/install\.yaml") as refused:
        asyncio.run(read_manifests("http://127.0.0.1:1/install.yaml"))
    assert "--flux-manifests FILE" in refused.value.hint


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Upstream's folders, with one controller's kind, manager and base for each."""
    folder = tmp_path / "kept"
    for name in FLUX_CONTROLLERS:
        of_releases = [f"{RELEASES}/{name}/releases/download/v9.9.9/{name}.{part}.yaml" for part in PARTS]
        write(folder / name, "kustomization", resources=[*of_releases, "account.yaml"])
        write(folder / name, "account", **head("v1", "ServiceAccount", name))
        write(folder / f"{name}-crds", f"kind-of-{name}", **head("example.com/v1", "Definition", name))
        write(folder / f"{name}-manager", "kustomization", resources=["deployment.yaml"])
        write(folder / f"{name}-manager", "deployment", **head("apps/v1", "Deployment", name))
    for name in ("rbac", "policies"):
        write(folder / name, "kustomization", resources=["one.yaml"])
        write(folder / name, "one", **head("v1", "ConfigMap", name))
    bases = ["namespace.yaml", "../bases/source-controller", "../bases/notification-controller", "../rbac"]
    write(folder / "install", "kustomization", namespace="flux-system", resources=bases)
    write(folder / "install", "namespace", **head("v1", "Namespace", "flux-system"))
    return folder


PARTS = ("crds", "deployment")


def head(api_version: str, kind: str, name: str) -> dict[str, object]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}


def write(folder: Path, name: str, **document: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))


def test_upstream_s_kustomizations_are_composed_without_a_network(kept: Path, tmp_path: Path) -> None:
    write_manifests(tmp_path / "flux.yaml", kept)
    made = list(yaml.safe_load_all((tmp_path / "flux.yaml").read_text()))
    found = {(one["kind"], one["metadata"]["name"]) for one in made}
    for name in FLUX_CONTROLLERS:
        assert {("Deployment", name), ("ServiceAccount", name), ("Definition", name)} <= found
    assert {("Namespace", "flux-system"), ("ConfigMap", "rbac"), ("ConfigMap", "policies")} <= found
    accounts = [one for one in made if one["kind"] == "ServiceAccount"]
    assert {one["metadata"]["namespace"] for one in accounts} == {"flux-system"}
