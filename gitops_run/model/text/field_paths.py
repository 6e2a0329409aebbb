"""Paths to fields as the API server writes them: "spec.containers[name="web"].image".

This module knows the two languages for items of a list, by index and by the values of their keys, and that
keys may have dots in them. Source: Kubernetes 1.36, field errors and structured-merge-diff.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_IN_BRACKETS: Final = re.compile(r'\[((?:[^\]"]|"(?:[^"\\]|\\.)*")*)\]\.?')
_PAIR: Final = re.compile(r'(\w*)=("(?:[^"\\]|\\.)*"|[^,]*)')


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemPath:
    """Name one item of a list. pairs: keys and their values, the key "" for the item. rest: below it."""

    index: int | None
    pairs: tuple[tuple[str, str], ...]
    rest: str

    def is_met_by(self, values: Mapping[str, str]) -> bool:
        """Report whether an item with these values is meant; a key that it lacks has its default."""
        known = [(key, value) for key, value in self.pairs if key in values]
        return bool(known) and all(values[key] == value for key, value in known)


def parse_item(path: str) -> ItemPath | None:
    """Read the item that a path begins with; None where it begins with a key."""
    found = _IN_BRACKETS.match(path)
    if found is None:
        return None
    inside, rest = found.group(1), path[found.end() :]
    if inside.isdigit():
        return ItemPath(index=int(inside), pairs=(), rest=rest)
    pairs = tuple((key, value.strip('"')) for key, value in _PAIR.findall(inside))
    return ItemPath(index=None, pairs=pairs, rest=rest)


def below_key(path: str, key: str) -> str | None:
    """Return what a path has below a key; None where it doesn't begin with this key."""
    for form in (key, f"[{key}]", f'["{key}"]'):
        after = path.removeprefix(form)
        if after != path and (not after or after[0] in ".["):
            return after.removeprefix(".")
    return None


def without_field(value: Any, path: str) -> Any:
    """Take a field out of an object. Returns the very same object where it has no such field."""
    if isinstance(value, Mapping):
        return _without_key(value, path)
    item = parse_item(path)
    if item is None or not isinstance(value, list):
        return value
    for index, one in enumerate(value):
        if item.index == index or item.is_met_by(_texts(one)):
            inner = without_field(one, item.rest)
            if inner is not one:
                return [*value[:index], inner, *value[index + 1 :]]
    return value


def _without_key(value: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    for key in sorted(value, key=lambda key: -len(str(key))):
        rest = below_key(path, str(key))
        if rest == "":
            return {other: one for other, one in value.items() if other != key}
        inner = without_field(value[key], rest) if rest else value[key]
        if inner is not value[key]:
            return {**value, key: inner}
    return value


def _texts(item: object) -> Mapping[str, str]:
    """List an item's values as the API server writes them; a scalar's own one has the key ""."""
    values: Mapping[str, object] = item if isinstance(item, Mapping) else {"": item}
    return {
        key: str(one).lower() if isinstance(one, bool) else str(one)
        for key, one in values.items()
        if not isinstance(one, (Mapping, Sequence)) or isinstance(one, str)
    }
