"""Kubernetes objects by identity: in rendered YAML, in source files with their lines, in Flux's inventory.

This module knows how to distinguish objects. It knows nothing of what an object should contain.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from gitops_run.model.objects.sops import is_encrypted
from gitops_run.model.text import go_yaml, yaml_limits
from gitops_run.model.text.yaml_limits import ExcessError

_BOUNDARY = re.compile(r"^---[ \t]*\r?(?:\n|\Z)", re.MULTILINE)
_TEMPLATE = re.compile(r"\s*# Source: (?P<path>\S.*/templates/.*)")
"""What helm begins each object with that a template renders to."""
_NULL: Final = "tag:yaml.org,2002:null"
DEFINITION: Final = "CustomResourceDefinition"


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

    @property
    def group_kind(self) -> str:
        """Write kind and group as the Kubernetes API does: "Deployment.apps"."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def api_version(self) -> str:
        """Write group and version as an object's apiVersion has them."""
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Hold what the cluster calls a kind. plural: as in its path."""

    plural: str
    is_namespaced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedObject:
    """Hold one object that a target renders to. digest: of its text; equal ones are equal objects.

    The body is left out of the representation: it may be a Secret's.
    """

    ref: ObjectRef
    digest: str
    body: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def is_encrypted(self) -> bool:
        """Report whether SOPS has encrypted it."""
        return is_encrypted(self.body)

    def has_mark(self, name: str, value: str) -> bool:
        """Report whether it bears a label or an annotation by which Flux lets objects decide something."""
        return has_mark(self.body, name, value)


class IncompleteError(ValueError):
    """Report an object without a version, a kind and a name that are text. ref: what is known of it.

    is_absent: it lacks one of them. has_kind: its kind is text.
    """

    def __init__(self, message: str, ref: ObjectRef, *, is_absent: bool, has_kind: bool) -> None:
        super().__init__(message)
        self.ref = ref
        self._is_absent = is_absent
        self._has_kind = has_kind

    def is_dropped(self, *, is_substituted: bool) -> bool:
        """Report whether kustomize-controller applies the others without it; helm refuses each.

        is_substituted: whether variables made it so; what was absent before them is refused. Source:
        kustomize-controller 1.9, and fluxcd/pkg ssa 0.76, utils/is.go.
        """
        return self._has_kind and (is_substituted or not self._is_absent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Point to one YAML document. line: of its first key, counted from 1."""

    line: int
    kind: str
    name: str


def has_mark(body: Mapping[str, Any], name: str, value: str) -> bool:
    """Report whether an object's labels or annotations have this value, in any case."""
    metadata = mapping(body.get("metadata"))
    places = (mapping(metadata.get("labels")), mapping(metadata.get("annotations")))
    return any(str(place.get(name, "")).lower() == value.lower() for place in places)


def has_exact_mark(body: Mapping[str, Any], name: str, value: str) -> bool:
    """Report whether an object's labels or annotations have this value, letter by letter."""
    metadata = mapping(body.get("metadata"))
    return any(mapping(metadata.get(place)).get(name) == value for place in ("labels", "annotations"))


def is_kustomization(ref: ObjectRef) -> bool:
    """Report whether an object is a configuration of kustomize, which kustomize-controller does not apply.

    Source: fluxcd/pkg ssa, utils/is.go.
    """
    return ref.kind.lower() == "kustomization" and ref.group == "kustomize.config.k8s.io"


def mapping(value: object) -> Mapping[str, Any]:
    """Take what should be a mapping, and in a file that is half typed may be anything."""
    return value if isinstance(value, Mapping) else {}


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


def split_documents(rendered: str) -> tuple[str, ...]:
    """Split rendered YAML into the texts of its documents, without parsing them.

    A line "---" is always a boundary: the documents are mappings, so text within them is indented.
    """
    return tuple(text for text in _BOUNDARY.split(rendered) if text.strip())


def template_path(text: str) -> str | None:
    """Name the template that a document was rendered from, as helm does: "CHART/templates/FILE"."""
    found = _TEMPLATE.match(text)
    return found["path"].strip() if found else None


def text_digest(text: str) -> str:
    """Compute a digest that identifies a document's text."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def parse_document(text: str) -> tuple[RenderedObject, ...]:
    """Read the objects of one document, members of a List one by one, in order.

    Raises ValueError on a document that is no object: kustomize renders none, so it's worth a message. Raises
    UnreadableError, which is one too, where Flux can't read what it says.
    """
    return tuple(_objects(text))


def _objects(text: str) -> Iterator[RenderedObject]:
    try:
        document = go_yaml.read(text, is_template=template_path(text) is not None)
    except ExcessError as error:
        raise ValueError(f"a rendered object exceeds a limit: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"a rendered object is not valid YAML: {_reason(error)}") from error
    if document is None:
        return
    if not isinstance(document, dict):
        raise ValueError("a rendered document is not an object")  # noqa: TRY004 - the value is wrong
    items = document.get("items") if str(document.get("kind", "")).endswith("List") else None
    digest = text_digest(text)
    if not isinstance(items, list):
        yield RenderedObject(ref=_ref(document), digest=digest, body=document)
        return
    for index, item in enumerate(items):
        yield RenderedObject(ref=_ref(item), digest=f"{digest}/{index}", body=item)


def _reason(error: yaml.YAMLError) -> str:
    """Describe what is wrong without the surrounding text, which could be a Secret's."""
    return without_quotes(str(getattr(error, "problem", None) or type(error).__name__))


