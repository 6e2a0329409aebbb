"""The kustomization that Flux builds: a target's own, or one that Flux adds, with the session's namespace.

Knows what Flux writes into a target's kustomization before it builds the target. Knows YAML's nodes and not
what kustomize does with them. Of all that a Flux Kustomization can set, a session sets the namespace alone.
Source: fluxcd/pkg kustomize 1.35, kustomize_generator.go; tests/contract/test_flux_generator.py compares.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Final

import yaml

from gitops_run.model.go_yaml import PLAIN, PlainLoader, as_text
from gitops_run.model.kustomize import KUSTOMIZATION_FILES
from gitops_run.model.yaml_limits import Loader, refuse_excess

_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_resolver: Final = yaml.resolver.Resolver()
_NULL: Final = "tag:yaml.org,2002:null"
_MAP: Final = "tag:yaml.org,2002:map"
_MERGE: Final = "tag:yaml.org,2002:merge"
_STR: Final = "tag:yaml.org,2002:str"
_LABEL: Final = "managedByLabel"
_NOT_TEXT: Final = frozenset(
    (
        *("<<", "count", "create", "debug", "devel", "disablenamesuffixhash", "immutable", "includecrds"),
        *("includeselectors", "includetemplates", "index", "allownamechange", "allowkindchange", "skiphooks"),
        *("skiptests", "valuesinline", "valueslocal"),
    )
)
"""Fields of a kustomization that are no text. Source: kustomize, api/types."""
_EMBEDDED: Final = frozenset(
    (
        *("apiversion", "kind", "configmapgenerator", "secretgenerator", "helmcharts", "replacements"),
        *("target", "objref", "group", "version"),
    )
)
"""Fields whose types embed others: the reader in Go knows no type within them, and leaves all as it is."""
_WITH_FREE_KEYS: Final = frozenset(("annotations", "commonannotations", "commonlabels", "labels", "pairs"))
"""Fields whose members are named by people, and are text."""
_LINE_MAX: Final = 2**30
"""Columns after which a long text would be folded: none has so many."""


class UnappliableError(ValueError):
    """Report a kustomization whose objects the API server refuses, all of them. line: counted from 1."""

    def __init__(self, line: int) -> None:
        message = (
            f"{_LABEL}: the kustomize in Flux writes the label kustomize-(devel), which is not a valid one"
        )
        super().__init__(message)
        self.line = line


def kustomization_file(paths: Collection[str], target: str) -> str:
    """Name the file that Flux writes before it builds a target: the target's own, else the one it adds.

    paths: every file of the snapshot.
    """
    candidates = [name if target == "." else f"{target}/{name}" for name in KUSTOMIZATION_FILES]
    return next((path for path in candidates if path in paths), candidates[0])


def generated_kustomization(resources: Iterable[str]) -> bytes:
    """Write the kustomization that Flux adds to a target without one, still without a namespace."""
    return json.dumps({"resources": [f"./{resource}" for resource in resources]}).encode()


def with_namespace(kustomization: bytes, namespace: str) -> bytes:
    """Write into a target's own kustomization what Flux writes there before it builds the target.

    That is the namespace, whatever namespace the file names, and origin annotations where it names no
    resources, so that kustomize does not call it empty. Flux reads the file into Go's types and writes those:
    a number or a boolean becomes text where text is wanted, which kustomize by itself refuses. Flux drops
    unknown fields, too. They stay, since kustomize's error about a misspelt field helps more. All else keeps
    its meaning, not its layout. Only the first document counts. Raises yaml.YAMLError where the file is not
    valid YAML or exceeds a limit, and UnappliableError where nothing that it builds can be applied.
    """
    refuse_excess(kustomization.decode("utf-8", "replace"))
    node = next(iter(yaml.compose_all(kustomization, Loader=PlainLoader)), None)
    _resolve(node)
    if _is_null(node):
        node = yaml.MappingNode(_MAP, [], flow_style=False)
    if not isinstance(node, yaml.MappingNode):
        return kustomization
    settings: dict[str, str | list[str]] = {"namespace": namespace}
    if not _has_resources(node):
        settings["buildMetadata"] = ["originAnnotations"]
    _refuse_label(node, settings)
    own = {name.lower() for name in settings}
    kept = [(key, value) for key, value in node.value if str(key.value).lower() not in own]
    added = next(iter(yaml.compose_all(json.dumps(settings), Loader=Loader)))
    node.value = [*kept, *added.value]
    node.flow_style = False
    written: bytes = yaml.serialize(
        node, Dumper=_Dumper, width=_LINE_MAX, allow_unicode=True, encoding="utf-8"
    )
    return written


def _resolve(node: yaml.Node | None, name: str = "", *, has_free_keys: bool = False) -> None:
    """Tag plain text with what it is to Go, by the field that it stands in. name: of that, in lower case."""
    if isinstance(node, yaml.ScalarNode) and node.tag == PLAIN:
        text = as_text(node.value)
        if name in _NOT_TEXT or name in _EMBEDDED or text is None:
            node.tag = _resolver.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]
        else:
            node.tag, node.value, node.style = _STR, text, node.style if text == node.value else '"'
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _resolve(item, name, has_free_keys=has_free_keys)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = "" if has_free_keys else str(key.value).lower()
            inner = name if name in _EMBEDDED else inner
            _resolve(key, "" if key.value != "<<" else "<<")
            is_free = inner in _WITH_FREE_KEYS and isinstance(value, yaml.MappingNode)
            _resolve(value, inner, has_free_keys=has_free_keys or is_free)


def _refuse_label(node: yaml.MappingNode, settings: Collection[str]) -> None:
    """Raise UnappliableError where kustomize writes its version as a label, which in Flux is no valid one."""
    if "buildMetadata" in settings:
        return
    for key, value in node.value:
        if str(key.value).lower() == "buildmetadata" and isinstance(value, yaml.SequenceNode):
            for item in value.value:
                if item.value == _LABEL:
                    raise UnappliableError(item.start_mark.line + 1)


def _is_null(node: yaml.Node | None) -> bool:
    return node is None or node.tag == _NULL


def _has_resources(node: yaml.MappingNode) -> bool:
    """Say whether a kustomization names resources. Of keys in several cases, Go's decoder takes the last."""
    fields: dict[str, yaml.Node] = {}
    _collect(node, fields)
    found = {key: value for key, value in fields.items() if key.lower() == "resources"}
    return bool(found) and bool(found[max(found)].value) and not _is_null(found[max(found)])


def _collect(node: yaml.Node, fields: dict[str, yaml.Node]) -> None:
    """Add a mapping's own fields, then those that it merges in (<<), where they are not there yet."""
    if not isinstance(node, yaml.MappingNode):
        return
    own = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    for key, value in own.items():
        fields.setdefault(key, value)
    for merged in [value for key, value in node.value if key.tag == _MERGE]:
        for part in merged.value if isinstance(merged, yaml.SequenceNode) else [merged]:
            _collect(part, fields)
