"""Which objects a save removes from the cluster: what Flux's inventory holds and the save lacks.

This module knows which of these Flux leaves in place, and the names that kustomize generates from an object's
content.
Source: kustomize-controller 1.9, fluxcd/pkg ssa 0.76, Helm 4; kustomize 5.8, api/hasher.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from gitops_run.model.objects.identity import DEFINITION, ObjectRef, has_mark, mapping, parse_inventory_id
from gitops_run.model.objects.ownership import KUSTOMIZE_LABEL, SessionPlace, owner_labels

PRUNE_ALWAYS_ALLOWED: Final = 3
"""Objects that a save may prune whatever their share is: a small session changes by large shares."""
_HASH: Final = re.compile(r"-[2456789bcdfghkmt]{10}$")
_KEEPING: Final = (("prune", "disabled"), ("reconcile", "disabled"), ("ssa", "Ignore"))
_HELM_POLICY: Final = "helm.sh/resource-policy"
_HELM_RELEASE: Final = "meta.helm.sh/release-name"


def pruned(
    objects: Sequence[ObjectRef], inventory: Sequence[str], versions: Iterable[tuple[str, str]] = ()
) -> tuple[ObjectRef, ...]:
    """List what leaves the session: what the inventory holds and the save lacks.

    versions: the API version of each entry, in pairs; v1 where none is known. An entry without a namespace is
    an object of the cluster, even if its manifest names a namespace: kustomize gives one to kinds that it
    doesn't know, and Flux drops it.
    """
    known = dict(versions)
    kept = {one.inventory_id for ref in objects for one in (ref, replace(ref, namespace=""))}
    return tuple(
        parse_inventory_id(entry, known.get(entry, "v1")) for entry in inventory if entry not in kept
    )


def is_large_prune(gone: int, inventory: int, limit_percent: int) -> bool:
    """Report whether a prune needs someone's word: more than its share, and more than a handful."""
    return gone > PRUNE_ALWAYS_ALLOWED and gone * 100 > inventory * limit_percent


def prune_question(gone: Sequence[ObjectRef], inventory: int, limit_percent: int) -> str:
    """Say what a save would delete, where that needs someone's word; "" where it doesn't."""
    if not is_large_prune(len(gone), inventory, limit_percent):
        return ""
    names = ", ".join(str(ref) for ref in gone[:3])
    return f"this save would delete {len(gone)} of {inventory} objects ({names}, …)"


def is_kept(live: Mapping[str, Any], session: SessionPlace, *, is_chart: bool) -> bool:
    """Report whether a live object stays although it leaves the session.

    Flux deletes what bears its owner labels and no mark against it; Helm asks for its own annotation, and
    leaves the definitions of a chart's crds/ alone, which are no part of a release.
    """
    metadata = mapping(live.get("metadata"))
    if is_chart:
        annotations = mapping(metadata.get("annotations"))
        is_loose = live.get("kind") == DEFINITION and _HELM_RELEASE not in annotations
        return is_loose or annotations.get(_HELM_POLICY) == "keep"
    labels = mapping(metadata.get("labels"))
    is_owned = all(labels.get(name) == value for name, value in owner_labels(session).items())
    return not is_owned or any(has_mark(live, f"{KUSTOMIZE_LABEL}/{name}", value) for name, value in _KEEPING)


def has_generated_name(ref: ObjectRef) -> bool:
    """Report whether a name ends as those do that kustomize makes of an object's content."""
    return bool(_HASH.search(ref.name))


def name_without_hash(ref: ObjectRef) -> str:
    """Write an object's name as its author knows it."""
    return _HASH.sub("", ref.name)


def replacements(gone: Iterable[ObjectRef], added: Iterable[ObjectRef]) -> Mapping[ObjectRef, ObjectRef]:
    """Pair what goes with what comes under the same name, apart from kustomize's hash of the content."""
    coming: dict[tuple[str, ...], list[ObjectRef]] = {}
    for ref in added:
        coming.setdefault(_without_hash(ref), []).append(ref)
    found = {}
    for ref in gone:
        candidates = coming.get(_without_hash(ref), [])
        if candidates and (has_generated_name(ref) or has_generated_name(candidates[0])):
            found[ref] = candidates.pop(0)
    return found


def _without_hash(ref: ObjectRef) -> tuple[str, ...]:
    return ref.group, ref.kind, ref.namespace, name_without_hash(ref)
