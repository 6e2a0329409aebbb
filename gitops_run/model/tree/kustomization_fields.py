"""What becomes of a target's own kustomization as Flux reads it into Go's types and writes it again.

This module knows the names of the fields and where each may stand, and not what they mean. What Flux doesn't
know is gone without a word, and a number where text belongs becomes text; kustomize refuses both in a base.
Source: kustomize api 0.21, types.Kustomization; fluxcd/pkg kustomize 1.35.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import yaml

from gitops_run.model.text.go_yaml import as_text

_STR: Final = "tag:yaml.org,2002:str"
_MERGE: Final = "tag:yaml.org,2002:merge"
_GVK: Final = "group:? version:? kind:? isClusterScoped:?"
_RES_ID: Final = f"{_GVK} name:? namespace:?"
_GENERATOR: Final = "namespace:? name:? behavior:? literals:? files:? envs:? env:? options:InnerOptions"
_TYPES: Final = {
    "Kustomization": """
        kind:? apiVersion:? metadata:Meta openapi namePrefix nameSuffix namespace commonLabels labels:Label
        commonAnnotations patchesStrategicMerge patchesJson6902:Patch patches:Patch images:Image
        imageTags:Image replacements:Replacement replicas:Replica vars:Var sortOptions:Sort resources
        components crds bases configMapGenerator:Generator secretGenerator:SecretGenerator
        helmGlobals:Globals helmCharts:Chart helmChartInflationGenerator:OldChart
        generatorOptions:GeneratorOptions configurations generators transformers validators buildMetadata""",
    "Meta": "name namespace labels annotations",
    "Label": "pairs includeSelectors:? includeTemplates:? fields:FieldSpec",
    "FieldSpec": f"{_GVK} path create:?",
    "Patch": "path patch target:Selector options:PatchOptions",
    "PatchOptions": "allowNameChange:? allowKindChange:?",
    "Selector": f"{_RES_ID} annotationSelector labelSelector",
    "Image": "name newName tagSuffix newTag digest",
    "Replacement": "source:Source targets:Target sourceValue:? path",
    "Source": f"{_RES_ID} fieldPath:? options:FieldOptions",
    "Target": "select:InnerSelector reject:InnerSelector fieldPaths:? options:FieldOptions",
    "InnerSelector": f"{_RES_ID} annotationSelector:? labelSelector:?",
    "FieldOptions": "delimiter:? index:? encoding:? create:?",
    "Replica": "name count:?",
    "Var": "name objref:ObjRef fieldref:FieldRef",
    "ObjRef": f"apiVersion {_GVK} name namespace",
    "FieldRef": "fieldPath",
    "Sort": "order legacySortOptions:OldSort",
    "OldSort": "orderFirst orderLast",
    "Generator": _GENERATOR,
    "SecretGenerator": f"{_GENERATOR} type",
    "InnerOptions": "labels:? annotations:? disableNameSuffixHash:? immutable:?",
    "GeneratorOptions": "labels annotations disableNameSuffixHash:? immutable:?",
    "Globals": "chartHome configHome",
    "Chart": """
        name version repo releaseName namespace additionalValuesFiles valuesFile valuesInline:? valuesMerge
        includeCRDs:? skipHooks:? apiVersions kubeVersion nameTemplate skipTests:? debug:? devel:?""",
    "OldChart": """
        chartName chartVersion chartRepoUrl chartHome chartRepoName helmBin helmHome values valuesLocal:?
        valuesMerge releaseName releaseNamespace extraArgs""",
}
"""The fields of each type, with the type of what is in them: none for text, ? for what stays as it is.

Text that is in a struct which another one embeds stays, too: the decoder doesn't find the type of it.
"""
_OTHER: Final = "?"
_FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    name: {field.partition(":")[0].lower(): field.partition(":")[2] for field in fields.split()}
    for name, fields in _TYPES.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedField:
    """Name a field that Flux drops. line: counted from 1."""

    name: str
    line: int


def known_fields(node: yaml.MappingNode) -> tuple[yaml.MappingNode, tuple[DroppedField, ...]]:
    """Leave out of a kustomization what Flux drops, and list that; write text where text belongs.

    The node itself stays as it is. Names count:? in any case, as Go's decoder takes them.
    """
    dropped: list[DroppedField] = []
    return _known_mapping(node, "Kustomization", dropped), tuple(dropped)


def _known(node: yaml.Node, kind: str, dropped: list[DroppedField]) -> yaml.Node:
    if isinstance(node, yaml.SequenceNode):
        items = [_known(item, kind, dropped) for item in node.value]
        return yaml.SequenceNode(node.tag, items, flow_style=node.flow_style)
    return _known_mapping(node, kind, dropped) if isinstance(node, yaml.MappingNode) else node


def _known_mapping(node: yaml.MappingNode, kind: str, dropped: list[DroppedField]) -> yaml.MappingNode:
    fields, kept = _FIELDS[kind], []
    for key, value in node.value:
        name = str(key.value).lower() if isinstance(key, yaml.ScalarNode) else ""
        if key.tag == _MERGE:
            kept.append((key, _known(value, kind, dropped)))
        elif name not in fields:
            dropped.append(DroppedField(name=str(key.value), line=key.start_mark.line + 1))
        elif fields[name] == _OTHER:
            kept.append((key, value))
        elif inner := fields[name]:
            kept.append((key, _known(value, inner, dropped)))
        else:
            kept.append((key, _as_texts(value)))
    return yaml.MappingNode(node.tag, kept, flow_style=node.flow_style)


def _as_texts(node: yaml.Node) -> yaml.Node:
    """Write what is a number or a boolean where text belongs as Flux writes it."""
    if isinstance(node, yaml.SequenceNode):
        items = [_as_texts(one) for one in node.value]
        return yaml.SequenceNode(node.tag, items, flow_style=node.flow_style)
    if isinstance(node, yaml.MappingNode):
        pairs = [(key, _as_texts(value)) for key, value in node.value]
        return yaml.MappingNode(node.tag, pairs, flow_style=node.flow_style)
    is_plain = isinstance(node, yaml.ScalarNode) and not node.style
    text = as_text(node.value) if is_plain else None
    return node if text is None else yaml.ScalarNode(_STR, text, style='"')
