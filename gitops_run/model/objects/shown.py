"""An object as a person may see it: without a Secret's values and without what only machines read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

MASK: Final = "(masked)"
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def as_shown(live: Mapping[str, Any]) -> dict[str, Any]:
    """Copy an object; a Secret keeps its keys, and each value is masked."""
    metadata = {key: value for key, value in live["metadata"].items() if key != "managedFields"}
    annotations = metadata.get("annotations") or {}
    if _LAST_APPLIED in annotations:
        metadata["annotations"] = {key: said for key, said in annotations.items() if key != _LAST_APPLIED}
    shown = {**live, "metadata": metadata}
    if live.get("kind") == "Secret":
        for part in ("data", "stringData"):
            if isinstance(live.get(part), Mapping):
                shown[part] = dict.fromkeys(live[part], MASK)
    return shown
