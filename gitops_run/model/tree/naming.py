"""Which files a kustomization names, by reading its YAML alone: paths as written, each with its line.

This module knows every key of a Kustomization and every built-in plugin that can name a file. Others name
none, since kustomize refuses what it doesn't know. It follows nothing and reads no disk: that is
`model.closure`. Keys are compared without case, as kustomize's decoder does.
Source: kustomize 5.8, api/types/kustomization.go and api/internal/builtins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

import yaml

from gitops_run.model.text import yaml_limits


class Role(Enum):
    """Describe what a path stands for."""

    FILE = "a file"
    RESOURCE = "a file of objects, or a folder with a kustomization"
    PATCH = "a file, or a patch written out"
    PLUGIN = "a file that configures a plugin, a folder of such, or a plugin written out"


@dataclass(frozen=True, slots=True)
class Reference:
    """Hold one path as it is written. key: what names it."""

    path: str
    role: Role
    key: str
    line: int


@dataclass(frozen=True, slots=True)
class Remark:
    """Point to a key by its line."""

    key: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """Hold what one file names. changing: keys that may give objects other fields. helm: charts."""

    references: tuple[Reference, ...] = ()
    changing: tuple[Remark, ...] = ()
    helm: tuple[Remark, ...] = ()


_LISTS: Final = {
    "resources": Role.RESOURCE,
    "bases": Role.RESOURCE,
    "components": Role.RESOURCE,
    "patchesstrategicmerge": Role.PATCH,
    "crds": Role.FILE,
    "configurations": Role.FILE,
    "generators": Role.PLUGIN,
    "transformers": Role.PLUGIN,
    "validators": Role.PLUGIN,
}
_ITEMS_WITH_PATH: Final = frozenset({"patches", "patchesjson6902", "replacements"})
_CHANGING: Final = _ITEMS_WITH_PATH | {"patchesstrategicmerge", "transformers"}
_GENERATORS: Final = frozenset({"configmapgenerator", "secretgenerator"})
_HELM: Final = frozenset({"helmcharts", "helmchartinflationgenerator"})
_PLUGINS_WITH_FILES: Final = _GENERATORS | frozenset(
    (
        "patchtransformer",
        "patchjson6902transformer",
        "patchstrategicmergetransformer",
        "replacementtransformer",
    )
)

_Fields = dict[str, tuple[yaml.Node, int]]


def named_by_kustomization(text: str) -> Naming:
    """List what a kustomization names; nothing where it isn't valid YAML.

    Only the first document counts, even an empty one. Source: kustomize, api/types/kustomization.go.
    """
    first = next(_nodes(text), None)
    return _of_kustomization(_fields(first)) if first is not None else Naming()


def named_by_plugins(text: str) -> Naming:
    """List what the configurations of generators, transformers or validators in a file name."""
    return _merged(_of_plugin(fields) for fields in _documents(text))


def is_written_out(text: str) -> bool:
    """Report whether an entry is YAML of its own and no path."""
    return "\n" in text or any(True for _ in _documents(text))


def chart_dependencies(text: str) -> tuple[Reference, ...]:
    """List the folders of charts that a Chart.yaml or requirements.yaml takes from next to it.

    The key of each is the name of its dependency.
    """
    found = []
    for fields in _documents(text):
        for item in _mappings(fields.get("dependencies")):
            name, _ = next(_scalars(item.get("name")), ("", 1))
            for path, line in _scalars(item.get("repository")):
                if path.startswith("file://"):
                    folder = path.removeprefix("file://")
                    found.append(Reference(folder, Role.RESOURCE, name, line))
    return tuple(found)


def _merged(parts: Iterator[Naming]) -> Naming:
    found = list(parts)
    return Naming(
        references=tuple(reference for part in found for reference in part.references),
        changing=tuple(remark for part in found for remark in part.changing),
        helm=tuple(remark for part in found for remark in part.helm),
    )


def _of_kustomization(fields: _Fields) -> Naming:
    references: list[Reference] = []
    changing, helm = [], []
    for key, (node, line) in fields.items():
        lower = key.lower()
        changing += [Remark(key, line)] if lower in _CHANGING else []
        if lower in _LISTS:
            references += _listed(node, line, _LISTS[lower], key)
        elif lower in _ITEMS_WITH_PATH:
            for item in _mappings((node, line)):
                references += _paths(item, "path", Role.FILE, key)
        elif lower in _GENERATORS:
            for item in _mappings((node, line)):
                references += _generated(item, key)
        elif lower == "openapi":
            references += _paths(_fields(node), "path", Role.FILE, key)
        elif lower in _HELM:
            helm += [Remark(key, line)] if any(True for _ in _mappings((node, line))) else []
    return Naming(references=tuple(references), changing=tuple(changing), helm=tuple(helm))


def _of_plugin(fields: _Fields) -> Naming:
    kind, line = next(_scalars(_field(fields, "kind")), ("a plugin without a kind", 1))
    version, _ = next(_scalars(_field(fields, "apiVersion")), ("", 1))
    lower = kind.lower()
    if lower == "helmchartinflationgenerator":
        return Naming(helm=(Remark(kind, line),))
    if version != "builtin":
        return Naming()
    return Naming(references=tuple(_of_built_in(lower, kind, fields)))


def _of_built_in(lower: str, kind: str, fields: _Fields) -> Iterator[Reference]:
    if lower in _GENERATORS:
        yield from _generated(fields, kind)
    elif lower == "patchstrategicmergetransformer":
        yield from _paths(fields, "paths", Role.PATCH, kind)
    elif lower == "replacementtransformer":
        for item in _mappings(_field(fields, "replacements")):
            yield from _paths(item, "path", Role.FILE, kind)
    elif lower in _PLUGINS_WITH_FILES:
        yield from _paths(fields, "path", Role.FILE, kind)


def _generated(item: _Fields, key: str) -> Iterator[Reference]:
    for reference in _paths(item, "files", Role.FILE, key):
        path = reference.path.partition("=")[2] or reference.path
        yield Reference(path, Role.FILE, key, reference.line)
    for name in ("envs", "env"):
        yield from _paths(item, name, Role.FILE, key)


def _paths(item: _Fields, name: str, role: Role, key: str) -> Iterator[Reference]:
    for path, line in _scalars(_field(item, name)):
        yield Reference(path, role, key, line)


def _listed(node: yaml.Node, line: int, role: Role, key: str) -> Iterator[Reference]:
    for path, at in _scalars((node, line)):
        yield Reference(path, role, key, at)


def _documents(text: str) -> Iterator[_Fields]:
    """Read the mappings of a file until the first document that isn't valid YAML."""
    return (_fields(node) for node in _nodes(text) if isinstance(node, yaml.MappingNode))


