"""What programs read only grows: docs/schema.json is what was promised."""

from __future__ import annotations

import json
from typing import Any

from tests.schema import FILE, schema

PROMISED: dict[str, Any] = json.loads(FILE.read_text())


def test_every_field_of_the_json_forms_is_in_the_docs() -> None:
    assert schema() == PROMISED, "to add what is new: python -m tests.schema"


def test_no_field_is_taken_away_or_has_another_type() -> None:
    """Where this fails, give the field back: adding it to the docs again doesn't help who reads it."""
    assert lost(PROMISED, schema()) == []


def lost(before: Any, now: Any, place: str = "") -> list[str]:
    """Name what stood in a schema and doesn't any more. A field that was optional may stay so only."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            found
            for key, value in before.items()
            if key not in ("title", "description", "required")
            for found in (lost(value, now[key], f"{place}/{key}") if key in now else [f"{place}/{key}"])
        ]
    if isinstance(before, list) and isinstance(now, list):
        return [] if all(one in now for one in before) else [place]
    return [] if before == now else [place]


def test_what_was_taken_away_or_changed_is_named() -> None:
    before = {"a": {"type": "string"}, "b": {"enum": ["x", "y"]}, "c": {}}
    now = {"a": {"type": "integer"}, "b": {"enum": ["x", "z", "y"]}, "d": {}}
    assert lost(before, now) == ["/a/type", "/c"]
