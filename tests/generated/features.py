"""What a kustomization may say besides its resources: one function for each field, which adds to it."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.generated.drafts import Draft
from tests.generated.objects import Body, data, values
from tests.generated.texts import strings, to_yaml

Feature = Callable[[Draft, str, Body], None]


def known(draft: Draft) -> list[tuple[str, str]]:
    """List kinds and names of what a kustomization has below it."""
    objects = [one for path in sorted(draft.visible) for one in draft.manifests[path]]
    members = [member for one in objects for member in (one.get("items") or [one])]
    found = [(str(one["kind"]), str(one["metadata"]["name"])) for one in members if "metadata" in one]
    return found or [("ConfigMap", "c0")]


def version_of(kind: str) -> str:
    if kind in ("Deployment", "StatefulSet", "DaemonSet"):
        return "apps/v1"
    return {"Job": "batch/v1", "Ingress": "networking.k8s.io/v1", "Widget": "x.io/v1"}.get(kind, "v1")


def prefix(draft: Draft, folder: str, body: Body) -> None:
    body[draft.one_of(("namePrefix", "nameSuffix"))] = draft.one_of(("p-", "-s", "dev-", "x", ""))


def namespace(draft: Draft, folder: str, body: Body) -> None:
    body["namespace"] = draft.one_of(("own", "run-x", "other", ""))


def labels(draft: Draft, folder: str, body: Body) -> None:
    pairs = draft.draw(st.dictionaries(st.sampled_from(("app", "x.io/l", "team")), strings(), max_size=2))
    entry: Body = {"pairs": pairs}
    for key in ("includeSelectors", "includeTemplates"):
        if draft.happens(3):
            entry[key] = True
    if draft.happens(6):
        entry["fields"] = [{"path": "spec/labels", "create": True, "kind": "Widget"}]
    body["labels"] = [entry]


def common_labels(draft: Draft, folder: str, body: Body) -> None:
    body["commonLabels"] = draft.draw(
        st.dictionaries(st.sampled_from(("app", "team")), strings(), max_size=2)
    )


def common_annotations(draft: Draft, folder: str, body: Body) -> None:
    taken = values() if draft.happens(8) else strings()
    body["commonAnnotations"] = draft.draw(
        st.dictionaries(st.sampled_from(("a", "x.io/b")), taken, max_size=2)
    )


def images(draft: Draft, folder: str, body: Body) -> None:
    name = draft.one_of(("nginx", "reg.io:5000/nginx", "main", "*"))
    change = draft.one_of(
        (
            {"newTag": "1.10"},
            {"newTag": "2"},
            {"newName": "other/nginx"},
            {"digest": "sha256:" + "1" * 64},
            {"newName": "x", "newTag": "latest"},
            {"tagSuffix": "-alpine"},
            {},
        )
    )
    body["images"] = [{"name": name, **change}]


def replicas(draft: Draft, folder: str, body: Body) -> None:
    scaled = [name for kind, name in known(draft) if kind in ("Deployment", "StatefulSet")]
    if scaled:
        body["replicas"] = [{"name": draft.one_of(scaled), "count": draft.one_of((0, 2, 5))}]


def _patch(draft: Draft) -> tuple[Any, Body | None]:
    """Make a patch, and its target where it needs one."""
    kind, name = draft.one_of(known(draft))
    head = {"apiVersion": version_of(kind), "kind": kind}
    match draft.one_of(("merge", "merge", "merge", "delete", "json", "json", "selector", "targeted")):
        case "merge":
            added = draft.one_of(({"annotations": {"p": "q"}}, {"labels": {"p": draft.draw(strings())}}))
            return {**head, "metadata": {"name": name, **added}}, None
        case "delete":
            return {**head, "metadata": {"name": name}, "$patch": "delete"}, None
        case "json":
            return draft.draw(json_operations()), {"kind": kind, "name": name}
        case "selector":
            selected = draft.one_of(_SELECTORS)
            return draft.draw(json_operations()), selected
    rest = {"data": draft.draw(data(values()))} if kind == "ConfigMap" else {}
    return {**head, "metadata": {"name": "any"}, **rest}, {"kind": kind, "name": name}


_SELECTORS: tuple[Body, ...] = (
    {"kind": "ConfigMap"},
    {"kind": "Deployment|StatefulSet"},
    {"name": ".*0"},
    {"group": "apps", "version": "v1"},
    {"labelSelector": "app in (a, d0)"},
    {"annotationSelector": "x.io/a"},
    {"namespace": "own"},
)


def json_operations() -> st.SearchStrategy[list[Body]]:
    """Make JSON patches; most of them apply to any object."""
    operations = (
        {"op": "add", "path": "/metadata/annotations", "value": {"j": "k"}},
        {"op": "add", "path": "/metadata/labels", "value": {"y": "no"}},
        {"op": "replace", "path": "/metadata/name", "value": "renamed"},
        {"op": "add", "path": "/metadata/namespace", "value": "foreign"},
        {"op": "add", "path": "/data", "value": {"5": "five", "k": "w"}},
        {"op": "copy", "from": "/metadata/name", "path": "/metadata/generateName"},
        {"op": "add", "path": "/metadata/labels/x~1y", "value": "z"},
    )
    return st.lists(st.sampled_from(operations), min_size=1, max_size=2, unique_by=str)


def patches(draft: Draft, folder: str, body: Body) -> None:
    found = []
    for _ in range(draft.draw(st.integers(1, 2))):
        patch, target = _patch(draft)
        entry: Body = {} if target is None else {"target": target}
        if draft.happens(6):
            entry["options"] = draft.one_of(({"allowNameChange": True}, {"allowKindChange": True}))
        text = json.dumps(patch) if draft.happens(4) else to_yaml(patch)
        if draft.happens(2):
            entry["path"] = _relative(draft.add_text(folder, ".yaml", text), folder)
        else:
            entry["patch"] = text
        found.append(entry)
    body["patches"] = found


def old_patches(draft: Draft, folder: str, body: Body) -> None:
    kind, name = draft.one_of(known(draft))
    group, _, version = version_of(kind).rpartition("/")
    if draft.happens(2):
        target = {"group": group, "version": version, "kind": kind, "name": name}
        text = to_yaml(draft.draw(json_operations()))
        body["patchesJson6902"] = [{"target": target, "patch": text}]
    else:
        patch = {
            "apiVersion": version_of(kind),
            "kind": kind,
            "metadata": {"name": name, "labels": {"o": "p"}},
        }
        text = to_yaml(patch)
        is_file = draft.happens(2)
        named = _relative(draft.add_text(folder, ".yaml", text), folder) if is_file else text
        body["patchesStrategicMerge"] = [named]


def _relative(path: str, folder: str) -> str:
    return posixpath.relpath(path, folder)


ENVIRONMENTS = (
    "A=1\nB=two words\n",
    "# a comment\n\nA=1\n",
    "\ufeffA=1\nB=2\r\n",
    "A='quoted'\nB=\"x\"\n",
    "A=x=y\nB=\n",
    "A=${NAME}\n",
    "export A=1\n",
    "A=1",
    "",
)


def config_map_generator(draft: Draft, folder: str, body: Body) -> None:
    _generator(draft, folder, body, "configMapGenerator")


def secret_generator(draft: Draft, folder: str, body: Body) -> None:
    _generator(draft, folder, body, "secretGenerator")


def _generator(draft: Draft, folder: str, body: Body, field: str) -> None:
    kind = "ConfigMap" if field == "configMapGenerator" else "Secret"
    there = [name for one, name in known(draft) if one == kind]
    is_merged = bool(there) and draft.happens(3)
    entry: Body = {"name": draft.one_of(there) if is_merged else f"g{draft.number()}"}
    if is_merged:
        entry["behavior"] = draft.one_of(("merge", "merge", "replace"))
    elif draft.happens(6):
        entry["behavior"] = "create"
    for source in draft.draw(
        st.lists(st.sampled_from(("literals", "files", "envs")), max_size=2, unique=True)
    ):
        entry[source] = [_source(draft, folder, source)]
    if draft.happens(4):
        entry["options"] = draft.one_of(_OPTIONS)
    if draft.happens(6):
        entry["namespace"] = draft.one_of(("own", "run-x"))
    if field == "secretGenerator" and draft.happens(4):
        entry["type"] = "kubernetes.io/tls"
    body[field] = [*body.get(field, ()), entry]


def _source(draft: Draft, folder: str, source: str) -> str:
    match source:
        case "literals":
            return str(draft.one_of(("a=b", "a=", "a='x y'", 'a="q"', "a=b=c", "y=no", "a=${NAME}", "5=5")))
        case "envs":
            return _relative(draft.add_text(folder, ".env", draft.one_of(ENVIRONMENTS)), folder)
    content = draft.one_of(
        ("text", "a: b\n", "\x00\x01", "", "l\r\nm\r\n", b"\xff\xfe", "${NAME}", "\ttab\n x")
    )
    path = _relative(draft.add_text(draft.one_of((folder, "files")), ".txt", content), folder)
    return f"key={path}" if draft.happens(2) or not path.isascii() or set(path) & set(" #%") else path


_OPTIONS: tuple[Body, ...] = (
    {"disableNameSuffixHash": True},
    {"labels": {"o": "yes"}},
    {"annotations": {"o": "1"}, "immutable": True},
)


def generator_options(draft: Draft, folder: str, body: Body) -> None:
    body["generatorOptions"] = draft.one_of(_OPTIONS)


SOURCE_PATHS = ("metadata.name", "metadata.namespace", "metadata.name", "kind", "metadata.labels.app")
TARGET_PATHS = (
    "data.k",
    "metadata.annotations.r",
    "metadata.name",
    "metadata.namespace",
    "spec.template.spec.containers.[name=main].image",
    "spec.template.spec.containers.*.env.0.value",
    "data.[a.b]",
    "stringData.k",
    "metadata.labels.[x.io/a]",
)


def replacements(draft: Draft, folder: str, body: Body) -> None:
    kind, name = draft.one_of(known(draft))
    paths = ("data.k", "data.k", *SOURCE_PATHS[:2]) if kind == "ConfigMap" else SOURCE_PATHS
    source: Body = {"kind": kind, "name": name, "fieldPath": draft.one_of(paths)}
    if source["fieldPath"] == "metadata.name" and draft.happens(2):
        del source["fieldPath"]
    target_kind, target_name = draft.one_of(known(draft))
    select = draft.one_of(({"kind": target_kind, "name": target_name}, {"kind": target_kind}))
    options: Body = draft.one_of(({}, *[{"create": True}] * 4, {"delimiter": "-", "index": 0}))
    if options.get("delimiter") and draft.happens(2):
        source["options"] = {"delimiter": "-", "index": 0}
    target: Body = {"select": select, "fieldPaths": [draft.one_of(TARGET_PATHS)]}
    if options:
        target["options"] = options
    if draft.happens(6):
        target["reject"] = [{"name": name}]
    replacement: Body = {"source": source, "targets": [target]}
    if draft.happens(3):
        path = draft.add_text(folder, ".yaml", to_yaml(draft.one_of((replacement, [replacement]))))
        body["replacements"] = [{"path": _relative(path, folder)}]
    else:
        body["replacements"] = [replacement]


PLUGINS: tuple[Body, ...] = (
    {"kind": "PrefixTransformer", "prefix": "t-", "fieldSpecs": [{"path": "metadata/name"}]},
    {
        "kind": "LabelTransformer",
        "labels": {"t": "u"},
        "fieldSpecs": [{"path": "metadata/labels", "create": True}],
    },
    {
        "kind": "AnnotationsTransformer",
        "annotations": {"t": "1"},
        "fieldSpecs": [{"path": "metadata/annotations"}],
    },
    {"kind": "NamespaceTransformer", "metadata": {"name": "n", "namespace": "moved"}},
    {
        "kind": "PatchTransformer",
        "target": {"kind": "ConfigMap"},
        "patch": "[{op: add, path: /data/t, value: u}]",
    },
    {"kind": "ImageTagTransformer", "imageTag": {"name": "nginx", "newTag": "t"}},
    {
        "kind": "PatchTransformer",
        "target": {"name": "c0"},
        "patch": "- {op: add, path: /metadata/namespace, value: moved}\n",
    },
)


def transformers(draft: Draft, folder: str, body: Body) -> None:
    plugin = {"apiVersion": "builtin", "metadata": {"name": "t"}, **draft.one_of(PLUGINS)}
    _plugin(draft, folder, body, "transformers", plugin)


def generators(draft: Draft, folder: str, body: Body) -> None:
    kind = draft.one_of(("ConfigMapGenerator", "SecretGenerator"))
    plugin: Body = {"apiVersion": "builtin", "kind": kind, "metadata": {"name": f"p{draft.number()}"}}
    plugin["literals"] = ["a=b"]
    if draft.happens(3):
        plugin["files"] = [_source(draft, folder, "files")]
    _plugin(draft, folder, body, "generators", plugin)


def _plugin(draft: Draft, folder: str, body: Body, field: str, plugin: Body) -> None:
    match draft.one_of(("file", "inline", "folder", "above")):
        case "inline":
            body[field] = [to_yaml(plugin)]
        case "folder":
            number = draft.number()
            path = draft.add_text(f"plugins{number}", ".yaml", to_yaml(plugin))
            name = f"plugins{number}/kustomization.yaml"
            draft.texts[name] = to_yaml({"resources": [path.rpartition("/")[2]]})
            body[field] = [_relative(f"plugins{number}", folder)]
        case where:
            path = draft.add_text("files" if where == "above" else folder, ".yaml", to_yaml(plugin))
            body[field] = [_relative(path, folder)]


def configurations(draft: Draft, folder: str, body: Body) -> None:
    found = draft.one_of(
        (
            {"namePrefix": [{"path": "data/k", "kind": "ConfigMap"}]},
            {
                "nameReference": [
                    {"kind": "Secret", "version": "v1", "fieldSpecs": [{"path": "spec/secret/name"}]}
                ]
            },
            {"commonLabels": [{"path": "spec/labels", "create": True, "kind": "Widget"}]},
            {"images": [{"path": "spec/image", "kind": "Widget"}]},
            {"varReference": [{"path": "data", "kind": "ConfigMap"}]},
        )
    )
    path = draft.add_text(folder, ".yaml", to_yaml(found))
    body["configurations"] = [_relative(path, folder)]


def crds(draft: Draft, folder: str, body: Body) -> None:
    schema = {"io.x.v1.Widget": {"Schema": {"properties": {"spec": {"$ref": "io.x.v1.Spec"}}}}}
    text = json.dumps(schema) if draft.happens(2) else to_yaml(schema)
    body["crds"] = [_relative(draft.add_text(folder, ".json", text), folder)]


def openapi(draft: Draft, folder: str, body: Body) -> None:
    widget = {
        "type": "object",
        "x-kubernetes-group-version-kind": [{"group": "x.io", "kind": "Widget", "version": "v1"}],
        "properties": {"spec": {"type": "object"}},
    }
    path = draft.add_text(folder, ".json", json.dumps({"definitions": {"io.x.v1.Widget": widget}}))
    body["openapi"] = {"path": _relative(path, folder)}


def build_metadata(draft: Draft, folder: str, body: Body) -> None:
    kinds = ("originAnnotations", "transformerAnnotations", "managedByLabel")
    body["buildMetadata"] = draft.draw(st.lists(st.sampled_from(kinds), max_size=2, unique=True))


def sort_options(draft: Draft, folder: str, body: Body) -> None:
    body["sortOptions"] = draft.one_of(
        (
            {"order": "fifo"},
            {"order": "legacy"},
            {"order": "legacy", "legacySortOptions": {"orderFirst": ["Secret"], "orderLast": ["ConfigMap"]}},
        )
    )


def variables(draft: Draft, folder: str, body: Body) -> None:
    kind, name = draft.one_of(known(draft))
    reference = {"kind": kind, "name": name, "apiVersion": version_of(kind)}
    field = draft.one_of(({}, {"fieldref": {"fieldPath": "metadata.namespace"}}))
    body["vars"] = [{"name": "X", "objref": reference, **field}]


FEATURES: tuple[Feature, ...] = (
    *(
        prefix,
        namespace,
        labels,
        common_labels,
        common_annotations,
        images,
        replicas,
        patches,
        patches,
        old_patches,
    ),
    *(config_map_generator, config_map_generator, secret_generator, generator_options, replacements),
    *(replacements, transformers, generators, configurations, crds, openapi, build_metadata, sort_options),
    variables,
)

SAFE: tuple[Feature, ...] = (
    *(prefix, namespace, images, replicas, config_map_generator, secret_generator, generator_options),
    *(configurations, crds, sort_options, generators, patches),
)
"""Those that make of valid objects valid ones, mostly."""
