"""Rendering what a target needs gives byte for byte what rendering all of the root gives."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from gitops_run.adapters.files import WorkTree
from gitops_run.adapters.files.snapshot import FolderSnapshot
from gitops_run.adapters.render.kubectl import Kustomize
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.snapshot import Snapshot
from gitops_run.model.tree.tree import FileEntry, Tree

Files = Mapping[str, str]

LINK = "-> "
"""How a file's content says that it is a link."""


def config_map(name: str, **data: str) -> str:
    lines = "".join(f"  {key}: '{value}'\n" for key, value in data.items())
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  k: v\n{lines}"


A, B = config_map("a"), config_map("b")
PATCH = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: patched\n"
JSON_PATCH = "- {op: replace, path: /data/k, value: patched}\n"
REPLACEMENT = """
source: {kind: ConfigMap, name: a, fieldPath: data.k}
targets:
- select: {kind: ConfigMap, name: b}
  fieldPaths: [data.k]
"""
PREFIXER = (
    "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: p}\nprefix: p-\n"
    "fieldSpecs: [{path: metadata/name}]\n"
)
DECOYS = {
    "README.md": "not needed",
    "other/kustomization.yaml": "resources: [decoy.yaml]\n",
    "other/decoy.yaml": config_map("decoy"),
    "app/notes.txt": "not needed either",
    "zz/broken.yaml": "a: [",
}


def plugin(kind: str, rest: str) -> str:
    return f"apiVersion: builtin\nkind: {kind}\nmetadata: {{name: x}}\n{rest}"


