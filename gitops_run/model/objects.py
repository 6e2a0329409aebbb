"""Kubernetes objects by identity: in rendered YAML, in source files with their lines, in Flux's inventory.

Knows how to tell one object from another. Knows nothing of what an object should contain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ObjectRef:
    """Name one object. namespace: "" where it has none. group: "" for the core API."""

    group: str
    kind: str
    namespace: str
    name: str
    version: str = "v1"

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def inventory_id(self) -> str:
        """Write the identity as Flux's inventory does. Source: fluxcd/pkg ssa, object metadata."""
        return f"{self.namespace}_{self.name.replace(':', '__')}_{self.group}_{self.kind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Point to one YAML document. line: of its first key, counted from 1."""

    line: int
    kind: str
    name: str


def parse_inventory_id(text: str, version: str = "v1") -> ObjectRef:
    """Read an identity from Flux's inventory. Raises ValueError where it isn't one."""
    namespace, name, group, kind = _split_id(text)
    return ObjectRef(
        group=group, kind=kind, namespace=namespace, name=name.replace("__", ":"), version=version
    )


def _split_id(text: str) -> tuple[str, str, str, str]:
    namespace, _, rest = text.partition("_")
    head, _, kind = rest.rpartition("_")
    name, _, group = head.rpartition("_")
    if not kind or not name:
        raise ValueError(f"{text!r} is not an inventory entry")
    return namespace, name, group, kind


def parse_objects(rendered: str) -> tuple[ObjectRef, ...]:
    """List the objects of rendered YAML, members of Lists one by one, in order.

    Raises ValueError on a document that is no object: kustomize renders none, so it's worth a message.
    """
    return tuple(_refs(rendered))


def _refs(rendered: str) -> Iterator[ObjectRef]:
    for document in yaml.load_all(rendered, Loader=_Loader):
        if document is None:
            continue
        if not isinstance(document, dict):
            raise ValueError("a rendered document is not an object")  # noqa: TRY004 - the value is wrong
        items = document.get("items") if str(document.get("kind", "")).endswith("List") else None
        for item in items if isinstance(items, list) else [document]:
            yield _ref(item)


def _ref(item: dict[str, object]) -> ObjectRef:
    metadata = item.get("metadata")
    if not isinstance(metadata, dict) or not item.get("kind") or not metadata.get("name"):
        raise ValueError("a rendered object has no kind or no metadata.name")
    group, _, version = str(item.get("apiVersion", "")).rpartition("/")
    return ObjectRef(
        group=group,
        version=version,
        kind=str(item["kind"]),
        namespace=str(metadata.get("namespace") or ""),
        name=str(metadata["name"]),
    )


def parse_documents(text: str) -> tuple[Document, ...]:
    """Find the objects of a source file with their lines. Raises yaml.MarkedYAMLError on broken YAML."""
    found = []
    for node in yaml.compose_all(text, Loader=_Loader):
        if isinstance(node, yaml.MappingNode):
            top = _scalars(node)
            metadata = next((v for k, v in node.value if k.value == "metadata"), None)
            inner = _scalars(metadata) if isinstance(metadata, yaml.MappingNode) else {}
            found.append(
                Document(line=node.start_mark.line + 1, kind=top.get("kind", ""), name=inner.get("name", ""))
            )
    return tuple(found)


def _scalars(node: yaml.MappingNode) -> dict[str, str]:
    return {k.value: v.value for k, v in node.value if isinstance(v, yaml.ScalarNode)}