def without_quotes(problem: str) -> str:
    """Leave out what a problem of YAML quotes: a value that begins with * or ! is an alias or a tag to it."""
    return re.sub(r"'[^']*'", "'…'", problem)


def _ref(item: object) -> ObjectRef:
    body = mapping(item)
    version, kind = body.get("apiVersion"), body.get("kind")
    metadata = mapping(body.get("metadata"))
    name = metadata.get("name")
    group, _, number = str(version or "").rpartition("/")
    ref = ObjectRef(
        group=group,
        version=number,
        kind=str(kind or ""),
        namespace=str(metadata.get("namespace") or ""),
        name=str(name or ""),
    )
    named = (("apiVersion", version), ("kind", kind), ("metadata.name", name))
    absent = [key for key, value in named if value is None or value == "" or isinstance(value, (list, dict))]
    wrong = absent or [key for key, value in named if not isinstance(value, str)]
    if wrong:
        message = f"it has no {wrong[0]}" if absent else f"its {wrong[0]} is not a string"
        raise IncompleteError(
            message, ref, is_absent=bool(absent), has_kind=isinstance(kind, str) and bool(kind)
        )
    return ref


def parse_documents(text: str) -> tuple[Document, ...]:
    """Find the objects of a source file with their lines. Raises yaml.MarkedYAMLError on broken YAML."""
    return tuple(document for document, _ in compose_documents(text))


def compose_documents(text: str) -> Iterator[tuple[Document, yaml.MappingNode]]:
    """Find the objects of a source file with their YAML nodes. Raises yaml.MarkedYAMLError on broken YAML."""
    for node in yaml_limits.compose_all(text):
        if isinstance(node, yaml.MappingNode):
            yield from _documents_of(node)


def _documents_of(node: yaml.MappingNode) -> Iterator[tuple[Document, yaml.MappingNode]]:
    """Yield an object, and where it is a List its members too."""
    top = _scalars(node)
    metadata = _value(node, "metadata")
    inner = _scalars(metadata) if isinstance(metadata, yaml.MappingNode) else {}
    line = node.start_mark.line + 1
    yield Document(line=line, kind=top.get("kind", ""), name=inner.get("name", "")), node
    items = _value(node, "items")
    if top.get("kind", "").endswith("List") and isinstance(items, yaml.SequenceNode):
        for item in items.value:
            if isinstance(item, yaml.MappingNode):
                yield from _documents_of(item)


def second_line(text: str, key: str = "") -> int | None:
    """Find the line where a mapping of a source file has a key again. Raises yaml.MarkedYAMLError.

    key: "" for any.
    """
    for node in _collections(text):
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        seen = set()
        for one in (one for one, _ in pairs if isinstance(one, yaml.ScalarNode)):
            if one.value in seen and one.value != "<<" and key in ("", one.value):
                return int(one.start_mark.line) + 1
            seen.add(one.value)
    return None


def line_of_wrong_binary(text: str) -> int | None:
    """Find the line of a value with the tag !!binary that is not base64. Raises yaml.MarkedYAMLError."""
    for node in _collections(text):
        for value in _values(node):
            if isinstance(value, yaml.ScalarNode) and value.tag == "tag:yaml.org,2002:binary":
                try:
                    base64.b64decode("".join(value.value.split()), validate=True)
                except ValueError:
                    return int(value.start_mark.line) + 1
    return None


def _collections(text: str) -> Iterator[yaml.CollectionNode]:
    """Yield the mappings and lists of a source file, the outer ones first."""
    waiting: list[yaml.Node] = list(yaml_limits.compose_all(text))
    seen = set()
    while waiting:
        node = waiting.pop(0)
        if id(node) not in seen and isinstance(node, yaml.CollectionNode):
            seen.add(id(node))
            yield node
            waiting += _values(node)


def _values(node: yaml.CollectionNode) -> list[yaml.Node]:
    return [value for _, value in node.value] if isinstance(node, yaml.MappingNode) else list(node.value)


def _scalars(node: yaml.MappingNode) -> dict[str, str]:
    return {
        key.value: value.value
        for key, value in node.value
        if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode) and value.tag != _NULL
    }


def find_scalar(node: yaml.MappingNode, *keys: str) -> yaml.ScalarNode | None:
    """Find the text, number or the like that a path of keys leads to, with its line."""
    found: yaml.Node | None = node
    for key in keys:
        found = _value(found, key) if isinstance(found, yaml.MappingNode) else None
    return found if isinstance(found, yaml.ScalarNode) else None


def texts_of(node: yaml.MappingNode, name: str) -> Iterator[str]:
    """List the scalars of a list that a key leads to."""
    found = _value(node, name)
    for item in found.value if isinstance(found, yaml.SequenceNode) else ():
        if isinstance(item, yaml.ScalarNode):
            yield item.value


def items_of(node: yaml.MappingNode, name: str) -> Iterator[yaml.MappingNode]:
    """List the mappings of a list that a key leads to."""
    found = _value(node, name)
    for item in found.value if isinstance(found, yaml.SequenceNode) else ():
        if isinstance(item, yaml.MappingNode):
            yield item


def _value(node: yaml.MappingNode, name: str) -> yaml.Node | None:
    """Find a key's value. A key may be a mapping itself, as in Helm's templates."""
    return next((value for key, value in node.value if key.value == name), None)
