"""Property values as Pulumi's engine sends them: secrets are wrapped, unknown ones are a marker.

This module knows the two signatures of the wire form. Source: pulumi 3.259, sdk/go/common/resource
(properties.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Stands for a value that a preview can't know yet."""
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a signature, the same in every stack


def plain(properties: Struct) -> dict[str, Any]:
    """Take the secrets' wrapping off. properties: flat."""
    return {name: _unwrapped(value) for name, value in MessageToDict(properties).items()}


def with_secrets(properties: Struct, names: Iterable[str]) -> Struct:
    """Copy properties, with each of the named ones wrapped as a secret."""
    wrapped = MessageToDict(properties)
    for name in names:
        if name in wrapped and not _is_secret(wrapped[name]):
            wrapped[name] = {_SIGNATURE: _SECRET, "value": wrapped[name]}
    return _struct(wrapped)


def with_value(properties: Struct, name: str, value: str) -> Struct:
    """Copy properties, secrets and all, with one value set."""
    return _struct({**MessageToDict(properties), name: value})


def _struct(values: Mapping[str, Any]) -> Struct:
    struct = Struct()
    struct.update(dict(values))
    return struct


def _unwrapped(value: Any) -> Any:
    return value["value"] if _is_secret(value) else value


def _is_secret(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get(_SIGNATURE) == _SECRET
