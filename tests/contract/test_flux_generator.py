"""What is rendered here is what Flux builds, object for object: its own generator and kustomize are asked.

The order is another one: kubectl sorts objects by kind, and Flux does so only when it applies them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from gitops_run.adapters.render.kubectl import Kustomize
from gitops_run.model.objects.identity import split_documents
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.flux_generator import dropped_fields
from tests.contract.go_programs import build_program
from tests.contract.test_closure_rendering import SHAPES, A, B, config_map, taken, write

NAMESPACE = "run-x"
PROGRAM = Path(__file__).parent / "flux_generator" / "main.go"

Built = str | Problem
Build = Callable[..., tuple[str, bool]]
"""Builds the target app of a root. Returns what came of it, and whether that is an error."""


def account(name: str, namespace: str) -> str:
    return f"apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}, namespace: {namespace}}}\n"


BINDING = """
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}
subjects:
- {kind: ServiceAccount, name: default, namespace: was}
- {kind: ServiceAccount, name: known, namespace: was}
- {kind: ServiceAccount, name: unknown, namespace: was}
"""
NAMESPACE_REPLACEMENT = """
replacements:
- source: {kind: ConfigMap, name: a, fieldPath: metadata.namespace}
  targets:
  - select: {kind: ConfigMap, name: b}
    fieldPaths: [data.k]
