"""Whole targets of kustomize: bases, overlays and components, and what their kustomizations may say."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from functools import partial
from typing import Any

from hypothesis import strategies as st

from tests.generated.drafts import KUSTOMIZATION_NAMES, Draft, GeneratedTree
from tests.generated.faults import add_fault
from tests.generated.features import FEATURES, SAFE
from tests.generated.objects import KINDS, VALID_KINDS, VARIABLES, Body
from tests.generated.texts import Draw

TARGET = "app"
BASES_MAX = 2
DEPTH_MAX = 2


@st.composite
def kustomize_trees(draw: Draw, *, faults: bool = True) -> GeneratedTree:
    """Make a root with a target in folder app."""
    draft = Draft(draw)
    if draft.happens(10):
        _plain_folder(draft, TARGET)
    else:
        _layer(draft, TARGET, 0)
    variables = VARIABLES if draft.happens(3) else {}
    has_fault = faults and draft.happens(3)
    return draft.finished(TARGET, variables, partial(add_fault, draft) if has_fault else lambda: None)


@st.composite
def applicable_trees(draw: Draw) -> GeneratedTree:
    """Make a root whose target in folder app a session may apply, if kustomize builds it."""
    draft = Draft(draw, is_valid=True)
    _layer(draft, TARGET, 0)
    return draft.finished(TARGET, {}, lambda: None)


def _plain_folder(draft: Draft, folder: str) -> None:
    """Make a folder without a kustomization of its own, perhaps with one below."""
    _own_resources(draft, folder, _INSIDE)
    if draft.happens(2):
        _own_resources(draft, f"{folder}/sub", _INSIDE)
    if draft.happens(3):
        _layer(draft, f"{folder}/k", 1)
    if draft.happens(3):
        draft.texts[f"{folder}/notes.md"] = "not a manifest: ["
        draft.texts[f"{folder}/c.json"] = "{"


def _layer(draft: Draft, folder: str, depth: int, *, component: bool = False) -> None:
    """Make a folder with a kustomization, and what it names."""
    body: Body = {}
    if component:
        body |= {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
    elif draft.happens(4):
        body |= {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    path = f"{folder}/{draft.one_of(KUSTOMIZATION_NAMES)}"
    draft.kustomizations[path] = body
    before = frozenset(draft.manifests)
    bases = draft.draw(st.integers(0, BASES_MAX)) if depth < DEPTH_MAX and not component else 0
    resources = [_base(draft, folder, depth) for _ in range(bases)]
    if not bases or draft.happens(2):
        resources += _own_resources(draft, folder)
    if resources:
        body["resources"] = draft.draw(st.permutations(resources))
    if depth < DEPTH_MAX and draft.happens(4):
        _add_component(draft, folder, body, depth)
    features = draft.draw(
        st.lists(st.sampled_from(SAFE if draft.is_valid else FEATURES), max_size=4, unique=True)
    )
    draft.visible = frozenset(draft.manifests) - before
    for feature in features:
        feature(draft, folder, body)


def _base(draft: Draft, folder: str, depth: int) -> str:
    """Make a layer below, and name it as this one does: above, inside, by a link."""
    number = draft.number()
    match draft.one_of(("beside", "beside", "inside", "link", "deep")):
        case "inside":
            _layer(draft, f"{folder}/base{number}", depth + 1)
            return str(draft.one_of((f"base{number}", f"./base{number}/", f"base{number}/../base{number}")))
        case "link":
            _layer(draft, f"shared/base{number}", depth + 1)
            name = f"link{number}"
            draft.links[f"{folder}/{name}"] = posixpath.relpath(f"shared/base{number}", folder)
            return name
        case "deep":
            _layer(draft, f"lib/x/base{number}", depth + 1)
            return posixpath.relpath(f"lib/x/base{number}", folder)
    _layer(draft, f"base{number}", depth + 1)
    return posixpath.relpath(f"base{number}", folder)


def _add_component(draft: Draft, folder: str, body: Body, depth: int) -> None:
    number = draft.number()
    _layer(draft, f"comp{number}", depth + 1, component=True)
    body["components"] = [posixpath.relpath(f"comp{number}", folder)]


_INSIDE = ("each", "together", "list")


def _own_resources(
    draft: Draft, folder: str, ways: Sequence[str] = (*_INSIDE, "each", "above", "linked")
) -> list[str]:
    """Make manifests in a folder. Returns their names there."""
    kinds = draft.draw(
        st.lists(st.sampled_from(VALID_KINDS if draft.is_valid else KINDS), min_size=1, max_size=3)
    )
    found: list[Any] = []
    for kind in kinds:
        body = draft.object(kind)
        draft.manifests.setdefault("", []).append(body)  # names that are given already
        found.append(body)
    draft.manifests.pop("", None)
    match draft.one_of(ways):
        case "together":
            groups = [found]
        case "list":
            kind = "ConfigMapList" if set(kinds) == {"ConfigMap"} else "List"
            groups = [[{"apiVersion": "v1", "kind": kind, "items": found}]]
        case "above":
            return [_above(draft, folder, group) for group in ([one] for one in found)]
        case "linked":
            return [_linked(draft, folder, [one]) for one in found]
        case _:
            groups = [[one] for one in found]
    return [_manifest(draft, folder, group) for group in groups]


def _manifest(draft: Draft, folder: str, documents: list[Any]) -> str:
    suffix = draft.one_of((".yaml", ".yaml", ".yml"))
    path = draft.add_text(folder, suffix, "")
    del draft.texts[path]
    draft.manifests[path] = documents
    return path.removeprefix(f"{folder}/")


def _above(draft: Draft, folder: str, documents: list[Any]) -> str:
    return posixpath.relpath(f"files/{_manifest(draft, 'files', documents)}", folder)


def _linked(draft: Draft, folder: str, documents: list[Any]) -> str:
    leads_to = f"files/{_manifest(draft, 'files', documents)}"
    name = f"linked{draft.number()}.yaml"
    draft.links[f"{folder}/{name}"] = posixpath.relpath(leads_to, folder)
    return name
