"""Values files as source-controller puts them into a chart: merged, and written again.

This module knows how they are merged, and which characters don't come through. Source: source-controller 1.9,
internal/helm/chart/builder.go; sigs.k8s.io/yaml, which writes JSON first and reads that as YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from gitops_run.model.text import go_yaml, yaml_limits
from gitops_run.model.text.problem import Problem


def unwritable(files: Sequence[tuple[str, str]]) -> Problem | None:
    """Find the character in values files that Flux can't write into the chart.

    files: paths and texts, in order. None where one can't be read: helm says why.
    """
    merged: Mapping[str, Any] = {}
    try:
        for _, text in files:
            values = go_yaml.read(text)
            merged = _merged(merged, values) if isinstance(values, Mapping) else merged
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    if not _has_unwritable(merged):
        return None
    path, line = next(
        (path, node.start_mark.line + 1)
        for path, text in reversed(files)
        for node in _scalars(text)
        if go_yaml.CONTROL_CHARACTERS.search(node.value)
    )
    return Problem(
        path=path,
        line=line,
        message="this value has a control character, and Flux can't put it into the chart",
        hint="remove the character",
    )


def _merged(values: Mapping[str, Any], over: Mapping[str, Any]) -> Mapping[str, Any]:
    found = dict(values)
    for key, value in over.items():
        old = found.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            found[key] = _merged(old, value)
        else:
            found[key] = value
    return found


def _has_unwritable(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_has_unwritable(one) for pair in value.items() for one in pair)
    if isinstance(value, list):
        return any(map(_has_unwritable, value))
    return isinstance(value, str) and go_yaml.CONTROL_CHARACTERS.search(value) is not None


def _scalars(text: str) -> list[yaml.ScalarNode]:
    found, waiting = [], list(yaml_limits.compose_all(text))
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.ScalarNode):
            found.append(node)
        elif isinstance(node, yaml.MappingNode):
            waiting += [one for pair in node.value for one in pair]
        else:
            waiting += node.value
    return found