"""
COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [b.yaml]\n"

NAMESPACES: dict[str, dict[str, str]] = {
    "a namespace of its own": {
        "app/kustomization.yaml": "namespace: own\nresources: [a.yaml]",
        "app/a.yaml": A,
    },
    "a namespace in another case": {
        "app/kustomization.yaml": "nameSpace: own\nresources: [a.yaml]",
        "app/a.yaml": A,
    },
    "a namespace that is an alias": {
        "app/kustomization.yaml": "namePrefix: &n own\nnamespace: *n\nresources: [a.yaml]",
        "app/a.yaml": A,
    },
    "a namespace that others are aliases of": {
        "app/kustomization.yaml": "namespace: &n own\nnamePrefix: *n\nresources: [a.yaml]",
        "app/a.yaml": A,
    },
    "a namespace that is merged in": {
        "app/kustomization.yml": "commonAnnotations: &n {namespace: own}\n<<: *n\nresources: [a.yaml]",
        "app/a.yaml": A,
    },
    "an object with a namespace": {
        "app/kustomization.yaml": "resources: [a.yaml]",
        "app/a.yaml": A.replace("name: a", "name: a\n  namespace: own"),
    },
    "a namespace of a base": {
        "app/kustomization.yaml": "resources: [../base]",
        "base/kustomization.yaml": "namespace: own\nresources: [a.yaml]",
        "base/a.yaml": A,
    },
    "a Namespace": {
        "app/kustomization.yaml": "resources: [a.yaml, n.yaml]",
        "app/a.yaml": A,
        "app/n.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: own}\n",
    },
    "subjects": {
        "app/kustomization.yaml": "resources: [b.yaml, k.yaml]",
        "app/b.yaml": BINDING,
        "app/k.yaml": account("known", "was"),
    },
    "subjects in a base, with a prefix": {
        "app/kustomization.yaml": "resources: [../base]\nnamePrefix: p-",
        "base/kustomization.yaml": "resources: [b.yaml, k.yaml]\nnamespace: was",
        "base/b.yaml": BINDING,
        "base/k.yaml": account("known", "was"),
    },
    "a replacement that reads the namespace": {
        "app/kustomization.yaml": f"resources: [a.yaml, b.yaml]\n{NAMESPACE_REPLACEMENT}",
        "app/a.yaml": A,
        "app/b.yaml": B,
    },
    "a variable that is the namespace": {
        "app/kustomization.yaml": "resources: [p.yaml]\nvars: [{name: V, fieldref: {fieldPath: "
        "metadata.namespace}, objref: {kind: Pod, name: p, apiVersion: v1}}]",
        "app/p.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
        "spec: {containers: [{name: c, args: [$(V)]}]}\n",
    },
    "generators alone": {"app/kustomization.yaml": "configMapGenerator: [{name: g, literals: [a=b]}]"},
    "generators in a file of the third name": {
        "app/Kustomization": "secretGenerator: [{name: g, literals: [a=b]}]\n"
        "buildMetadata: [transformerAnnotations]"
    },
    "a component alone": {
        "app/kustomization.yaml": "components: [../c]",
        "c/kustomization.yaml": COMPONENT,
        "c/b.yaml": B,
    },
    "resources that are null": {
        "app/kustomization.yaml": "resources:\nconfigMapGenerator: [{name: g, literals: [a=b]}]"
    },
    "resources in two cases": {
        "app/kustomization.yaml": "resources: [a.yaml]\nResources: []\n",
        "app/a.yaml": A,
    },
    "resources that are merged in": {
        "app/kustomization.yaml": "commonAnnotations: {}\n<<: {resources: [a.yaml]}",
        "app/a.yaml": A,
    },
    "metadata of its own": {
        "app/kustomization.yaml": "resources: [a.yaml]\n"
        "buildMetadata: [originAnnotations, transformerAnnotations]",
        "app/a.yaml": A,
    },
    "a target that is a component": {"app/kustomization.yaml": COMPONENT, "app/b.yaml": B},
    "a transformer that sets the namespace of one object": {
        "app/kustomization.yaml": "resources: [a.yaml, b.yaml]\ntransformers: [t.yaml]",
        "app/a.yaml": A,
        "app/b.yaml": B,
        "app/t.yaml": "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t}\n"
        "target: {kind: ConfigMap, name: a}\n"
        "patch: |-\n  - op: add\n    path: /metadata/namespace\n    value: other\n",
    },
    "an origin of generated, patched and based objects": {
        "app/kustomization.yaml": "resources: [../base]\nbuildMetadata: [originAnnotations]\n"
        "configMapGenerator: [{name: g, literals: [a=b]}]\n"
        "patches: [{patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {p: q}}'}]",
        "base/kustomization.yaml": "resources: [a.yaml]",
        "base/a.yaml": A,
    },
    "numbers and booleans where text is wanted": {
        "app/kustomization.yaml": "resources: [a.yaml]\nnamePrefix: 5\nnameSuffix: yes\ncommonAnnotations: "
        "{a: 1.10, b: y, c: 0x1F, d: 1e3, e: 1000000.0, f: 012, g: 0o14, h: 1e-7, i: .inf, j: 1_000, k: on, "
        "count: 5, create: true}\ncommonLabels: {l: true}\nlabels: [{pairs: {immutable: no}, "
        "includeTemplates: yes}]\nimages: [{name: x, newTag: 1.20}]\n"
        "configMapGenerator: [{name: g, literals: [a=b], options: {immutable: yes}}]\n"
        "generatorOptions: {labels: {x: 1}}\nreplicas: []",
        "app/a.yaml": A,
    },
    "an empty kustomization": {"app/kustomization.yaml": ""},
    "a comment alone": {"app/kustomization.yaml": "# nothing yet\n"},
    "a second document": {"app/kustomization.yaml": "resources: [a.yaml]\n---\nx: [", "app/a.yaml": A},
    "texts that look like something else": {
        "app/kustomization.yaml": "resources: [a.yaml]\ncommonAnnotations: {a: 'yes', b: '1.10', c: '012', "
        "d: \"x: y\", e: '2001-01-01', f: 2001-01-01, g: 'ü', h: '', i: '~', j: !!str 5}",
        "app/a.yaml": A,
    },
    "blocks of text": {
        "app/kustomization.yaml": "resources: [a.yaml]\ncommonAnnotations:\n  a: |-\n    two\n\n     lines \n"
        "  b: |+\n    kept\n\n  c: |2\n      moved in\n  d: >\n    folded\n    text\n",
        "app/a.yaml": A,
    },
    "long texts": {
        "app/kustomization.yaml": f"resources: [a.yaml]\ncommonAnnotations:\n  a: {'word ' * 60}\n  b: >-\n"
        + "    folded text\n" * 30,
        "app/a.yaml": A,
    },
    "manifests in an order of their own": {
        "app/b.yaml": config_map("b"),
        "app/a/z.yaml": config_map("z"),
        "app/a-b.yaml": config_map("c"),
        "app/a/k/Kustomization": "resources: [y.yaml]",
        "app/a/k/y.yaml": config_map("y"),
    },
}

UNKNOWN = {
    "a misspelt field": "resources: [a.yaml]\nnamePrefx: x-\n",
    "a field of a patch": "resources: [a.yaml]\npatches: [{patch: '{apiVersion: v1, kind: ConfigMap, "
    "metadata: {name: a}, data: {p: q}}', name: x, target: {kind: ConfigMap}}]\n",
    "a field of a target": 'resources: [a.yaml]\npatches: [{patch: \'[{"op": "add", '
    '"path": "/data/p", "value": "q"}]\', target: {kind: ConfigMap, label: x}}]\n',
    "a field of a generator": "resources: [a.yaml]\nsecretGenerator: [{name: s, literals: [a=b], "
    "data: {c: d}}]\n",
    "a field of a generator's options": "resources: [a.yaml]\nconfigMapGenerator: [{name: s, "
    "literals: [a=b], options: {suffix: no, disableNameSuffixHash: true, labels: {own: x}}}]\n",
    "a field of an image": "resources: [a.yaml]\nimages: [{name: x, newName: z, tag: z}]\n",
    "a field of a replacement": "resources: [a.yaml]\nreplacements: [{source: {kind: ConfigMap, name: a, "
    "of: x, fieldPath: metadata.name}, targets: [{select: {kind: ConfigMap}, fieldPaths: [data.k]}]}]\n",
    "a field of labels": "resources: [a.yaml]\nlabels: [{pairs: {own: x}, includeSelector: true}]\n",
    "anchors": "resources: [a.yaml]\nx-labels: &labels {own: x}\ncommonLabels: *labels\n",
    "metadata": "resources: [a.yaml]\nmetadata: {name: x, uid: y, labels: {own: x}}\n",
}

HIDDEN = {
    "kustomizations that are hidden from Flux": {
        ".sourceignore": "app/kustomization.yaml\n/app/sub/*.yml\n",
        "app/kustomization.yaml": "namePrefix: x-\nresources: [a.yaml]",
        "app/a.yaml": A,
        "app/sub/kustomization.yml": "namePrefix: x-\nresources: [b.yaml]",
        "app/sub/b.yaml": B,
    },
}

REFUSED: dict[str, dict[str, str]] = {
    "two objects that the namespace makes one": {
        "app/a.yaml": A.replace("name: a", "name: a\n  namespace: x"),
        "app/b.yaml": A.replace("name: a", "name: a\n  namespace: y"),
    },
    "a directory with the name of the kustomization": {"app/kustomization.yaml/a.yaml": A},
    "two kustomizations": {
        "app/kustomization.yaml": "resources: [a.yaml]",
        "app/Kustomization": "resources: [a.yaml]",
        "app/a.yaml": A,
    },
    "a number as the name of a generated object": {
        "app/kustomization.yaml": "configMapGenerator: [{name: 7, literals: [a=b]}]"
    },
    "a number as a generated object's label": {
        "app/kustomization.yaml": "configMapGenerator: [{name: a, options: {labels: {x: 1}}}]"
    },
    "a number as the name of a patch's target": {
        "app/kustomization.yaml": "resources: [a.yaml]\npatches: [{target: {name: 1}, patch: '[]'}]",
        "app/a.yaml": A,
    },
    "a boolean as the source of a replacement": {
        "app/kustomization.yaml": "resources: [a.yaml]\nreplacements: [{source: {name: true}, targets: []}]",
        "app/a.yaml": A,
    },
    "a list": {"app/kustomization.yaml": "- a.yaml\n", "app/a.yaml": A},
    **{
        f"a number where text belongs, in {text.partition(':')[0]}": {
            "app/kustomization.yaml": f"resources: [a.yaml]\n{text}\n",
            "app/a.yaml": A,
        }
        for text in (
            "kind: 5",
            "configMapGenerator: [{name: 1.5, literals: [a=b]}]",
            "secretGenerator: [{name: s, literals: [a=b], options: {labels: {a: yes}}}]",
            "replacements: [{source: {kind: ConfigMap, name: 5}, targets: [{select: {kind: ConfigMap}}]}]",
            "patches: [{patch: '{a: b}', target: {name: 5}}]",
        )
    },
    "a target that includes itself": {"app/kustomization.yaml": "resources: [.]"},
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flux's generator and build, from the modules that the sandbox's kustomize-controller is built from."""
    return build_program(PROGRAM, "kustomize-controller", tmp_path_factory.mktemp("flux") / "generator")


