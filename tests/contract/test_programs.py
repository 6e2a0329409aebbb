"""The built programs' own word on what they were built from, held against the go.mod of their releases."""

from __future__ import annotations

import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from gitops_run.sandbox.build import build_environment, ensure_built, folder_of
from gitops_run.sandbox.golang import choose_go, installed_go
from gitops_run.sandbox.programs import group_named

DETERMINE_OUTPUT = re.compile(
    r"sigs\.k8s\.io/(kustomize/.*|yaml)|go\.yaml\.in/yaml/v[23]|helm\.sh/helm/v4|github\.com/fluxcd/pkg/.*"
    r"|k8s\.io/(apimachinery|apiserver|api)|github\.com/google/cel-go|github\.com/getsops/sops/v3"
)
RELEASES = [
    ("kube-apiserver", "kubernetes", "k8s.io/kubernetes", "v1.36.3"),
    ("kube-controller-manager", "kubernetes", "k8s.io/kubernetes", "v1.36.3"),
    ("etcd", "etcd", "go.etcd.io/etcd/server/v3", "v3.6.5"),
    ("kwok", "kwok", "sigs.k8s.io/kwok", "v0.8.0"),
    ("versitygw", "versitygw", "github.com/versity/versitygw", "v1.8.0"),
    ("source-controller", "source-controller", "github.com/fluxcd/source-controller", "v1.9.3"),
    ("kustomize-controller", "kustomize-controller", "github.com/fluxcd/kustomize-controller", "v1.9.5"),
    ("helm-controller", "helm-controller", "github.com/fluxcd/helm-controller", "v1.6.4"),
    ("helm", "helm", "helm.sh/helm/v4", "v4.2.4"),
]


@pytest.mark.parametrize(("program", "group", "module", "version"), RELEASES)
def test_a_program_is_its_pinned_release(program: str, group: str, module: str, version: str) -> None:
    assert built_from(program, group)[module] == version


@pytest.mark.parametrize(("program", "group", "module", "version"), RELEASES)
def test_what_determines_output_is_what_the_release_itself_requires(
    program: str, group: str, module: str, version: str
) -> None:
    required = required_by(group, module, version)
    built = {path: of for path, of in built_from(program, group).items() if DETERMINE_OUTPUT.fullmatch(path)}
    assert built or program == "versitygw"  # which parses none of it
    other = {path: (of, required[path]) for path, of in built.items() if required.get(path, of) != of}

    assert {
        path: versions for path, versions in other.items() if not is_same_code(group, path, versions)
    } == {}


def test_the_api_server_merges_and_describes_as_its_release_does() -> None:
    required = required_by("kubernetes", "k8s.io/kubernetes", "v1.36.3")
    built = built_from("kube-apiserver", "kubernetes")

    for path in ("sigs.k8s.io/structured-merge-diff/v6", "k8s.io/kube-openapi", "github.com/google/cel-go"):
        assert built[path] == required[path]


def is_same_code(group: str, path: str, versions: tuple[str, str]) -> bool:
    """Compare two versions file by file, without tests: patch releases are often equal."""
    one, other = (source_of(group, path, version) for version in versions)
    files = {file.relative_to(one) for file in one.rglob("*.go") if not is_unused(file.relative_to(one))}
    files |= {
        file.relative_to(other) for file in other.rglob("*.go") if not is_unused(file.relative_to(other))
    }
    return all(text(one / file) == text(other / file) for file in files)


def is_unused(file: Path) -> bool:
    # 0.36.1 attaches the origin of an error to another list in objectmeta.go, where an API server validates.
    return file.name.endswith("_test.go") or file == Path("pkg/api/validation/objectmeta.go")


def text(file: Path) -> str:
    return file.read_text() if file.exists() else ""


@cache
def built_from(program: str, group: str) -> dict[str, str]:
    """Read the modules in a program, each with its version, as replacements left it."""
    ensure_built((group_named(group),), lambda _: None)
    lines = go(group, "version", "-m", str(folder_of(group_named(group)) / program)).splitlines()
    found: dict[str, str] = {}
    for kind, *fields in filter(None, map(str.split, lines)):
        if kind in {"mod", "dep"}:
            path, found[fields[0]] = fields[0], fields[1]
        elif kind == "=>":
            found[path] = fields[1]
    return found


@cache
def required_by(group: str, module: str, version: str) -> dict[str, str]:
    """Read the modules that a release requires, each with its version, as its replacements leave it."""
    document = json.loads(
        go(group, "mod", "edit", "-json", str(source_of(group, module, version) / "go.mod"))
    )
    required = {one["Path"]: one["Version"] for one in document["Require"]}
    for one in document.get("Replace") or ():
        if "Version" in one["New"]:
            required[one["Old"]["Path"]] = one["New"]["Version"]
        elif one["New"]["Path"].startswith("./staging/"):
            required[one["Old"]["Path"]] = version.replace("v1.", "v0.")  # which is published as this
    return required


@cache
def source_of(group: str, module: str, version: str) -> Path:
    return Path(json.loads(go(group, "mod", "download", "-json", f"{module}@{version}"))["Dir"])


def go(group: str, *arguments: str) -> str:
    command: list[str | Path] = [choose_go(installed_go(), (1, 26, 0)).path, *arguments]
    folder, environment = group_named(group).folder, build_environment(os.environ)
    finished = subprocess.run(
        command, cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return finished.stdout
