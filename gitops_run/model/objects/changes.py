"""What a save changes in the cluster: a live object against what the API server would make of it.

This module knows which fields say nothing to a person, how lists of named items are compared, and that values
of Secrets are never shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gitops_run.model.objects.change import Change, FieldChange
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.objects.ownership import OWNER_LABELS
from gitops_run.model.text.masking import MASK

Json = Mapping[str, Any]

_BOOKKEEPING = frozenset(
    {"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"}
)
_HIDDEN_ANNOTATIONS = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})
_SECRET_FIELDS = ("data", "stringData")
_ABSENT = object()


def find_change(ref: ObjectRef, live: Json | None, applied: Json) -> Change | None:
    """Compare an object with what a dry run made of it; None where nothing would change."""
    if live is None:
        return Change(ref=ref, action="create")
    is_secret = ref.kind == "Secret" and not ref.group
    fields = tuple(
        _masked(path, before, after)
        if is_secret and path[0] in _SECRET_FIELDS
        else _shown(path, before, after)
        for path, before, after in _differences((), _content(live), _content(applied))
    )
    return Change(ref=ref, action="change", fields=fields) if fields else None


def find_recreation(ref: ObjectRef, live: Json, sent: Json, made: Json | None) -> Change:
    """Describe what recreating an object changes of what is sent.

    made: what the API server makes of it under another name, with values written as it writes them; None
    if that is unknown.
    """
    found = find_change(ref, live, made) if made is not None else None
    own = _differences((), _content(live), _content(sent))
    paths = {_written(path) for path, _, after in own if after is not _ABSENT}
    fields = tuple(one for one in (found.fields if found else ()) if one.path in paths)
    return Change(ref=ref, action="recreate", fields=fields)


def _content(item: Json) -> Json:
    metadata = {key: value for key, value in item.get("metadata", {}).items() if key not in _BOOKKEEPING}
    for key, hidden in (("labels", OWNER_LABELS), ("annotations", _HIDDEN_ANNOTATIONS)):
        kept = {name: value for name, value in (metadata.pop(key, None) or {}).items() if name not in hidden}
        if kept:
            metadata[key] = kept
    return {**{key: value for key, value in item.items() if key != "status"}, "metadata": metadata}


_Path = tuple[str, ...]
"""Each step as it is written: "spec", "[web]" for an item of a list."""


def _differences(path: _Path, before: Any, after: Any) -> Iterator[tuple[_Path, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _differences_within(path, before, after)
    elif _is_list(before) and _is_list(after):
        yield from _differences_within(path, _keyed(before, after), _keyed(after, before))
    elif before != after:
        yield path, before, after


def _differences_within(path: _Path, before: Json, after: Json) -> Iterator[tuple[_Path, Any, Any]]:
    for key in [*before, *(key for key in after if key not in before)]:
        yield from _differences((*path, key), before.get(key, _ABSENT), after.get(key, _ABSENT))


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _keyed(items: Sequence[Any], others: Sequence[Any]) -> dict[str, Any]:
    """Name a list's items: by their names where all have one, otherwise by their places."""
    if all(isinstance(item, dict) and "name" in item for item in (*items, *others)):
        return {f"[{item['name']}]": item for item in items}
    return {f"[{index}]": item for index, item in enumerate(items)}


def _shown(path: _Path, before: Any, after: Any) -> FieldChange:
    return FieldChange(path=_written(path), before=_value(before), after=_value(after))


def _masked(path: _Path, before: Any, after: Any) -> FieldChange:
    """Name each key of a Secret that changes; if the whole field comes or goes, only that is reported."""
    return FieldChange(
        path=_written(path),
        before="" if before is _ABSENT else MASK,
        after="" if after is _ABSENT else MASK,
    )


def _written(path: _Path) -> str:
    """Join steps; a key with a dot in it stands in brackets, as the API server writes it."""
    text = ""
    for step in path:
        if step.startswith("["):
            text += step
        elif "." in step:
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def _value(value: Any) -> str:
    return "" if value is _ABSENT else json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
