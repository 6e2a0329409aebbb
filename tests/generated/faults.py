"""Faults that people make in a target, planted one at a time: the file that has to be reported is known.

A fault may turn out to be none, where nothing reads the file or kustomize accepts it: Flux has the last word.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from tests.generated.drafts import Draft, Fault
from tests.generated.objects import Body
from tests.generated.texts import Pairs, to_yaml

Plant = Callable[[Draft, str, Body], set[str] | None]
"""Breaks a tree at a kustomization, by its path. Returns the files to report; None where it can't."""


def add_fault(draft: Draft) -> None:
    """Break one thing in one of the kustomizations, where there is any."""
    if not draft.kustomizations:
        return
    path = draft.one_of(sorted(draft.kustomizations))
    plant = draft.one_of(FAULTS)
    places = plant(draft, path, draft.kustomizations[path])
    if places is not None:
        error = "envsubst" if plant is unset_variable else ""
        name = plant.__name__.replace("_", " ")
        draft.fault = Fault(name=name, places=frozenset(places), error=error)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _add_resource(body: Body, name: str) -> None:
    body["resources"] = [*body.get("resources", ()), name]


def missing_resource(draft: Draft, path: str, body: Body) -> set[str]:
    name = draft.one_of(
        ("gone.yaml", "../gone.yaml", "sub/gone.yaml", "gone", "../gone", "g ne.yaml", "gone.json")
    )
    _add_resource(body, name)
    return {posixpath.normpath(f"{_folder(path)}/{name}"), path}


def missing_patch(draft: Draft, path: str, body: Body) -> set[str]:
    body["patches"] = [*body.get("patches", ()), {"path": "gone-patch.yaml"}]
    return {f"{_folder(path)}/gone-patch.yaml", path}


def missing_generator_file(draft: Draft, path: str, body: Body) -> set[str]:
    kind, source = draft.one_of(("configMapGenerator", "secretGenerator")), draft.one_of(("files", "envs"))
    body[kind] = [*body.get(kind, ()), {"name": "broken", source: ["gone.txt"]}]
    return {f"{_folder(path)}/gone.txt", path}


def missing_component(draft: Draft, path: str, body: Body) -> set[str]:
    body["components"] = [*body.get("components", ()), "../gone-component"]
    return {posixpath.normpath(f"{_folder(path)}/../gone-component"), path}


def missing_transformer(draft: Draft, path: str, body: Body) -> set[str]:
    field = draft.one_of(("transformers", "generators", "configurations", "crds"))
    body[field] = [*body.get(field, ()), "gone-plugin.yaml"]
    return {f"{_folder(path)}/gone-plugin.yaml", path}


def missing_replacement(draft: Draft, path: str, body: Body) -> set[str]:
    body["replacements"] = [{"path": "gone-replacement.yaml"}]
    return {f"{_folder(path)}/gone-replacement.yaml", path}


def broken_yaml(draft: Draft, path: str, body: Body) -> set[str]:
    text = draft.one_of(_BROKEN)
    file = draft.add_text(_folder(path), ".yaml", text)
    _add_resource(body, posixpath.relpath(file, _folder(path)))
    return {file}


_HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: broken}\n"
_BROKEN = (
    f"{_HEAD}data: {{a: [\n",
    f"{_HEAD}data:\n\ta: b\n",
    f"{_HEAD}data:\n  a: b: c\n",
    f"{_HEAD}data:\n  a: *nope\n",
    f"{_HEAD}data:\n  a: 'open\n",
    f"{_HEAD}  data: 1\n",
    f"{_HEAD}data: @x\n",
    f"{_HEAD}---\n{_HEAD}data: {{\n",
    f"{_HEAD}data:\n  a: 1\n a: 2\n",
    f"{_HEAD}data: \x00\n",
    f"{_HEAD}data: !!binary |\n  not base64 %\n",
    "{{ if .Values.x }}\n" + _HEAD,
    "%YAML 1.1\n---\n" + _HEAD,
    "just text\n",
    "- a\n- b\n",
    "5\n",
    b"\xff\xfe\x00broken",
    _HEAD.encode() + b"data: {a: \xe9}\n",
)


def no_object(draft: Draft, path: str, body: Body) -> set[str]:
    file = draft.add_text(_folder(path), ".yaml", draft.one_of(_NO_OBJECTS))
    _add_resource(body, posixpath.relpath(file, _folder(path)))
    return {file}


