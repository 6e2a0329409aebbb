"""Names that follow from what SOPS has encrypted: kustomize hashes the content, and Flux decrypts it first.

Here the content is ciphertext, so such a name has another hash than the one that Flux computes. The object
that the session has under that name stands in for it. Source: kustomize-controller 1.9, which decrypts files
of generators and patches before it builds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gitops_run.model.objects.identity import ObjectRef, RenderedObject
from gitops_run.model.objects.pruning import has_generated_name, name_without_hash, pruned, replacements
from gitops_run.model.objects.sops import holds_ciphertext, is_encrypted

_HIDDEN = "it is encrypted"
_UNNAMED = "it is encrypted, and its name depends on its content"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decrypted:
    """Hold objects as far as they are known before Flux decrypts them, in the order in which they came.

    hidden: those whose content only Flux knows, and why. naming: those that name one whose name only Flux
    knows, and what to say of that.
    """

    objects: tuple[RenderedObject, ...]
    hidden: Mapping[ObjectRef, str] = field(default_factory=dict)
    naming: Mapping[ObjectRef, str] = field(default_factory=dict)


def as_decrypted(
    objects: tuple[RenderedObject, ...], inventory: Sequence[str], versions: Sequence[tuple[str, str]]
) -> Decrypted:
    """Give each object whose name only Flux knows the name that it has in the session.

    inventory, versions: of the session, as Flux has them. Without such an object in the session, the name
    stays.
    """
    encrypted = [item.ref for item in objects if is_encrypted(item.body) or holds_ciphertext(item.body)]
    known = frozenset(inventory)
    unnamed = [ref for ref in encrypted if has_generated_name(ref) and ref.inventory_id not in known]
    hidden = {ref: _UNNAMED if ref in unnamed else _HIDDEN for ref in encrypted}
    if not unnamed:
        return Decrypted(objects=objects, hidden=hidden)
    gone = pruned([item.ref for item in objects], inventory, versions)
    live = {new: old for old, new in replacements(gone, unnamed).items()}
    renamed, naming = [], {}
    for item in objects:
        named = [ref for ref in unnamed if ref != item.ref and _names(item.body, ref.name)]
        if named:
            naming[item.ref] = _naming(named[0])
        renamed.append(_renamed(item, named, live) if named or item.ref in live else item)
    return Decrypted(
        objects=tuple(renamed), hidden={live.get(ref, ref): why for ref, why in hidden.items()}, naming=naming
    )


def _naming(ref: ObjectRef) -> str:
    name = f"{ref.kind} {name_without_hash(ref)}"
    return f"it references {name}, which is encrypted: if that changes, so do its name and this object"


def _renamed(
    item: RenderedObject, named: Sequence[ObjectRef], live: Mapping[ObjectRef, ObjectRef]
) -> RenderedObject:
    body: Any = item.body
    for ref in (item.ref, *named):
        if ref in live:
            body = _replaced(body, ref.name, live[ref].name)
    return replace(item, ref=live.get(item.ref, item.ref), body=body)


def _names(node: object, name: str) -> bool:
    if isinstance(node, Mapping):
        return any(_names(value, name) for value in node.values())
    if isinstance(node, list):
        return any(_names(value, name) for value in node)
    return isinstance(node, str) and name in node


def _replaced(node: object, old: str, new: str) -> object:
    if isinstance(node, Mapping):
        return {key: _replaced(value, old, new) for key, value in node.items()}
    if isinstance(node, list):
        return [_replaced(value, old, new) for value in node]
    return node.replace(old, new) if isinstance(node, str) else node
