"""JSON as Go writes it, for requests that the API server reads as YAML."""

from __future__ import annotations

import json


def as_go_writes(body: object) -> str:
    """Write JSON as Flux and Helm do: the API server reads an apply as YAML, which has no surrogate pairs.

    What is a line's end to YAML is escaped. Source: Go 1.26, encoding/json.
    """
    text = json.dumps(body, ensure_ascii=False)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
