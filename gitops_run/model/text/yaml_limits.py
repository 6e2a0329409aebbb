"""YAML within limits: what a few lines can expand to, how deep it nests, how much one document holds.

This module knows that an alias stands for all that its anchor holds, and that one within its own anchor has
no end. What exceeds a limit raises before anything is built of it: the events of the parser are counted,
which takes no memory. That costs as much as parsing, so it is done only where the text allows for an excess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

NODES_MAX: Final = 300_000
"""Nodes of one document, aliases expanded. The API server takes 3 MiB, and the largest CRDs have 100,000."""
CHARACTERS_PER_NODE: Final = 32
"""A text of this length counts as one more node."""
DEPTH_MAX: Final = 200
LESS_YAML: Final = "write it with fewer aliases or levels, or split it"
_DEEP_COLUMNS: Final = re.compile(r"^[ \t?-]{48}", re.MULTILINE)
_BRACKETS_FEW: Final = 96
"""Less indentation and fewer brackets than these can't nest deeper than DEPTH_MAX."""
_ALIAS: Final = re.compile(r"\*[^\s,\[\]{}]")
_ANCHOR: Final = re.compile(r"&[^\s,\[\]{}]")


class ExcessError(yaml.MarkedYAMLError):
    """Report YAML that exceeds a limit, and where."""

    def __init__(self, problem: str, mark: Any) -> None:
        super().__init__(problem=problem, problem_mark=mark)

    @property
    def line(self) -> int | None:
        """Count the line from 1."""
        return self.problem_mark.line + 1 if self.problem_mark else None


def compose_all(text: str) -> Iterator[yaml.Node]:
    """Compose the documents of a text. Raises ExcessError, or yaml.YAMLError on broken YAML."""
    refuse_excess(text)
    nodes: Iterator[yaml.Node] = yaml.compose_all(text, Loader=Loader)
    yield from nodes


def compose(text: str, loader: Any) -> yaml.Node | None:
    """Compose one document. Raises ExcessError, or yaml.YAMLError on broken YAML."""
    refuse_excess(text)
    return yaml.compose(text, Loader=loader)


def load(text: str) -> Any:
    """Load one document. Raises ExcessError, or yaml.YAMLError on broken YAML."""
    refuse_excess(text)
    return yaml.load(text, Loader=Loader)  # noqa: S506 - it descends from the safe one


def load_all(text: str) -> Iterator[Any]:
    """Load all documents. Raises ExcessError, or yaml.YAMLError on broken YAML."""
    refuse_excess(text)
    yield from yaml.load_all(text, Loader=Loader)


def refuse_excess(text: str) -> None:
    """Raise ExcessError where a document exceeds a limit, yaml.YAMLError where it breaks before that."""
    if not _may_exceed(text):
        return
    count = _Count()
    for event in yaml.parse(text, Loader=Loader):
        count.take(event)


def may_expand(text: str) -> bool:
    """Report whether a text may have anchors and aliases, or what looks like them."""
    has_both = "&" in text and "*" in text
    return has_both and _ALIAS.search(text) is not None and _ANCHOR.search(text) is not None


def _may_exceed(text: str) -> bool:
    return (
        len(text) > NODES_MAX
        or text.count("[") + text.count("{") > _BRACKETS_FEW
        or _DEEP_COLUMNS.search(text) is not None
        or may_expand(text)
    )


class _Count:
    """Count the nodes of a document as its events come, those that an alias stands for too."""

    def __init__(self) -> None:
        self._sizes: dict[str, int | None] = {}
        self._open: list[tuple[str | None, int]] = []
        self._total = 0

    def take(self, event: yaml.Event) -> None:
        """Take the next event. Raises ExcessError."""
        if isinstance(event, yaml.DocumentStartEvent):
            self._sizes, self._open, self._total = {}, [], 0
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = self._open.pop()
            if anchor is not None:
                self._sizes[anchor] = self._total - before
        elif isinstance(event, yaml.NodeEvent):
            self._add(event, self._size(event))

    def _begin(self, event: yaml.CollectionStartEvent) -> None:
        if len(self._open) >= DEPTH_MAX:
            raise ExcessError(f"it nests deeper than {DEPTH_MAX} levels", event.start_mark)
        self._open.append((event.anchor, self._total))
        if event.anchor is not None:
            self._sizes[event.anchor] = None
        self._add(event, 1)

    def _size(self, event: yaml.NodeEvent) -> int:
        if not isinstance(event, yaml.AliasEvent):
            value = event.value if isinstance(event, yaml.ScalarEvent) else ""
            size = 1 + len(value) // CHARACTERS_PER_NODE
            if event.anchor is not None:
                self._sizes[event.anchor] = size
            return size
        known = self._sizes.get(str(event.anchor), 1)
        if known is None:
            raise ExcessError(f"the anchor &{event.anchor} contains itself", event.start_mark)
        return known

    def _add(self, event: yaml.NodeEvent, size: int) -> None:
        self._total += size
        if self._total > NODES_MAX:
            size_mb = NODES_MAX * CHARACTERS_PER_NODE // 2**20
            message = f"a document holds more than {NODES_MAX} values or {size_mb} MiB, its aliases expanded"
            raise ExcessError(message, event.start_mark)
