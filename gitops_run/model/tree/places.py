"""Where in the sources a rendered object and its fields come from: file and line.

This module knows field paths as the API server writes them, and YAML's nodes with their lines. What kustomize
moved, renamed or generated it finds by likeness: the closest name, the document that has the field, the
target's own files first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import yaml

from gitops_run.model.objects.identity import Document, ObjectRef, compose_documents, find_scalar, items_of
from gitops_run.model.text.field_paths import below_key, parse_item
from gitops_run.model.tree.kustomize import KUSTOMIZATION_FILES

Place = tuple[str, int | None]
"""A path relative to the root, "" where nothing fits, and a line counted from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Hold one document of a file. order: its place among all documents."""

    order: int
    path: str
    text: str = field(repr=False)
    document: Document
    node: yaml.MappingNode


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Hold the manifests that an object may come from. target: its files count first, "." for all.

    They are read once, when something is first looked for in them.
    """

    files: tuple[tuple[str, str], ...] = field(repr=False)
    target: str = "."

    def is_in_target(self, path: str) -> bool:
        """Report whether a file lies in the target."""
        return self.target == "." or path.startswith(f"{self.target}/")

    def text(self, path: str) -> str:
        """Hand out a file's text; "" where it isn't among the sources."""
        return next((text for known, text in self.files if known == path), "")

    @cached_property
    def _by_kind(self) -> Mapping[str, Mapping[str, Sequence[_Source]]]:
        """Sort the named documents by kind and name, each name's in the order of the files."""
        found: dict[str, dict[str, list[_Source]]] = {}
        documents = ((path, text, one) for path, text in self.files for one in _composed(text))
        for order, (path, text, (document, node)) in enumerate(documents):
            if document.name:
                source = _Source(order=order, path=path, text=text, document=document, node=node)
                found.setdefault(document.kind, {}).setdefault(document.name, []).append(source)
        return found

    @cached_property
    def _lengths(self) -> Mapping[str, Sequence[int]]:
        """List how long the names of each kind are, the longest first."""
        return {
            kind: sorted({len(name) for name in named}, reverse=True) for kind, named in self._by_kind.items()
        }

    def of_kind(self, kind: str) -> Iterator[_Source]:
        """List the named documents of a kind."""
        for sources in self._by_kind.get(kind, {}).values():
            yield from sources

    def named_like(self, ref: ObjectRef) -> Sequence[_Source]:
        """List the documents of an object's kind whose name is the longest part of the object's name.

        Looks the parts of the name up: there may be as many objects to find as documents.
        """
        named, whole = self._by_kind.get(ref.kind, {}), ref.name
        for length in self._lengths.get(ref.kind, ()):
            parts = {whole[start : start + length] for start in range(len(whole) - length + 1)}
            found = [source for part in parts for source in named.get(part, ())]
            if found:
                return sorted(found, key=lambda source: source.order)
        return ()


def locate(ref: ObjectRef, sources: Sources, field: str = "") -> Place:
    """Find the file and line that a rendered object, or one of its fields, came from.

    A name prefix or suffix that kustomize added is allowed for, the closest name wins; a Namespace is
    renamed altogether when a namespace is set. field: as the API server names it in its answers.
    """
    best: tuple[tuple[int, bool], Place] | None = None
    for source in _closest(ref, sources):
        depth, line = _walk(source.node, field)
        rank = (-depth, not sources.is_in_target(source.path))
        if best is None or rank < best[0]:
            best = (rank, (source.path, line if depth else source.document.line))
    return best[1] if best else _generator_of(ref, sources) or ("", None)


_GENERATORS: Final = {"ConfigMap": "configMapGenerator", "Secret": "secretGenerator"}


def _generator_of(ref: ObjectRef, sources: Sources) -> Place | None:
    """Find the entry of a kustomization that generates an object; the closest name wins."""
    wanted = _GENERATORS.get(ref.kind)
    found = [
        (-len(name.value), not sources.is_in_target(path), path, name.start_mark.line + 1)
        for path, text in sources.files
        if wanted is not None and path.rpartition("/")[2] in KUSTOMIZATION_FILES and wanted in text
        for _, node in _composed(text)
        for entry in items_of(node, wanted)
        if (name := find_scalar(entry, "name")) is not None and name.value in ref.name
    ]
    return min(found)[2:] if found else None


def locate_incomplete(ref: ObjectRef, sources: Sources) -> Place:
    """Find what has no version, kind or name that is text. ref: what is known of it."""
    alike = (
        (path, document.line)
        for path, text in sources.files
        if path.rpartition("/")[2] not in KUSTOMIZATION_FILES
        for document, node in _composed(text)
        if _is_incomplete(node, ref)
    )
    return next(alike, locate(ref, sources))


def _is_incomplete(node: yaml.MappingNode, ref: ObjectRef) -> bool:
    """Report whether an object lacks a part of its identity, and the parts that it has fit."""
    version, kind, name = (
        _text_of(find_scalar(node, *keys)) for keys in (("apiVersion",), ("kind",), ("metadata", "name"))
    )
    is_alike = version in ("", ref.api_version) and kind in ("", ref.kind) and name in ref.name
    is_list = kind.endswith("List") and any(items_of(node, "items"))
    return is_alike and not is_list and not (version and kind and name)