_NO_OBJECTS = (
    "kind: ConfigMap\nmetadata: {name: x}\n",
    "apiVersion: v1\nmetadata: {name: x}\n",
    "apiVersion: v1\nkind: ConfigMap\n",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ''}\n",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 5}\n",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [a]}\n",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: x-}\n",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: x\n",
    "apiVersion: v1\nkind: List\nitems: [{kind: ConfigMap}]\n",
    "apiVersion: v1\nkind: List\nitems: []\n",
    "apiVersion: v1\nkind: List\n",
    "apiVersion: v1\nkind: ConfigMapList\nmetadata: {name: x}\nitems: 5\n",
    "apiVersion: v1\nkind: [a]\nmetadata: {name: x}\n",
    "apiVersion: 1\nkind: ConfigMap\nmetadata: {name: x}\n",
    "a: b\n",
    "{}\n",
    "null\n",
    "# a comment alone\n",
    "",
    "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nmetadata: {name: x}\n",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, labels: [a]}\n",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, annotations: {a: 5, b: yes}}\n",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: 5}\n",
)


def key_twice(draft: Draft, path: str, body: Body) -> set[str]:
    found = Pairs([("apiVersion", "v1"), ("kind", "ConfigMap"), ("metadata", {"name": "twice"})])
    found.append(("data", Pairs([("a", "1"), ("b", "2"), ("a", "3")])))
    file = draft.add_text(_folder(path), ".yaml", to_yaml(found, flow=draft.one_of((True, False))))
    _add_resource(body, posixpath.relpath(file, _folder(path)))
    return {file}


def object_twice(draft: Draft, path: str, body: Body) -> set[str] | None:
    files = [one for one, found in draft.manifests.items() if "metadata" in found[0]]
    if not files:
        return None
    original = draft.one_of(sorted(files))
    file = draft.add_text(_folder(path), ".yaml", "")
    del draft.texts[file]
    draft.manifests[file] = [draft.manifests[original][0]]
    _add_resource(body, posixpath.relpath(file, _folder(path)))
    return {file, original, path}


def broken_kustomization(draft: Draft, path: str, body: Body) -> set[str]:
    del draft.kustomizations[path]
    draft.texts[path] = draft.one_of(
        (
            to_yaml(body) + "patches: [\n",
            to_yaml(body) + "namePrefix: a: b\n",
            "- a\n",
            "text\n",
            to_yaml(body) + "namePrefix: x\nnamePrefix: y\n",
            to_yaml(body) + "\tx: 1\n",
            to_yaml({**body, "resources": "a.yaml"}),
            to_yaml({**body, "namePrefix": 5}),
            to_yaml({**body, "namePrefix": ["a"]}),
            to_yaml({**body, "commonLabels": {"a": 5}}),
            to_yaml({**body, "images": {"name": "x"}}),
            to_yaml({**body, "kind": "Deployment"}),
            to_yaml({**body, "apiVersion": "v1"}),
            to_yaml({**body, "resources": [{"path": "a.yaml"}]}),
            to_yaml({**body, "replicas": [{"name": "d0", "count": "x"}]}),
        )
    )
    return {path}


def misspelt_field(draft: Draft, path: str, body: Body) -> set[str]:
    body[draft.one_of(("resource", "namePrefx", "configmapGenerators", "patch"))] = draft.one_of(
        ("x", ["a.yaml"])
    )
    return {path}


def unmatched_patch(draft: Draft, path: str, body: Body) -> set[str]:
    patch = to_yaml(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "nowhere"}, "data": {"a": "b"}}
    )
    if draft.happens(2):
        body["patches"] = [*body.get("patches", ()), {"patch": patch}]
        return {path}
    file = draft.add_text(_folder(path), ".yaml", patch)
    body["patches"] = [*body.get("patches", ()), {"path": posixpath.relpath(file, _folder(path))}]
    return {file, path}


def broken_patch(draft: Draft, path: str, body: Body) -> set[str]:
    patch = draft.one_of(
        (
            "a: [",
            "[{op: replace, path: /nope/nope, value: x}]",
            "[{op: jump, path: /data}]",
            "[{op: remove, path: /metadata/nope}]",
            "[{path: /data}]",
            "text",
            "{}",
            "",
            "apiVersion: v1\nkind: ConfigMap\n",
            "[{op: test, path: /metadata/name, value: other}]",
            '[{"op": "add", "path": "data/x", "value": 1}]',
        )
    )
    target = {"kind": "ConfigMap"}
    if draft.happens(2):
        body["patches"] = [*body.get("patches", ()), {"patch": patch, "target": target}]
        return {path}
    file = draft.add_text(_folder(path), ".yaml", patch)
    entry = {"path": posixpath.relpath(file, _folder(path)), "target": target}
    body["patches"] = [*body.get("patches", ()), entry]
    return {file, path}


