"""Take secrets out of a sandbox's logs and objects, before they leave it.

This module knows where values can be learned: the cluster's Secrets, what Kustomizations substitute, the
store's keys. A value that was refused is in no Secret and yet in logs: the forms of messages keep that out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gitops_run.model.objects.secret_values import of_object
from gitops_run.model.text.echoes import without_values
from gitops_run.model.text.masking import MASK, Masker

_TELLING = re.compile(r"secret|\bgot \S|value|apiVersion|map\[|\[\d|`", re.IGNORECASE)
_ERROR = re.compile(r"(\berr(?:or)?=)\"(?:[^\"\\]|\\.)*\"")
_OF_SECRET = re.compile(r"secret", re.IGNORECASE)
_MESSAGES = frozenset({"message", "note"})
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

Json = Mapping[str, Any]


def learned(secrets: Iterable[Json], collections: Mapping[str, Json], keys: Iterable[str]) -> Masker:
    """Learn every value that the cluster or the store keeps. keys: of the store."""
    masker = Masker()
    masker.learn(keys)
    for secret in secrets:
        masker.learn(of_object({"kind": "Secret", **secret}))
    for collection in collections.values():
        for item in collection.get("items") or ():
            masker.learn(_given(item))
    return masker


def _given(item: Json) -> Iterator[str]:
    """Yield the values that an object of Flux was given in the clear."""
    spec = item.get("spec") or {}
    yield from _texts((spec.get("postBuild") or {}).get("substitute"))
    yield from _texts(spec.get("values"))


def _texts(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)
    elif node is not None and not isinstance(node, bool):
        yield str(node)


def redacted_log(text: str, masker: Masker) -> str:
    """Take secrets out of a log, line by line."""
    whole = masker.mask_whole(text)
    return "\n".join(_line(line, masker) if _TELLING.search(line) else line for line in whole.split("\n"))


def _line(line: str, masker: Masker) -> str:
    """Clean a line: one of JSON, as Flux writes, keeps its form."""
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if isinstance(entry, dict):
        return json.dumps(_cleaned(entry, masker), ensure_ascii=False)
    line = masker.mask(line)
    if _OF_SECRET.search(line):
        line = _ERROR.sub(rf'\1"{MASK}"', line)
    return without_values(line, is_any_secret=True)


def _cleaned(node: Any, masker: Masker) -> Any:
    if isinstance(node, dict):
        return {key: _cleaned(value, masker) for key, value in node.items()}
    if isinstance(node, list):
        return [_cleaned(value, masker) for value in node]
    return without_values(masker.mask(node), is_any_secret=True) if isinstance(node, str) else node


def redacted_object(node: Any, masker: Masker) -> Any:
    """Take secrets out of an object, or a list of them: given values, messages, copies of manifests."""
    if isinstance(node, list):
        return [redacted_object(value, masker) for value in node]
    if isinstance(node, str):
        return masker.mask_whole(node)
    if not isinstance(node, Mapping):
        return node
    found: dict[str, Any] = {}
    for key, value in node.items():
        if key in _MESSAGES and isinstance(value, str):
            found[key] = without_values(masker.mask(value), is_any_secret=True)
        elif key == "substitute" and isinstance(value, Mapping):
            found[key] = dict.fromkeys(value, MASK)
        elif key in ("values", _LAST_APPLIED):
            found[key] = MASK
        else:
            found[key] = redacted_object(value, masker)
    return found
