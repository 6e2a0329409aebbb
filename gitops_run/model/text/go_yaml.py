"""YAML as the Go libraries read it that read the same text on its way into a cluster.

This module knows two readers. Kubernetes' own (sigs.k8s.io/yaml on go-yaml 2) reads what Flux has substituted
variables in, and a chart's CRDs: y and on are booleans, and of equal keys the last counts. What a chart's
template renders to goes through kustomize (go-yaml 3) first: y and on are text; equal keys, and keys of other
types, are refused. tests/contract/test_go_yaml.py compares both with the libraries.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import yaml

from gitops_run.model.text import yaml_limits

_YAML: Final = "tag:yaml.org,2002:"
_PLAIN: Final = "plain"
_STR, _TIME, _BINARY, _MERGE = (f"{_YAML}{name}" for name in ("str", "timestamp", "binary", "merge"))
_TYPES: Final = {f"{_YAML}null": type(None), f"{_YAML}bool": bool, f"{_YAML}int": int, f"{_YAML}float": float}

_BOOLEANS: Final = {
    form: value
    for word, value in (("true", True), ("false", False))
    for form in (word, word.capitalize(), word.upper())
}
_BOOLEANS_OF_1_1: Final = {
    form: value
    for words, value in (("y yes on", True), ("n no off", False))
    for word in words.split()
    for form in (word, word.capitalize(), word.upper())
}
_WORDS: Final[dict[str, Any]] = {
    **_BOOLEANS,
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **{f"{sign}{word}": math.inf for sign in ("", "+") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_FIRST: Final = frozenset("+-0123456789.yYnNtTfFoO~")
"""What a text begins with that may be anything else than text."""
_BASES: Final = {"0b": 2, "0o": 8, "0x": 16}
_DIGITS: Final = {
    base: re.compile(pattern)
    for base, pattern in ((2, "[01]+"), (8, "[0-7]+"), (10, "[0-9]+"), (16, "[0-9a-fA-F]+"))
}
CONTROL_CHARACTERS: Final = re.compile("[\x7f-\x84\x86-\x9f\ufffe\uffff]")
"""What kustomize writes into JSON as it is, and can't read as YAML then; Helm's output goes through it."""
_DIGITS_MAX: Final = 80
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_DOTTED: Final = re.compile(r"\.[0-9](?:_?[0-9])*(?:[eE][-+]?[0-9](?:_?[0-9])*)?")
_DATE: Final = r"(\d{4})-(\d\d?)-(\d\d?)"
_CLOCK: Final = r"(\d\d?):(\d\d?):(\d\d?)(?:\.(\d+))?"
_TIMESTAMP: Final = re.compile(rf"{_DATE}(?: {_CLOCK}|[Tt]{_CLOCK}(Z|[-+]\d\d:\d\d))?")


class UnreadableError(ValueError):
    """Report YAML that a Go library refuses. key: one that occurs twice, or ""; line: counted from 1."""

    def __init__(self, message: str, *, line: int, key: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.key = key


class _Loader(yaml_limits.Loader):  # type: ignore[misc, valid-type]
    """Compose nodes that distinguish plain text from quoted."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> Any:
        """Leave plain text to the readers."""
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else _STR
        return super().resolve(kind, value, implicit)


def read(text: str, *, is_template: bool = False) -> Any:
    """Read one document as JSON's values.

    is_template: whether it is what a chart's template renders to. Raises UnreadableError, ExcessError, or
    yaml.YAMLError on broken YAML.
    """
    node = yaml_limits.compose(text, _Loader)
    return None if node is None else _Reader(is_template=is_template).value(node)


def as_text(plain: str) -> str | None:
    """Write what is plain text in YAML, and a number or a boolean in Kubernetes' reader, as its text.

    None for what that reader takes for text, or for nothing.
    Source: sigs.k8s.io/yaml, convertToJSONableObject.
    """
    found = _plain(plain, is_1_1=True)
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float):
        return _float_text(found)
    return str(found) if isinstance(found, int) else None


