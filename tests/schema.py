"""The JSON forms that programs read, as JSON Schema: docs/schema.json.

`python -m tests.schema` adds what is new to the file. What a field meant stays: tests/unit/test_schema.py
fails where one was taken away or has another type.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import msgspec

from gitops_run.model.state.document import SessionDocument
from gitops_run.model.state.events import Event, type_name
from gitops_run.model.state.record import Record
from gitops_run.model.state.summary import Summary

FILE = Path(__file__).parents[1] / "docs" / "schema.json"


def schema() -> dict[str, Any]:
    """Make the schema of events by type, of the session, and of its state and record in the cluster."""
    events = get_args(Event)
    roots, components = msgspec.json.schema_components(
        (SessionDocument, Summary, Record, *events), ref_template="#/$defs/{name}"
    )
    session, state, record, *kinds = roots
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "session: list and status. state, record: ConfigMaps. events: JSON Lines, with v, seq, "
        "ts, session and type.",
        "session": session,
        "state": state,
        "record": record,
        "events": {type_name(event): kind for event, kind in zip(events, kinds, strict=True)},
        "$defs": components,
    }
    plain: dict[str, Any] = json.loads(json.dumps(made))
    return plain


if __name__ == "__main__":
    FILE.write_text(json.dumps(schema(), indent=1) + "\n")