def _nodes(text: str) -> Iterator[yaml.Node]:
    try:
        yield from yaml_limits.compose_all(text.removeprefix("\ufeff"))
    except yaml.YAMLError:
        return


def _fields(node: yaml.Node) -> _Fields:
    """Map a mapping's keys to their values and lines; what it merges in (<<) counts too."""
    fields: _Fields = {}
    if not isinstance(node, yaml.MappingNode):
        return fields
    for key, value in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                fields = {**_fields(part), **fields}
        elif isinstance(key, yaml.ScalarNode):
            fields[key.value] = (value, key.start_mark.line + 1)
    return fields


def _field(fields: _Fields, name: str) -> tuple[yaml.Node, int] | None:
    return next((value for key, value in fields.items() if key.lower() == name.lower()), None)


def _mappings(value: tuple[yaml.Node, int] | None) -> Iterator[_Fields]:
    if value is not None and isinstance(value[0], yaml.SequenceNode):
        for item in value[0].value:
            if isinstance(item, yaml.MappingNode):
                yield _fields(item)


def _scalars(value: tuple[yaml.Node, int] | None) -> Iterator[tuple[str, int]]:
    """List a text, or the texts of a list, without empty ones."""
    if value is None:
        return
    nodes = value[0].value if isinstance(value[0], yaml.SequenceNode) else [value[0]]
    for node in nodes:
        if isinstance(node, yaml.ScalarNode) and node.value and node.tag != "tag:yaml.org,2002:null":
            yield node.value, node.start_mark.line + 1