class _Reader:
    def __init__(self, *, is_template: bool) -> None:
        self._is_template = is_template
        self._known: dict[int, Any] = {}

    def value(self, node: yaml.Node) -> Any:
        """Read a node. An alias is the node of its anchor, and is read once."""
        if isinstance(node, yaml.ScalarNode):
            found = self._scalar(node)
            if self._is_template and isinstance(found, str) and CONTROL_CHARACTERS.search(found):
                raise _refused("control characters are not allowed", node)
            if isinstance(found, float) and not math.isfinite(found):
                raise _refused("a number is not finite", node)
            return found
        if id(node) not in self._known:
            if isinstance(node, yaml.MappingNode):
                self._known[id(node)] = self._mapping(node)
            else:
                self._known[id(node)] = [self.value(one) for one in node.value]
        return self._known[id(node)]

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        if self._is_template:
            self._refuse_twins(node)
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if not self._merges(key):
                found[self._key(key)] = self._in_flow(node, value)
            elif self._is_template:
                merged.update(self._merged(value))
            else:
                found.update(self._merged(value))
        return {**merged, **found}

    def _in_flow(self, parent: yaml.MappingNode, value: yaml.Node) -> Any:
        """Read a value; Helm writes one that is left out between braces as an empty text."""
        if self._is_template and parent.flow_style and value.value == "" and value.tag == _PLAIN:
            return ""
        return self.value(value)

    def _refuse_twins(self, node: yaml.MappingNode) -> None:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise UnreadableError(f"the key {key.value} occurs twice", line=line, key=key.value)
                seen.add(key.value)

    def _merges(self, key: yaml.Node) -> bool:
        if not isinstance(key, yaml.ScalarNode) or key.value != "<<":
            return False
        return key.tag in (_PLAIN, _MERGE) or (self._is_template and key.tag == _STR)

    def _merged(self, value: yaml.Node) -> Iterator[tuple[str, Any]]:
        """Yield what << brings in; of several mappings the first that has a key counts."""
        parts = reversed(value.value) if isinstance(value, yaml.SequenceNode) else [value]
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                raise _refused("<< needs a mapping, or a list of mappings", value)
            yield from self.value(part).items()

    def _key(self, node: yaml.Node) -> str:
        key = self._scalar(node) if isinstance(node, yaml.ScalarNode) else None
        if isinstance(key, str) and not (self._is_template and _is_time(node)):
            return key
        if self._is_template or key is None or (isinstance(key, int) and key >= 2**63):
            raise _refused("a key is not a string", node)
        if isinstance(key, bool):
            return "true" if key else "false"
        return _float_key(key) if isinstance(key, float) else str(key)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text, tag = str(node.value), node.tag
        if tag == _BINARY:
            try:
                return base64.b64decode(text, validate=True).decode("utf-8", "replace")
            except (binascii.Error, ValueError) as error:
                raise _refused("what !!binary marks is not base64", node) from error
        if tag != _PLAIN and tag not in _TYPES and tag != _TIME:
            return text
        found = _plain(text, is_1_1=not self._is_template)
        if tag == f"{_YAML}float" and type(found) is int:
            found = float(found)
        if tag in _TYPES and type(found) is not _TYPES[tag]:
            raise _refused(f"a value is not what !!{tag.removeprefix(_YAML)} says", node)
        if self._is_template and found is text:
            return _time(text) or text
        return found


def _refused(message: str, node: yaml.Node) -> UnreadableError:
    return UnreadableError(message, line=node.start_mark.line + 1)


def _plain(text: str, *, is_1_1: bool) -> Any:
    """Read text without quotes. Source: go-yaml 2 and 3, resolve.go."""
    if text and text[0] not in _FIRST:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if is_1_1 and text in _BOOLEANS_OF_1_1:
        return _BOOLEANS_OF_1_1[text]
    digits = text.replace("_", "")
    whole = _whole(digits)
    if whole is not None:
        return whole
    is_float = _DOTTED.fullmatch(text) if text[0] == "." else _FLOAT.fullmatch(digits)
    value = float(digits) if is_float else math.inf
    return value if math.isfinite(value) else text


def _whole(text: str) -> int | None:
    """Read a whole number of 64 bits, in the bases that Go's literals have."""
    sign = text[:1] if text[:1] in ("+", "-") else ""
    digits = text[len(sign) :]
    base = _BASES.get(digits[:2].lower(), 0)
    if base:
        digits = digits[2:]
    elif len(digits) > 1 and digits[0] == "0":
        base, digits = 8, digits[1:]
    else:
        base = 10
    if len(digits) > _DIGITS_MAX or not _DIGITS[base].fullmatch(digits):
        return None
    value = int(f"{sign}{digits}", base)
    return value if -(2**63) <= value < (2**63 if sign else 2**64) else None


def _is_time(node: yaml.Node) -> bool:
    return node.tag in (_PLAIN, _TIME) and _time(node.value) != ""


def _time(text: str) -> str:
    """Write a moment as Go does; "" for what is none."""
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return ""
    year, month, day, *clocks, zone = found.groups("")
    hour, minute, second, fraction = clocks[4:] if zone else clocks[:4]
    try:
        numbers = (int(one or 0) for one in (year, month, day, hour, minute, second))
        moment = datetime(*numbers)  # type: ignore[arg-type]  # noqa: DTZ001 - the zone is kept as text
    except ValueError:
        return ""
    part = fraction[:9].rstrip("0")
    shown = "Z" if zone in ("", "Z") or zone[1:] == "00:00" else zone
    return f"{moment.isoformat(timespec='seconds')}{f'.{part}' if part else ''}{shown}"


def _float_key(value: float) -> str:
    """Write a number that is a key as Go does, in the precision of 32 bits."""
    if math.isnan(value):
        return ".nan"
    try:
        [short] = struct.unpack("f", struct.pack("f", value))
    except OverflowError:
        short = math.copysign(math.inf, value)
    if math.isinf(short):
        return ".inf" if short > 0 else "-.inf"
    tries = (f"{short:.{places}e}" for places in range(9))
    return _written(next(one for one in tries if struct.pack("f", float(one)) == struct.pack("f", short)))


def _float_text(value: float) -> str:
    """Write a number as Go's strconv does with format g and the shortest precision."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{value:+.0f}".replace("inf", "Inf")
    tries = (f"{value:.{places}e}" for places in range(18))
    return _written(next(one for one in tries if float(one) == value))


def _written(shortest: str) -> str:
    """Write a number without an exponent, unless that is large or small: as Go does with the format g."""
    if float(shortest) == 0:
        return "-0" if shortest.startswith("-") else "0"
    mantissa, _, exponent = shortest.partition("e")
    if -4 <= int(exponent) < 6:
        places = max(len(mantissa.lstrip("-").replace(".", "")) - 1 - int(exponent), 0)
        return f"{float(shortest):.{places}f}"
    return shortest