SHAPES: dict[str, dict[str, str]] = {
    "a resource": {"app/kustomization.yaml": "resources: [a.yaml]", "app/a.yaml": A},
    "the other suffix": {"app/kustomization.yml": "resources: [a.yml]", "app/a.yml": A},
    "no suffix": {"app/Kustomization": "resources: [a]", "app/a": A},
    "names in another case": {"app/kustomization.yaml": "Resources: [a.yaml]", "app/a.yaml": A},
    "json": {
        "app/kustomization.yaml": '{"resources": ["a.json"]}',
        "app/a.json": '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}',
    },
    "anchors": {
        "app/kustomization.yaml": "resources: &r [a.yaml]\ncrds: []\ncommonLabels: {a: b}\n",
        "app/a.yaml": A,
    },
    "a merged generator": {
        "app/kustomization.yaml": "configMapGenerator:\n- &g {name: v, files: [f.txt]}\n- {<<: *g, name: w}",
        "app/f.txt": "1",
    },
    "a file elsewhere": {"app/kustomization.yaml": "resources: [../shared/a.yaml]", "shared/a.yaml": A},
    "a base": {
        "app/kustomization.yaml": "resources: [../base]\nnamePrefix: x-",
        "base/kustomization.yaml": "resources: [a.yaml]",
        "base/a.yaml": A,
        "base/unused.yaml": B,
    },
    "bases of old": {
        "app/kustomization.yaml": "bases: [../base]",
        "base/kustomization.yml": "resources: [a.yaml]",
        "base/a.yaml": A,
    },
    "a base of a base": {
        "app/kustomization.yaml": "resources: [./mid/]",
        "app/mid/kustomization.yaml": "resources: [../../base/../base]",
        "base/kustomization.yaml": "resources: [a.yaml]",
        "base/a.yaml": A,
    },
    "a diamond": {
        "app/kustomization.yaml": "resources: [../l, ../r]",
        "l/kustomization.yaml": "resources: [../base]\nnamePrefix: l-",
        "r/kustomization.yaml": "resources: [../base]\nnamePrefix: r-",
        "base/kustomization.yaml": "resources: [a.yaml]",
        "base/a.yaml": A,
    },
    "nested components": {
        "app/kustomization.yaml": "resources: [a.yaml]\ncomponents: [../c]",
        "app/a.yaml": A,
        "c/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
        "components: [deep]\nresources: [b.yaml]",
        "c/b.yaml": B,
        "c/deep/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
        "patches: [{path: p.yaml}]",
        "c/deep/p.yaml": PATCH,
    },
    "patches by file": {
        "app/kustomization.yaml": "resources: [a.yaml]\npatches: [{path: p.yaml}]",
        "app/a.yaml": A,
        "app/p.yaml": PATCH,
    },
    "patches written out": {
        "app/kustomization.yaml": "resources: [a.yaml]\npatches:\n- target: {kind: ConfigMap}\n"
        f"  patch: |-\n    {JSON_PATCH}",
        "app/a.yaml": A,
    },
    "strategic patches": {
        "app/kustomization.yaml": "resources: [a.yaml]\npatchesStrategicMerge:\n- p.yaml\n- |-\n"
        + "".join(f"  {line}\n" for line in PATCH.splitlines()),
        "app/a.yaml": A,
        "app/p.yaml": PATCH.replace("k:", "l:"),
    },
    "json patches of old": {
        "app/kustomization.yaml": "resources: [a.yaml]\npatchesJson6902:\n"
        "- {target: {version: v1, kind: ConfigMap, name: a}, path: ../p.yaml}",
        "app/a.yaml": A,
        "p.yaml": JSON_PATCH,
    },
    "generators of files": {
        "app/kustomization.yaml": "configMapGenerator: [{name: a, files: [x.txt, 'k=../y y.txt']}]",
        "app/x.txt": "1",
        "y y.txt": "2",
    },
    "generators of environments": {
        "app/kustomization.yaml": "configMapGenerator: [{name: a, envs: [e.env]}]\n"
        "secretGenerator: [{name: s, env: s.env}, {name: t, files: [t.bin]}]",
        "app/e.env": "A=1\n",
        "app/s.env": "B=2\n",
        "app/t.bin": "3",
    },
    "generators of literals": {
        "app/kustomization.yaml": "configMapGenerator: [{name: a, literals: [x=y.txt]}]\n"
        "generatorOptions: {disableNameSuffixHash: true}",
    },
    "an empty file": {
        "app/kustomization.yaml": "configMapGenerator: [{name: a, files: [empty]}]",
        "app/empty": "",
    },
    "replacements by file": {
        "app/kustomization.yaml": "resources: [a.yaml, b.yaml]\nreplacements: [{path: r.yaml}]",
        "app/a.yaml": A,
        "app/b.yaml": B,
        "app/r.yaml": REPLACEMENT,
    },
    "configurations": {
        "app/kustomization.yaml": "resources: [a.yaml]\nnamePrefix: x-\nconfigurations: [c.yaml]",
        "app/a.yaml": A,
        "app/c.yaml": "namePrefix: [{path: data/k}]\n",
    },
    "crds": {
        "app/kustomization.yaml": "resources: [a.yaml]\ncrds: [crd.json]",
        "app/a.yaml": A,
        "app/crd.json": '{"x.Y": {"Schema": {"properties": {}}}}',
    },
    "openapi": {
        "app/kustomization.yaml": "resources: [a.yaml]\nopenapi: {path: schema.json}",
        "app/a.yaml": A,
        "app/schema.json": '{"definitions": {}}',
    },
    "a transformer by file": {
        "app/kustomization.yaml": "resources: [a.yaml]\ntransformers: [../t.yaml]",
        "app/a.yaml": A,
        "t.yaml": PREFIXER,
    },
    "a transformer written out": {
        "app/kustomization.yaml": "resources: [a.yaml]\ntransformers:\n- |-\n"
        + "".join(f"  {line}\n" for line in PREFIXER.splitlines()),
        "app/a.yaml": A,
    },
    "a folder of transformers": {
        "app/kustomization.yaml": "resources: [a.yaml]\ntransformers: [../t]",
        "app/a.yaml": A,
        "t/kustomization.yaml": "resources: [p.yaml]",
        "t/p.yaml": PREFIXER,
    },
    "a transformer that reads a patch": {
        "app/kustomization.yaml": "resources: [a.yaml]\ntransformers: [../t/t.yaml]",
        "app/a.yaml": A,
        "app/p.yaml": PATCH,
        "t/t.yaml": plugin("PatchTransformer", "path: p.yaml\n"),
    },
    "a transformer that reads replacements": {
        "app/kustomization.yaml": "resources: [a.yaml, b.yaml]\ntransformers: [t.yaml]",
        "app/a.yaml": A,
        "app/b.yaml": B,
        "app/t.yaml": plugin("ReplacementTransformer", "replacements: [{path: r.yaml}]\n"),
        "app/r.yaml": REPLACEMENT,
    },
    "a folder of transformers that read": {
        "app/kustomization.yaml": "resources: [a.yaml]\ntransformers: [../t]",
        "app/a.yaml": A,
        "app/p.yaml": PATCH,
        "t/kustomization.yaml": "resources: [t.yaml]",
        "t/t.yaml": plugin("PatchTransformer", "path: p.yaml\n"),
    },
    "a folder of transformers in a file without a suffix": {
        "app/kustomization.yaml": "resources: [a.yaml]\ntransformers: [../t]",
        "app/a.yaml": A,
        "app/p.yaml": PATCH,
        "t/kustomization.yaml": "resources: [t]",
        "t/t": plugin("PatchTransformer", "path: p.yaml\n"),
    },
    "a folder of transformers that a patch lets read": {
        "app/kustomization.yaml": "resources: [a.yaml]\ntransformers: [../t]",
        "app/a.yaml": A,
        "app/p.yaml": PATCH,
        "t/kustomization.yaml": "resources: [t.yaml]\npatches:\n- target: {kind: PatchTransformer}\n"
        "  patch: |-\n    - {op: add, path: /path, value: p.yaml}\n",
        "t/t.yaml": plugin("PatchTransformer", ""),
    },
    "a generator by file": {
        "app/kustomization.yaml": "generators: [g.yaml]",
        "app/g.yaml": plugin("ConfigMapGenerator", "files: [k=x.txt]\nenvs: [e.env]\n"),
        "app/x.txt": "1",
        "app/e.env": "A=1\n",
    },
    "a validator": {
        "app/kustomization.yaml": "resources: [a.yaml]\nvalidators: [v.yaml]",
        "app/a.yaml": A,
        "app/v.yaml": plugin("AnnotationsTransformer", "annotations: {}\nfieldSpecs: []\n"),
    },
    "variables": {
        "app/kustomization.yaml": "resources: [a.yaml]\nvars: [{name: V, objref: {kind: ConfigMap, "
        "name: a, apiVersion: v1}}]\nimages: [{name: x, newTag: '1'}]\nreplicas: []\nlabels: []\n",
        "app/a.yaml": A,
    },
    "manifests alone": {"app/a.yaml": A, "app/sub/b.yml": B, "app/c.json": "{"},
    "a kustomization among manifests": {
        "app/a.yaml": A,
        "app/k/kustomization.yaml": "resources: [sub/b.yaml, ../../base]",
        "app/k/sub/b.yaml": B,
        "app/k/unused.yaml": "a: [",
        "base/kustomization.yaml": "configMapGenerator: [{name: g, files: [f]}]",
        "base/f": "1",
    },
    "a kustomization deep below": {
        "app/x/y/z/kustomization.yaml": "resources: [a.yaml]",
        "app/x/y/z/a.yaml": A,
        "app/x/b.yaml": B,
    },
    "a linked file": {
        "app/kustomization.yaml": "resources: [a.yaml]",
        "app/a.yaml": LINK + "../shared/a.yaml",
        "shared/a.yaml": A,
    },
    "a linked folder": {
        "app/kustomization.yaml": "resources: [base]",
        "app/base": LINK + "../shared",
        "shared/kustomization.yaml": "resources: [a.yaml]",
        "shared/a.yaml": A,
    },
    "a linked folder that names a file above where it leads": {
        "app/kustomization.yaml": "resources: [base]",
        "app/base": LINK + "../shared/base",
        "shared/base/kustomization.yaml": "resources: [../a.yaml, b.yaml]",
        "shared/base/b.yaml": B,
        "shared/a.yaml": A,
    },
    "a linked folder that names a folder above where it leads": {
        "app/kustomization.yaml": "resources: [base]\nnamePrefix: x-",
        "app/base": LINK + "../shared/base",
        "shared/base/kustomization.yaml": "resources: [../common]",
        "shared/common/kustomization.yaml": "resources: [../a.yaml, deep/b.yaml]",
        "shared/common/deep/b.yaml": B,
        "shared/a.yaml": A,
    },
    "a linked folder that names the same file as the one that names it": {
        "app/kustomization.yaml": "resources: [base]\nconfigMapGenerator: [{name: g, files: [a.yaml]}]",
        "app/base": LINK + "../shared/base",
        "app/a.yaml": LINK + "../shared/a.yaml",
        "shared/base/kustomization.yaml": "resources: [../a.yaml]",
        "shared/a.yaml": A,
    },
    "links among manifests": {
        "app/a.yaml": LINK + "../shared/a.yaml",
        "app/more": LINK + "../more",
        "shared/a.yaml": A,
        "more/b.yaml": B,
    },
    "names that need care": {
        "app/kustomization.yaml": "resources: ['a b.yaml', 'c#d.yaml', '100%.yaml', 'ü.yaml', '%20.yaml']",
        "app/a b.yaml": A,
        "app/c#d.yaml": B,
        "app/100%.yaml": config_map("c"),
        "app/ü.yaml": config_map("d"),
        "app/%20.yaml": config_map("e"),
    },
    "a file in two roles": {
        "app/kustomization.yaml": "resources: [a.yaml]\nconfigMapGenerator: [{name: g, files: [a.yaml]}]",
        "app/a.yaml": A,
    },
}

