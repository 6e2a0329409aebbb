"""What differs between the object that is there and the one that is wanted.

It is pure. This module gives the detailed diff of the provider protocol, property by property, and
distinguishes an update in place from a replacement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import zip_longest
from typing import Any

from gitops_run.sandbox.kubernetes_plugin.kinds import FieldPath

Path = tuple[str | int, ...]
_QUOTED = frozenset('."[]')
_MISSING = object()


class Change(Enum):
    """How one property differs."""

    ADD = "ADD"
    DELETE = "DELETE"
    UPDATE = "UPDATE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One property that differs, and whether that takes a new object."""

    path: str
    change: Change
    replaces: bool


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], fixed: Iterable[FieldPath]
) -> tuple[Difference, ...]:
    """Compare two plain objects.

    fixed: the fields that can't change in place. Sorted by path.
    """
    fields = tuple(fixed)
    found = (
        Difference(
            path=render_path(path),
            change=change,
            replaces=any(_touches(path, value, field) for field in fields),
        )
        for path, change, value in _walk((), old, new)
    )
    return tuple(sorted(found, key=lambda difference: difference.path))


def without_ignored(found: Iterable[Difference], ignored: Iterable[str]) -> tuple[Difference, ...]:
    """Drop what lies at or below a property path of ignoreChanges."""
    prefixes = tuple(ignored)
    return tuple(difference for difference in found if not _is_below(difference.path, prefixes))


def render_path(path: Path) -> str:
    """Write a property path: a.b[0]["c.d"]."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _QUOTED.intersection(step):
            quoted = step.replace('"', '\\"')
            text += f'["{quoted}"]'
        else:
            text += f".{step}" if text else step
    return text


def _is_below(path: str, prefixes: tuple[str, ...]) -> bool:
    return any(path == prefix or path.startswith((f"{prefix}.", f"{prefix}[")) for prefix in prefixes)


def _walk(path: Path, old: Any, new: Any) -> Iterator[tuple[Path, Change, Any]]:
    if new is _MISSING:
        yield path, Change.DELETE, None
    elif old is _MISSING:
        yield path, Change.ADD, new
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from _walk((*path, key), old.get(key, _MISSING), new.get(key, _MISSING))
    elif isinstance(old, list) and isinstance(new, list):
        for index, (before, after) in enumerate(zip_longest(old, new, fillvalue=_MISSING)):
            yield from _walk((*path, index), before, after)
    elif isinstance(old, bool) is not isinstance(new, bool) or old != new:
        yield path, Change.UPDATE, new


def _touches(path: Path, value: Any, field: FieldPath) -> bool:
    """Report whether a change at path, to value, reaches the field: at it, below it, or above it."""
    if path[: len(field)] == field:
        return True
    if field[: len(path)] != path:
        return False
    for key in field[len(path) :]:
        if not isinstance(value, Mapping) or key not in value:
            return False
        value = value[key]
    return True