def _text_of(node: yaml.ScalarNode | None) -> str:
    """Read a text; "" for what is none, or begins like a number: each reader of YAML has its own of these."""
    if node is None or node.tag != "tag:yaml.org,2002:str":
        return ""
    is_number = not node.style and node.value[:1] in "0123456789+-."
    return "" if is_number else str(node.value)


def locate_last(ref: ObjectRef, sources: Sources) -> Place:
    """Find the last place of an object that occurs more than once."""
    found = _closest(ref, sources)
    duplicates = [source for source in found if sources.is_in_target(source.path)] or found
    return (duplicates[-1].path, duplicates[-1].document.line) if duplicates else ("", None)


def locate_text(ref: ObjectRef, sources: Sources, token: str) -> Place:
    """Find the line of an object's file that has this text, from the object's own line on."""

    def rank(source: _Source) -> tuple[int, bool]:
        return _distance(ref, source), not sources.is_in_target(source.path)

    found = _text_place(sorted(_closest(ref, sources), key=rank), token)
    found = found or _text_place(sorted(_alike(ref, sources), key=rank), token)
    return found or next(
        ((path, line) for path, text in sources.files if (line := _line_with(token, text))),
        locate(ref, sources),
    )


def line_of_key(key: str, rendered: str, template: str) -> int | None:
    """Find the line in a template of a key that the rendered object has twice.

    None where the template does not write the key as often as the object has it: a loop or a helper may.
    """
    pattern = re.compile(rf"[\s{{,-]*[\"']?{re.escape(key)}[\"']?\s*:(?:\s|$)")
    lines = [number for number, line in enumerate(template.splitlines(), 1) if pattern.match(line)]
    times = sum(pattern.match(line) is not None for line in rendered.splitlines())
    return lines[-1] if len(lines) == times > 1 else None


def _text_place(likely: Iterable[_Source], token: str) -> Place | None:
    for source in likely:
        lines = source.text.splitlines()
        for number in range(source.document.line, len(lines) + 1):
            if token in lines[number - 1]:
                return source.path, number
    return None


def _line_with(token: str, text: str) -> int | None:
    return next((n for n, line in enumerate(text.splitlines(), 1) if token in line), None)


def _closest(ref: ObjectRef, sources: Sources) -> Sequence[_Source]:
    """List what an object most likely comes from, in the order of the files."""
    if ref.kind != "Namespace":
        return sources.named_like(ref)
    alike = _alike(ref, sources)
    return [source for source in alike if _distance(ref, source) == _distance(ref, alike[0])]


def _alike(ref: ObjectRef, sources: Sources) -> Sequence[_Source]:
    """List all that an object may come from, the closest names first; a Namespace may have had any name."""
    found = (
        source
        for source in sources.of_kind(ref.kind)
        if ref.kind == "Namespace" or source.document.name in ref.name
    )
    return sorted(found, key=lambda source: (_distance(ref, source), source.order))


def _distance(ref: ObjectRef, source: _Source) -> int:
    return abs(len(ref.name) - len(source.document.name))


def _composed(text: str) -> Iterable[tuple[Document, yaml.MappingNode]]:
    try:
        return list(compose_documents(text))
    except (yaml.YAMLError, RecursionError):  # a list may contain itself
        return ()


def _walk(node: yaml.Node, field: str) -> tuple[int, int]:
    """Follow a field path as far as the nodes go: (steps taken, the last one's line)."""
    depth, line, rest = 0, node.start_mark.line + 1, field.lstrip(".")
    while rest:
        step = _step_into_mapping(node, rest) or _step_into_sequence(node, rest)
        if step is None:
            break
        node, mark, rest = step
        depth, line = depth + 1, mark + 1
    return depth, line


_Step = tuple[yaml.Node, int, str]
"""The node below, the line it is at (from 0), and what is left of the path."""


def _step_into_mapping(node: yaml.Node, rest: str) -> _Step | None:
    """Take the longest key that the path begins with: keys may have dots in them."""
    if not isinstance(node, yaml.MappingNode):
        return None
    named = [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]
    for key, value in sorted(named, key=lambda pair: -len(pair[0].value)):
        after = below_key(rest, key.value)
        if after is not None:
            return value, key.start_mark.line, after
    return None


def _step_into_sequence(node: yaml.Node, rest: str) -> _Step | None:
    wanted = parse_item(rest)
    if wanted is None or not isinstance(node, yaml.SequenceNode):
        return None
    items: Sequence[yaml.Node] = node.value
    if wanted.index is not None:
        child = items[wanted.index] if wanted.index < len(items) else None
    else:
        child = next((item for item in items if wanted.is_met_by(_scalars(item))), None)
    return None if child is None else (child, child.start_mark.line, wanted.rest)


def _scalars(item: yaml.Node) -> Mapping[str, str]:
    if isinstance(item, yaml.ScalarNode):
        return {"": item.value}
    if not isinstance(item, yaml.MappingNode):
        return {}
    return {
        key.value: value.value
        for key, value in item.value
        if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
    }
