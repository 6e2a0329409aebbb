"""What kubectl says of a target that can't be built leads to the file to fix, within the root."""

from __future__ import annotations

import re
from pathlib import Path

import anyio
import pytest

from gitops_run.adapters.render.kubectl import Kustomize
from gitops_run.model.text.problem import Problem
from tests.contract.test_closure_rendering import A, config_map, taken, write

Files = dict[str, str]

TWICE = f"{A}  k: w\n"
PATCH = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: nope}\ndata: {k: v}\n"
INLINE_PATCH = "patches:\n- patch: |-\n" + "".join(f"    {line}\n" for line in PATCH.splitlines())
MERGE = "configMapGenerator:\n- name: g\n  behavior: merge\n  literals: [a=b]\n"
COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
UNREACHED = "can't be read from here: dial tcp 127.0.0.1:1: connect: connection refused"


def in_target(kustomization: str, **files: str) -> Files:
    return {"app/kustomization.yaml": kustomization, **_named("app", files)}


def in_base(kustomization: str, **files: str) -> Files:
    base = {"base/kustomization.yaml": kustomization, **_named("base", files)}
    return {"app/kustomization.yaml": "resources: [../base]\n", **base}


def in_component(kustomization: str) -> Files:
    parts = {"app/kustomization.yaml": "resources: [a.yaml]\ncomponents: [../part]\n", "app/a.yaml": A}
    return {**parts, "part/kustomization.yaml": f"{COMPONENT}{kustomization}"}


def in_root(kustomization: str, **files: str) -> Files:
    return {"kustomization.yaml": kustomization, **{f"{name}.yaml": text for name, text in files.items()}}


def _named(folder: str, files: Files) -> Files:
    return {f"{folder}/{name}.yaml": text for name, text in files.items()}


MISSING = "this file is named by a kustomization, but isn't there"
NO_FOLDER = "a kustomization names this folder, but it isn't there or has no kustomization.yaml"
NO_MATCH = "this patch matches nothing: there is no ConfigMap nope among the resources"
NO_BASE = "this generator merges into ConfigMap g or replaces it, but there is none"

CASES: dict[str, tuple[Files, str, str]] = {
    "an unknown field in a base": (
        in_base("resorces: [a.yaml]\n", a=A),
        "base/kustomization.yaml:1",
        "resorces",
    ),
    "an unknown field in a generator of a base": (
        in_base("configMapGenerator:\n- name: x\n  litterals: [a=b]\n"),
        "base/kustomization.yaml:3",
        "litterals",
    ),
    "an unknown field in a base of a base": (
        {**in_base("resources: [../deep]\n"), "deep/kustomization.yaml": "\nresorces: []\n"},
        "deep/kustomization.yaml:2",
        "resorces",
    ),
    "a type that is wrong in a base": (
        in_base("resources: a.yaml\n"),
        "base/kustomization.yaml",
        "resources",
    ),
    "a patch that matches nothing": (
        in_target(f"resources: [a.yaml]\n{INLINE_PATCH}", a=A),
        "app/kustomization.yaml:6",
        NO_MATCH,
    ),
    "a patch in a base that matches nothing": (
        in_base(f"resources: [a.yaml]\n{INLINE_PATCH}", a=A),
        "base/kustomization.yaml:6",
        NO_MATCH,
    ),
    "a patch in the root that matches nothing": (
        in_root(f"resources: [a.yaml]\n{INLINE_PATCH}", a=A),
        "kustomization.yaml:6",
        NO_MATCH,
    ),
    "a patch in a component that matches nothing": (
        in_component(INLINE_PATCH),
        "part/kustomization.yaml:7",
        NO_MATCH,
    ),
    "a patch in a file that matches nothing": (
        in_base("resources: [a.yaml]\npatches: [{path: p.yaml}]\n", a=A, p=PATCH),
        "base/p.yaml:1",
        NO_MATCH,
    ),
    "a patch file that is missing": (
        in_target("resources: [a.yaml]\npatches: [{path: p.yaml}]\n", a=A),
        "app/p.yaml",
        MISSING,
    ),
    "a patch file of a base that is missing": (
        in_base("resources: [a.yaml]\npatches: [{path: p.yaml}]\n", a=A),
        "base/p.yaml",
        MISSING,
    ),
    "a file of a generator that is missing": (
        in_target("configMapGenerator: [{name: g, files: [sub/gone.txt]}]\n"),
        "app/sub/gone.txt",
        MISSING,
    ),
    "a file of a generator of a base that is missing": (
        in_base("configMapGenerator: [{name: g, files: [gone.txt]}]\n"),
        "base/gone.txt",
        MISSING,
    ),
    "an env file of a generator of a base that is missing": (
        in_base("secretGenerator: [{name: g, envs: [gone.env]}]\n"),
        "base/gone.env",
        MISSING,
    ),
    "a file of a generator of the root that is missing": (
        in_root("configMapGenerator: [{name: g, files: [gone.txt]}]\n"),
        "gone.txt",
        MISSING,
    ),
    "a resource of a base that is missing": (in_base("resources: [gone.yaml]\n"), "base/gone.yaml", MISSING),
    "a replacement that is missing": (in_target("replacements: [{path: r.yaml}]\n"), "app/r.yaml", MISSING),
    "a component that is missing": (in_target("components: [../part]\n"), "part", NO_FOLDER),
    "a folder without a kustomization": (
        in_target("resources: [sub]\n") | {"app/sub/a.yaml": A},
        "app/sub",
        NO_FOLDER,
    ),
    "a folder without a kustomization in the root": (
        in_root("resources: [sub]\n") | {"sub/a.yaml": A},
        "sub",
        NO_FOLDER,
    ),
    "a key that occurs twice": (
        in_target("resources: [dup.yaml]\n", dup=TWICE),
        "app/dup.yaml:7",
        "the key k occurs twice",
    ),
    "a key that occurs twice in a base": (
        in_base("resources: [dup.yaml]\n", dup=f"{config_map('b')}---\n{TWICE}"),
        "base/dup.yaml:14",
        "the key k occurs twice",
    ),
    "a key that occurs twice in a plain folder": (
        {"app/b.yaml": config_map("b"), "app/dup.yaml": TWICE},
        "app/dup.yaml:7",
        "the key k occurs twice",
    ),
    "a name with a space": (
        in_target("resources: ['a b.yaml']\n", **{"a b": "kind: ConfigMap\n"}),
        "app/a b.yaml:1",
        "missing",
    ),
    "a base that is named with a slash at its end": (
        in_target("resources: [./base/]\n") | {"app/base/kustomization.yaml": "# nothing\n"},
        "app/base/kustomization.yaml",
        "is empty",
    ),
    "a component that is named by a base": (
        in_base("resources: [a.yaml]\ncomponents: [../part]\n", a=A)
        | {"part/kustomization.yaml": f"{COMPONENT}replicas: [{{name: nope, count: 1}}]\n"},
        "part/kustomization.yaml",
        "nope",
    ),
    "two kustomizations in a component": (
        in_component("") | {"part/Kustomization": COMPONENT},
        "part/kustomization.yaml",
        "multiple kustomization files",
    ),
    "a file elsewhere": (
        in_target("resources:\n- http://me:pw@127.0.0.1:1/x.yaml\n"),
        "app/kustomization.yaml:2",
        f"http://***@127.0.0.1:1/x.yaml {UNREACHED}",
    ),
    "a file elsewhere in a base": (
        in_base("resources:\n- http://127.0.0.1:1/x.yaml\n"),
        "base/kustomization.yaml:2",
        UNREACHED,
    ),
    "a repository elsewhere": (
        in_target("resources:\n- https://127.0.0.1:1/org/repo//base?ref=v1\n"),
        "app/kustomization.yaml:2",
        "can't be read from here: fatal: unable to access",
    ),
    "a generator without what it merges into": (in_target(MERGE), "app/kustomization.yaml:2", NO_BASE),
    "a generator of a base without what it merges into": (
        in_base(MERGE),
        "base/kustomization.yaml:2",
        NO_BASE,
    ),
    "a file of a plain folder that is no manifest": (
        {"app/a.yaml": A, "app/.gitlab-ci.yml": "stages: [a]\n"},
        "app/.gitlab-ci.yml:1",
        "missing Resource metadata",
    ),
}