def broken_generator(draft: Draft, path: str, body: Body) -> set[str]:
    entry: Body = draft.one_of(
        (
            {"name": "broken", "literals": ["no-equals-sign"]},
            {"name": "broken", "literals": ["=v"]},
            {"name": "broken", "literals": ["a=1", "a=2"]},
            {"name": "broken", "literals": ["a b=1"]},
            {"name": "broken", "behavior": "merge", "literals": ["a=b"]},
            {"name": "broken", "behavior": "replace"},
            {"name": "broken", "behavior": "mix"},
            {"literals": ["a=b"]},
            {"name": "broken", "files": ["a=b=c"]},
            {"name": "broken", "files": ["=x"]},
            {"name": "broken", "files": ["."]},
            {"name": "Broken_Name", "literals": ["a=b"]},
        )
    )
    kind = draft.one_of(("configMapGenerator", "secretGenerator"))
    body[kind] = [*body.get(kind, ()), entry]
    return {path, _folder(path)} | (
        {f"{_folder(path)}/x", f"{_folder(path)}/b=c"} if "files" in entry else set()
    )


def broken_environment(draft: Draft, path: str, body: Body) -> set[str]:
    content = draft.one_of((b"A=\xff\n", b"=x\n", b"A B=1\n", b"1-%=2\n", b"A=1\nA=2\n", b"no equals\n"))
    file = draft.add_text(_folder(path), ".env", content)
    kind = draft.one_of(("configMapGenerator", "secretGenerator"))
    entry = {"name": "broken", "envs": [posixpath.relpath(file, _folder(path))]}
    body[kind] = [*body.get(kind, ()), entry]
    return {file, path}


def broken_replacement(draft: Draft, path: str, body: Body) -> set[str]:
    source = draft.one_of(
        (
            {"kind": "ConfigMap", "name": "nowhere", "fieldPath": "data.k"},
            {"kind": "Secret|ConfigMap", "fieldPath": "data.nope"},
            {"fieldPath": "metadata.name"},
        )
    )
    targets = draft.one_of(([{"select": {"kind": "ConfigMap"}, "fieldPaths": ["data.nope.deep"]}], [], [{}]))
    body["replacements"] = [{"source": source, "targets": targets}]
    return {path}


def wrong_place(draft: Draft, path: str, body: Body) -> set[str]:
    """Name a folder, a component or itself where none of these may be."""
    folder, number = _folder(path), draft.number()
    match draft.one_of(("itself", "component", "no component", "empty folder", "file")):
        case "itself":
            _add_resource(body, ".")
        case "component":
            draft.texts[f"wrong{number}/kustomization.yaml"] = (
                "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
            )
            _add_resource(body, posixpath.relpath(f"wrong{number}", folder))
        case "no component":
            draft.texts[f"wrong{number}/kustomization.yaml"] = "resources: []\n"
            body["components"] = [posixpath.relpath(f"wrong{number}", folder)]
        case "empty folder":
            draft.texts[f"wrong{number}/a.txt"] = "x"
            _add_resource(body, posixpath.relpath(f"wrong{number}", folder))
        case _:
            draft.texts[f"wrong{number}/c.yaml"] = _HEAD
            body["components"] = [posixpath.relpath(f"wrong{number}/c.yaml", folder)]
    inside = {f"wrong{number}", f"wrong{number}/kustomization.yaml", f"wrong{number}/c.yaml"}
    return {path, folder} | inside


def unset_variable(draft: Draft, path: str, body: Body) -> set[str]:
    text = draft.one_of(
        ("${NOWHERE}", "${NOWHERE", "${}", "${NO-WHERE!}", "${1}", "${NAME:0:2}", "${NAME^^}", "${#NAME}")
    )
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "unset"}, "data": {"a": text}}
    file = draft.add_text(_folder(path), ".yaml", to_yaml(document))
    _add_resource(body, posixpath.relpath(file, _folder(path)))
    return {file}


def two_kustomizations(draft: Draft, path: str, body: Body) -> set[str] | None:
    other = next(
        name
        for name in ("kustomization.yaml", "kustomization.yml", "Kustomization")
        if not path.endswith(f"/{name}")
    )
    file = f"{_folder(path)}/{other}"
    draft.texts[file] = to_yaml(draft.one_of(({"resources": []}, body)))
    return {path, file, _folder(path)}


def helm_charts(draft: Draft, path: str, body: Body) -> set[str]:
    body["helmCharts"] = [{"name": "x", "repo": "https://charts.example.invalid"}]
    return {path}


FAULTS: tuple[Plant, ...] = (
    *(missing_resource, missing_patch, missing_generator_file, missing_component, missing_transformer),
    *(missing_replacement, broken_yaml, broken_yaml, no_object, no_object, key_twice, object_twice),
    *(broken_kustomization, misspelt_field, unmatched_patch, broken_patch, broken_generator),
    *(broken_environment, broken_replacement, wrong_place, unset_variable, two_kustomizations, helm_charts),
)
