"""Field managers: who owns which field of an object, and the hand-over before the first update.

It is pure. An object is created under the manager CREATOR, by a plain create; updates are server-side applies
under a manager of the resource's own. Before each of these the creator's fields, and those of kubectl, go
over to it, or the apply would conflict with them. Managers are matched by the beginning of their names: what
`kubectl annotate` set belongs to kubectl-annotate, goes over too, and goes with an apply that doesn't declare
it. Source: Kubernetes' server-side apply reference; pulumi-kubernetes 4.34, fixCSAFieldManagers, with Flux's
PatchReplaceFieldsManagers.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

CREATOR = "pulumi-kubernetes"
_PLUGIN_MANAGERS = frozenset({CREATOR, "pulumi-kubernetes.exe", "pulumi-resource-kubernetes"})
_TAKEN_OVER = {"Apply": ("kubectl",), "Update": ("kubectl", "before-first-apply", *_PLUGIN_MANAGERS)}
"""The beginnings of managers' names, by operation."""

Entries = list[dict[str, Any]]


def new_manager() -> str:
    """Name the field manager of a new resource."""
    return f"{CREATOR}-{secrets.token_hex(4)}"


def entries_of(obj: Mapping[str, Any]) -> Entries:
    """Return an object's managedFields."""
    return list((obj.get("metadata") or {}).get("managedFields") or [])


def handed_over(entries: Entries, manager: str) -> Entries | None:
    """Give the fields of earlier managers to this one.

    Returns None where there is nothing to take over.
    """
    taken = [entry for entry in entries if _is_taken_over(entry, manager)]
    if not taken:
        return None
    own = next((entry for entry in entries if _is_own(entry, manager)), None)
    merged = copy.deepcopy(own or {**taken[0], "manager": manager, "operation": "Apply"})
    for entry in taken:
        merged["fieldsV1"] = _union(merged.get("fieldsV1") or {}, entry.get("fieldsV1") or {})
    kept = [entry for entry in entries if entry not in taken and entry is not own]
    return [merged, *kept]


def created_by_plugin(entries: Entries) -> bool:
    """Report whether the creator still owns fields: then a preview must force its apply."""
    return any(entry["manager"] in _PLUGIN_MANAGERS and entry["operation"] == "Update" for entry in entries)


def owns(entries: Entries, path: Iterable[str], *, manager: str) -> tuple[bool, bool]:
    """Report whether the field at this path belongs to this manager, and whether to any other."""
    steps = tuple(path)
    ours = any(entry["manager"] == manager and _has(entry, steps) for entry in entries)
    theirs = any(entry["manager"] != manager and _has(entry, steps) for entry in entries)
    return ours, theirs


def _is_taken_over(entry: Mapping[str, Any], manager: str) -> bool:
    return (
        entry["manager"].startswith(_TAKEN_OVER.get(entry["operation"], ()))
        and not entry.get("subresource")
        and not _is_own(entry, manager)
    )


def _is_own(entry: Mapping[str, Any], manager: str) -> bool:
    return entry["manager"] == manager and entry["operation"] == "Apply" and not entry.get("subresource")


def _union(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _union(one.get(key) or {}, other.get(key) or {})
        for key in [*one, *(k for k in other if k not in one)]
    }


def _has(entry: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    fields: Any = entry.get("fieldsV1") or {}
    for step in path:
        if f"f:{step}" not in fields:
            return False
        fields = fields[f"f:{step}"]
    return True