def refusal(files: Files, tmp_path: Path) -> Problem:
    write(tmp_path / "root", files)
    target = "app" if any(path.startswith("app/") for path in files) else "."
    snapshot = taken(tmp_path / "root", tmp_path / "stage", target)
    problem = anyio.run(Kustomize("ns", tmp_path / "work").render, snapshot, target)
    assert isinstance(problem, Problem), problem
    return problem


@pytest.mark.parametrize("case", CASES)
def test_the_reported_file_is_the_one_to_fix(case: str, tmp_path: Path) -> None:
    files, place, message = CASES[case]
    problem = refusal(files, tmp_path)
    assert problem.place == place
    assert message in problem.message


@pytest.mark.parametrize("case", CASES)
def test_no_message_names_where_it_was_rendered_or_an_address_in_memory(case: str, tmp_path: Path) -> None:
    said = repr(refusal(CASES[case][0], tmp_path))
    assert str(tmp_path) not in said
    assert not re.search(r"\bstage\b|0x[0-9a-f]{6,}|resid\.|pw@", said)


def test_a_file_that_is_no_manifest_can_be_left_out_as_the_hint_says(tmp_path: Path) -> None:
    files = {"app/a.yaml": A, "app/.gitlab-ci.yml": "stages: [a]\n"}
    hint = refusal(files, tmp_path).hint
    found = re.search(r"add the line (\S+) to the root's (\S+)$", hint)
    assert found is not None
    write(tmp_path / "root", {found[2]: f"{found[1]}\n"})
    snapshot = taken(tmp_path / "root", tmp_path / "again")
    assert isinstance(anyio.run(Kustomize("ns", tmp_path / "work").render, snapshot, "app"), str)


def test_a_key_that_a_kustomization_has_twice_is_no_reason_to_refuse_it(tmp_path: Path) -> None:
    write(tmp_path / "root", in_target("resources: []\nresources: [a.yaml]\n", a=A))
    snapshot = taken(tmp_path / "root", tmp_path / "stage")
    assert isinstance(anyio.run(Kustomize("ns", tmp_path / "work").render, snapshot, "app"), str)