NEED_ALL = (
    "a folder of transformers that read",
    "a folder of transformers in a file without a suffix",
    "a folder of transformers that a patch lets read",
)
BEHIND_LINKS = [shape for shape in SHAPES if shape.startswith("a linked folder that names")]
UNUSED = {"base/unused.yaml", "app/k/unused.yaml", "app/c.json"}


def write(root: Path, files: Files) -> None:
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith(LINK):
            file.symlink_to(content.removeprefix(LINK))
        else:
            file.write_text(content)


def taken(root: Path, stage: Path, target: str = "app") -> Snapshot:
    return anyio.run(WorkTree(root, stage, target).snapshot)


def rendered(snapshot: Snapshot, work: Path) -> str | Problem:
    return anyio.run(Kustomize("ns", work).render, snapshot, "app")


def whole(root: Path, stage: Path, *, has_links: bool) -> Snapshot:
    """All of a root, links as they are or as their content."""
    shutil.copytree(root, stage, symlinks=has_links)
    paths = [file.relative_to(stage).as_posix() for file in stage.rglob("*") if file.is_file()]
    return FolderSnapshot(
        folder=stage, tree=Tree.of(FileEntry(path=path, size=0, digest="") for path in paths)
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_the_closure_renders_to_what_the_whole_renders_to(shape: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, SHAPES[shape] | DECOYS)
    closure = taken(root, tmp_path / "closure")
    expected = rendered(whole(root, tmp_path / "whole", has_links=shape in BEHIND_LINKS), tmp_path / "one")
    assert isinstance(expected, str), expected
    assert "kind: " in expected
    assert rendered(closure, tmp_path / "two") == expected


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape not in NEED_ALL])
def test_the_closure_holds_nothing_that_no_rendering_reads(shape: str, tmp_path: Path) -> None:
    write(tmp_path / "root", SHAPES[shape] | DECOYS)
    closure = taken(tmp_path / "root", tmp_path / "closure")
    assert (closure.problems, closure.whole_root_reason) == ((), "")
    assert not set(closure.tree.files) & (set(DECOYS) | UNUSED)


