"""Compare what was rendered with what the cluster says that kustomize-controller has applied.

The witnesses are the API server's managed fields: which fields a manager owns, and their live values.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

Json = Mapping[str, Any]

MANAGER = "kustomize-controller"
OWNER_LABELS = ("kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace")
_STRUCTS = frozenset({"strategy", "updateStrategy", "resources", "metadata", "template", "targetPort"})
"""Fields that Flux's Go types always have, and that it sends empty where a file has none."""
_IDENTITY = frozenset({"apiVersion", "kind"})
_UNITS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4}
_QUANTITY = re.compile(r"([+-]?[\d.]+)(n|u|m|k|M|G|T|Ki|Mi|Gi|Ti)?")


def departures(rendered: Json, live: Json) -> Iterator[str]:
    """Say where a live object isn't what was rendered; nothing where Flux has applied just that."""
    entry = owned_by_flux(live)
    if entry is None:
        yield f"{MANAGER} has applied nothing of it"
        return
    sent = _as_sent(rendered)
    yield from _unlike(sent, live, entry["fieldsV1"], "")


def owned_by_flux(live: Json) -> Json | None:
    found = live["metadata"].get("managedFields", ())
    return next((one for one in found if one["manager"] == MANAGER and one["operation"] == "Apply"), None)


def _as_sent(rendered: Json) -> Json:
    metadata = {k: v for k, v in rendered["metadata"].items() if k not in ("name", "namespace")}
    sent = {k: v for k, v in rendered.items() if k not in (*_IDENTITY, "status")} | {"metadata": metadata}
    if rendered["kind"] == "Secret" and rendered["apiVersion"] == "v1" and "stringData" in sent:
        given = {k: base64.b64encode(str(v).encode()).decode() for k, v in sent.pop("stringData").items()}
        sent["data"] = {**(sent.get("data") or {}), **given}
    return sent


def _unlike(
    sent: Any, live: Any, owned: Json, place: str, keys: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Walk what is owned and what was sent, side by side. keys: defaults by which a list tells its items."""
    if not set(owned) - {"."}:
        if not _equal(sent, live):
            yield f"{place}: {json.dumps(live)[:80]} is live, {json.dumps(sent)[:80]} was rendered"
        return
    if isinstance(sent, Mapping) and isinstance(live, Mapping):
        owned = {key: inner for key, inner in owned.items() if key[2:] in sent or key[2:] not in keys}
        yield from _unlike_fields(sent, live, owned, place)
    elif isinstance(sent, list) and isinstance(live, list):
        yield from _unlike_items(sent, live, owned, place)
    else:
        yield f"{place}: another type is live"


def _unlike_fields(sent: Json, live: Json, owned: Json, place: str) -> Iterator[str]:
    names = {key[2:] for key in owned if key.startswith("f:")}
    for name in sorted(names | set(sent)):
        there = f"{place}.{name}"
        if name in OWNER_LABELS and place == ".metadata.labels":
            continue
        if name not in sent:
            is_struct = not set(owned[f"f:{name}"]) and name in _STRUCTS
            if (
                not is_struct
                and not _is_empty(live.get(name))
                and not _holds_owner_labels(there, owned[f"f:{name}"])
            ):
                yield f"{there}: Flux owns it, and it was not rendered"
        elif name not in names:
            if not _is_empty(sent[name]):
                yield f"{there}: it was rendered, and Flux doesn't own it"
        else:
            yield from _unlike(sent[name], live.get(name), owned[f"f:{name}"], there)


def _holds_owner_labels(there: str, owned: Json) -> bool:
    return there == ".metadata.labels" and set(owned) <= {".", *(f"f:{name}" for name in OWNER_LABELS)}


def _unlike_items(sent: list[Any], live: list[Any], owned: Json, place: str) -> Iterator[str]:
    count = len([key for key in owned if key != "."])
    if count != len(sent):
        yield f"{place}: Flux owns {count} of {len(sent)} rendered items"
    for key, inner in owned.items():
        there = f"{place}[{key[2:]}]"
        if key.startswith("k:"):
            wanted = json.loads(key[2:])
            mine = [one for one in sent if all(_equal(one.get(k, v), v) for k, v in wanted.items())]
            theirs = [one for one in live if all(one.get(k) == v for k, v in wanted.items())]
            if not mine or not theirs:
                yield f"{there}: it is not in both"
            else:
                best = max(mine, key=lambda one: len(wanted.keys() & one.keys()))
                yield from _unlike(best, theirs[0], inner, there, frozenset(wanted))
        elif key.startswith("v:") and json.loads(key[2:]) not in sent:
            yield f"{there}: it was not rendered"


def _is_empty(value: Any) -> bool:
    """Say whether a value says no more than its absence, all the way down."""
    if isinstance(value, Mapping):
        return all(_is_empty(inner) for inner in value.values())
    return value in (None, [], "", 0) or value is False


def _equal(sent: Any, live: Any) -> bool:
    """Compare values; what the API server adds to an atomic one doesn't count."""
    if isinstance(sent, Mapping) and isinstance(live, Mapping):
        return all(_equal(value, live.get(key)) for key, value in sent.items())
    if isinstance(sent, list) and isinstance(live, list):
        return len(sent) == len(live) and all(map(_equal, sent, live))
    if sent == live or (_is_empty(sent) and _is_empty(live)):
        return True
    quantities = _quantity(sent), _quantity(live)
    return None not in quantities and quantities[0] == quantities[1]


def _quantity(value: Any) -> Decimal | None:
    found = _QUANTITY.fullmatch(str(value)) if isinstance(value, str | int | float) else None
    if found is None or not re.search(r"\d", found[1]):
        return None
    unit = found[2] or ""
    return Decimal(found[1]) * (
        Decimal(1024) ** _BINARY[unit] if unit in _BINARY else Decimal(10) ** _UNITS[unit]
    )