@pytest.fixture
def flux(program: Path, tmp_path: Path) -> Build:
    """Build a copy of a root or of what is uploaded of it: Flux writes into what it builds."""

    def build(root: Path, namespace: str = NAMESPACE) -> tuple[str, bool]:
        copy = shutil.copytree(root, tmp_path / "flux")
        asked = json.dumps({"root": str(copy), "target": "app", "namespace": namespace})
        answer = json.loads(subprocess.run([program], input=asked, stdout=-1, text=True, check=True).stdout)
        return answer.get("error", answer["built"]), "error" in answer

    return build


def rendered(root: Path, tmp_path: Path, namespace: str = NAMESPACE) -> Built:
    snapshot = taken(root, tmp_path / "stage")
    if snapshot.problems:
        return snapshot.problems[0]
    return anyio.run(Kustomize(namespace, tmp_path / "work").render, snapshot, "app")


VALUES = "1.10 1.0 1.5e3 1234567.5 0.00001 0x1F 0o17 017 y No on True 12345678901234567890 1_000 -0.0 ~ text"
NAMESPACES |= {
    "numbers and booleans where text belongs": {
        "app/kustomization.yaml": "resources: [a.yaml]\nnamePrefix: 5\ncommonAnnotations:\n"
        + "".join(f"  k{number}: {value}\n" for number, value in enumerate(VALUES.split()))
        + "images: [{name: x, newTag: 1.10}]\ngeneratorOptions: {labels: {a: yes}}\n"
        "labels: [{pairs: {c: !!str 5}}]\n"
        "secretGenerator: [{name: s, literals: [a=b], type: 5}]\nreplicas: [{name: 7, count: 2}]\n",
        "app/a.yaml": A
        + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: x}]}\n"
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: '7'}\nspec: {replicas: 1}\n",
    },
}
NAMESPACES |= {
    f"what Flux drops: {name}": {"app/kustomization.yaml": text, "app/a.yaml": A}
    for name, text in UNKNOWN.items()
}


