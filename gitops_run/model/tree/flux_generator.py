"""The kustomization that Flux builds: a target's own, or one that Flux adds, with the session's namespace.

This module knows what Flux writes into a target's kustomization before it builds the target. It knows YAML's
nodes and not what kustomize does with them. Of all that a Flux Kustomization can set, a session sets the
namespace alone.
Source: fluxcd/pkg kustomize 1.35, kustomize_generator.go; tests/contract/test_flux_generator.py compares.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Final

import yaml

from gitops_run.model.text.yaml_limits import Loader, refuse_excess
from gitops_run.model.tree.kustomization_fields import DroppedField, known_fields
from gitops_run.model.tree.kustomize import KUSTOMIZATION_FILES

_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_NULL: Final = "tag:yaml.org,2002:null"
_MAP: Final = "tag:yaml.org,2002:map"
_MERGE: Final = "tag:yaml.org,2002:merge"
_LABEL: Final = "managedByLabel"
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
    """Name the file that Flux writes before it builds a target: the target's own, otherwise the one it adds.

    paths: every file of the snapshot.
    """
    candidates = [name if target == "." else f"{target}/{name}" for name in KUSTOMIZATION_FILES]
    return next((path for path in candidates if path in paths), candidates[0])


def generated_kustomization(resources: Iterable[str]) -> bytes:
    """Write the kustomization that Flux adds to a target without one, still without a namespace."""
    return json.dumps({"resources": [f"./{resource}" for resource in resources]}).encode()


def with_namespace(kustomization: bytes, namespace: str) -> bytes:
    """Write into a target's own kustomization what Flux writes there before it builds the target.

    That is the namespace, whatever namespace the file names ("" leaves that as it is), and origin annotations
    where it names no resources, so that kustomize does not call it empty. What Flux drops is left out. All
    else keeps its meaning, not its layout. Only the first document counts. Raises yaml.YAMLError where the
    file is not valid YAML or exceeds a limit, and UnappliableError where nothing of it can be applied.
    """
    node = _composed(kustomization)
    if _is_null(node):
        node = yaml.MappingNode(_MAP, [], flow_style=False)
    if not isinstance(node, yaml.MappingNode):
        return kustomization
    node, _ = known_fields(node)
    settings: dict[str, str | list[str]] = {"namespace": namespace} if namespace else {}
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


def _refuse_label(node: yaml.MappingNode, settings: Collection[str]) -> None:
    """Raise UnappliableError where kustomize writes its version as a label, which in Flux is no valid one."""
    if "buildMetadata" in settings:
        return
    for key, value in node.value:
        if str(key.value).lower() == "buildmetadata" and isinstance(value, yaml.SequenceNode):
            for item in value.value:
                if item.value == _LABEL:
                    raise UnappliableError(item.start_mark.line + 1)


def dropped_fields(kustomization: bytes) -> tuple[DroppedField, ...]:
    """List what Flux drops of a target's own kustomization, without a message.

    Raises yaml.YAMLError where the file is not valid YAML or exceeds a limit.
    """
    node = _composed(kustomization)
    return known_fields(node)[1] if isinstance(node, yaml.MappingNode) else ()


def _composed(kustomization: bytes) -> yaml.Node | None:
    refuse_excess(kustomization.decode("utf-8", "replace"))
    return next(iter(yaml.compose_all(kustomization, Loader=Loader)), None)


def _is_null(node: yaml.Node | None) -> bool:
    return node is None or node.tag == _NULL


def _has_resources(node: yaml.MappingNode) -> bool:
    """Report whether a kustomization names resources: Go's decoder ignores case, and takes the last key."""
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
