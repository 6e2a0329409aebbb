"""The programs' go.mod files: what they share has one version, so that Go compiles it once."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from gitops_run.sandbox.programs import GROUPS, TOOLCHAIN

REQUIRED = re.compile(r"^\s*(?:require )?([\w.-]+\.[\w.-]+/\S+) (v\S+)", re.MULTILINE)
REPLACED = re.compile(r"^\s*(?:replace )?(\S+) => (\S+) (v\S+)", re.MULTILINE)
SEPARATE = {"coredns", "pulumi-language-python"}
"""These are built from releases of another year than the rest."""
DETERMINE_OUTPUT = re.compile(
    r"github\.com/fluxcd/(pkg/.*|source-controller/api)|helm\.sh/helm/v4|sigs\.k8s\.io/yaml|go\.yaml\.in/yaml/v3"
    r"|github\.com/google/cel-go|go\.etcd\.io/etcd/.*|github\.com/opencontainers/go-digest"
)
"""These have in each program the version that its own release names; little is compiled on top of them."""


def modules(group: str) -> dict[str, str]:
    """Read the version of each module of a group, as its replacements leave it."""
    go_mod = (TOOLCHAIN / group / "go.mod").read_text()
    replaced = {path: f"{other} {version}" for path, other, version in REPLACED.findall(go_mod)}
    return {path: replaced.get(path, f"{path} {version}") for path, version in REQUIRED.findall(go_mod)}


def test_what_the_programs_share_has_one_version() -> None:
    versions: dict[str, dict[str, str]] = defaultdict(dict)
    for group in {group.folder.name for group in GROUPS} - SEPARATE:
        for path, version in modules(group).items():
            versions[path][group] = version

    shared = {path: of for path, of in versions.items() if len(of) > 1}
    assert len(shared) > 200
    several = {path: of for path, of in shared.items() if len(set(of.values())) > 1}
    assert {path: of for path, of in several.items() if not DETERMINE_OUTPUT.fullmatch(path)} == {}


@pytest.mark.parametrize(
    "group", ["source-controller", "kustomize-controller", "helm-controller", "helm", "kwok"]
)
def test_libraries_of_kubernetes_are_those_of_the_api_server(group: str) -> None:
    of_server, own = modules("kubernetes"), modules(group)
    libraries = [path for path in own if path.startswith("k8s.io/") and path in of_server]

    assert len(libraries) > 5
    assert {path: own[path] for path in libraries} == {path: of_server[path] for path in libraries}