@pytest.mark.parametrize("shape", SHAPES | NAMESPACES | HIDDEN)
def test_a_target_renders_to_what_flux_builds(shape: str, flux: Build, tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, (SHAPES | NAMESPACES | HIDDEN)[shape])
    built, is_error = flux(taken(root, tmp_path / "uploaded").folder)
    assert not is_error, built
    here = rendered(root, tmp_path)
    assert isinstance(here, str), here
    assert sorted(split_documents(here)) == sorted(split_documents(built))


READS_NAMESPACE = ("a replacement that reads the namespace", "a variable that is the namespace")


@pytest.mark.parametrize("shape", READS_NAMESPACE)
def test_a_target_that_reads_a_namespace_is_refused_where_none_is_set(
    shape: str, flux: Build, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    write(root, (SHAPES | NAMESPACES)[shape])
    _, is_error = flux(taken(root, tmp_path / "uploaded").folder, "")
    assert is_error
    assert isinstance(rendered(root, tmp_path, ""), Problem)


@pytest.mark.parametrize("shape", sorted((SHAPES | NAMESPACES).keys() - set(READS_NAMESPACE)))
def test_a_target_whose_objects_stay_in_their_namespaces_renders_to_what_flux_builds(
    shape: str, flux: Build, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    write(root, (SHAPES | NAMESPACES)[shape])
    built, is_error = flux(taken(root, tmp_path / "uploaded").folder, "")
    assert not is_error, built
    here = rendered(root, tmp_path, "")
    assert isinstance(here, str), here
    assert sorted(split_documents(here)) == sorted(split_documents(built))


@pytest.mark.parametrize("shape", REFUSED)
def test_what_flux_cannot_build_is_refused(shape: str, flux: Build, tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, REFUSED[shape])
    built, is_error = flux(root)
    assert is_error, built
    assert isinstance(rendered(root, tmp_path), Problem)


@pytest.mark.parametrize("text", UNKNOWN)
def test_a_field_that_flux_drops_is_reported_with_its_line(text: str) -> None:
    assert [one.line for one in dropped_fields(UNKNOWN[text].encode())] == [2]


def test_a_field_that_a_base_should_not_have_is_refused(flux: Build, tmp_path: Path) -> None:
    root = tmp_path / "root"
    files = {
        "app/kustomization.yaml": "resources: [../base]",
        "base/kustomization.yaml": "resources: []\nx: y",
    }
    write(root, files)
    built, is_error = flux(root)
    assert is_error, built
    assert str(rendered(root, tmp_path)).startswith("base/kustomization.yaml:2: ")


@pytest.mark.parametrize("shape", NAMESPACES)
def test_a_rendering_leaves_the_copy_as_it_was(shape: str, tmp_path: Path) -> None:
    write(tmp_path / "root", NAMESPACES[shape])
    rendered(tmp_path / "root", tmp_path)
    copied = {
        file.relative_to(tmp_path / "stage").as_posix(): file.read_text()
        for file in (tmp_path / "stage").rglob("*")
        if file.is_file()
    }
    assert copied == NAMESPACES[shape]
