"""Values as the engine sends them: plain JSON, with marks for secrets and unknown values.

This module knows the marks and how secrecy spreads from inputs to what is computed from them; knows nothing
of Kubernetes but that the data of a Secret is always secret. Source: pulumi sdk/v3 3.259,
go/common/resource/plugin/rpc.go; spread of secrecy as in pulumi-kubernetes 4.34.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

SIGNATURE_KEY = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  a mark, known to everyone
UNKNOWNS = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # a boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # a number
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",  # a string, or of a type not known yet
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # an array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # an asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # an archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # an object
    }
)

Json = Any
Object = dict[str, Json]


def from_struct(struct: Struct) -> Object:
    """Read a message of the protocol, with whole numbers as int."""
    content: Object = _with_whole_numbers(json_format.MessageToDict(struct))
    return content


def to_struct(value: Mapping[str, Json]) -> Struct:
    """Write a message of the protocol."""
    return json_format.ParseDict(dict(value), Struct())


def _with_whole_numbers(value: Json) -> Json:
    match value:
        case dict():
            return {key: _with_whole_numbers(item) for key, item in value.items()}
        case list():
            return [_with_whole_numbers(item) for item in value]
        case float() if value.is_integer():
            return int(value)
    return value


def is_secret(value: Json) -> bool:
    """Report whether this value itself is marked as secret."""
    return isinstance(value, dict) and value.get(SIGNATURE_KEY) == SECRET_SIGNATURE


def secret(value: Json) -> Json:
    """Mark a value as secret, once."""
    return value if is_secret(value) else {SIGNATURE_KEY: SECRET_SIGNATURE, "value": value}


def plain(value: Json) -> Json:
    """Copy a value without the marks of secrecy."""
    if is_secret(value):
        return plain(value.get("value"))
    match value:
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
    return value


def has_secret(value: Json) -> bool:
    """Report whether this value, or any within it, is marked as secret."""
    if is_secret(value):
        return True
    match value:
        case dict():
            return any(has_secret(item) for item in value.values())
        case list():
            return any(has_secret(item) for item in value)
    return False


def has_unknown(value: Json) -> bool:
    """Report whether this value, or any within it, isn't known before something else is created."""
    match value:
        case dict():
            return any(has_unknown(item) for item in value.values())
        case list():
            return any(has_unknown(item) for item in value)
        case str():
            return value in UNKNOWNS
    return False


def marked(value: Object, like: Mapping[str, Json]) -> Object:
    """Mark in a plain object what is secret in the inputs that it came from.

    The data and stringData of a Secret are secret as a whole, whatever the inputs say, and nothing
    else of it is. In other objects a value is marked where the inputs have a secret at or below it;
    only objects are looked into, an array is secret as a whole.
    """
    if value.get("kind") == "Secret":
        return {key: secret(item) if key in {"data", "stringData"} else item for key, item in value.items()}
    return {key: _marked_item(item, like.get(key)) for key, item in value.items()}


def _marked_item(item: Json, like: Json) -> Json:
    if isinstance(item, dict) and isinstance(like, dict) and not is_secret(like):
        return marked(item, like)
    return secret(item) if has_secret(like) else item