@pytest.mark.parametrize("shape", NEED_ALL)
def test_what_can_not_be_told_apart_takes_the_whole_root_and_says_why(shape: str, tmp_path: Path) -> None:
    write(tmp_path / "root", SHAPES[shape] | DECOYS)
    closure = taken(tmp_path / "root", tmp_path / "closure")
    assert "may read any file" in closure.whole_root_reason
    assert set(DECOYS) < set(closure.tree.files)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_kustomization_in_utf_16_renders_to_what_it_renders_to_in_utf_8(
    encoding: str, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    write(root, {"app/b.yaml": B, "base/a.yaml": A} | DECOYS)
    for folder, resources in (("app", "b.yaml, ../base"), ("base", "a.yaml")):
        text = f"\ufeffresources: [{resources}]\n"
        (root / folder / "kustomization.yaml").write_bytes(text.encode(encoding))
    expected = rendered(whole(root, tmp_path / "whole", has_links=False), tmp_path / "one")
    assert isinstance(expected, str), expected
    assert rendered(taken(root, tmp_path / "closure"), tmp_path / "two") == expected


UNKNOWN = {
    "a plugin": "resources: [a.yaml]\ngenerators: [g.yaml]\n",
    "a plugin that is written out": "resources: [a.yaml]\ngenerators:\n- |-\n  apiVersion: x/v1\n"
    "  kind: Mine\n  metadata: {name: m}\n",
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_kustomize_does_not_know_is_refused_without_the_rest_of_the_root(
    kind: str, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    plugin_file = "apiVersion: x/v1\nkind: Mine\nmetadata: {name: m}\n"
    write(
        root, {"app/kustomization.yaml": UNKNOWN[kind], "app/a.yaml": A, "app/g.yaml": plugin_file} | DECOYS
    )
    closure = taken(root, tmp_path / "closure")
    assert not set(closure.tree.files) & set(DECOYS)
    refused = rendered(closure, tmp_path / "two")
    assert isinstance(refused, Problem)
    assert refused == rendered(whole(root, tmp_path / "whole", has_links=False), tmp_path / "one")


def test_what_is_missing_behind_a_link_is_reported_where_it_has_to_be_added(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(
        root,
        {
            "app/kustomization.yaml": "resources: [base]",
            "app/base": LINK + "../shared/base",
            "shared/base/kustomization.yaml": "resources: [../gone.yaml]",
        },
    )
    closure = taken(root, tmp_path / "closure")
    problem = rendered(closure, tmp_path / "work")
    assert isinstance(problem, Problem)
    assert closure.meant_by(problem.path) == "shared/gone.yaml"
