"""Which manifests name a namespace other than the session's: Flux applies them in the session's all the same.

Flux's targetNamespace replaces what a manifest or a kustomization names. It leaves charts alone: what a
template names stays as it is, and preflight refuses it. A file that a save doesn't change isn't parsed again.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import anyio
import yaml

from gitops_run.flows.ports import Snapshot
from gitops_run.model.events import NamedNamespace
from gitops_run.model.kustomize import KUSTOMIZATION_FILES, MANIFEST_SUFFIXES
from gitops_run.model.objects import RenderedObject, compose_documents, find_scalar

_NAMES_ONE = re.compile(r"""namespace["']?[ \t]*:[ \t]*["']?[\w$]""")
"""What a file has that names a namespace; a schema's property of this name has its value on the next line."""
_Key = tuple[str, str]


class NamespaceFinder:
    """Find what names another namespace, save after save. namespace: the session's."""

    def __init__(self, target: str, namespace: str) -> None:
        self._target = target
        self._namespace = namespace
        self._known: dict[_Key, tuple[NamedNamespace, ...]] = {}

    async def find(self, snapshot: Snapshot, objects: Sequence[RenderedObject]) -> tuple[NamedNamespace, ...]:
        """List what names another namespace than the session's and is applied there, by path and line."""
        known: dict[_Key, tuple[NamedNamespace, ...]] = {}
        for path, entry in sorted(snapshot.tree.files.items()):
            if self._may_belong(path, snapshot):
                key = (path, entry.digest)
                known[key] = self._known[key] if key in self._known else await _read(path, snapshot)
        self._known = known
        applied = _names(item for item in objects if item.ref.namespace == self._namespace)
        return tuple(
            one
            for found in known.values()
            for one in found
            if one.named != self._namespace and _is_applied(one, applied)
        )

    def _may_belong(self, path: str, snapshot: Snapshot) -> bool:
        """Leave out what the target may not need: then only its own files are certain."""
        is_manifest = path.endswith(MANIFEST_SUFFIXES) or _is_kustomization(path)
        is_inside = self._target == "." or path.startswith(f"{self._target}/")
        return is_manifest and (is_inside or not snapshot.whole_root_reason)


async def _read(path: str, snapshot: Snapshot) -> tuple[NamedNamespace, ...]:
    await anyio.lowlevel.checkpoint()
    text = snapshot.read_text(path)
    if text is None or not _NAMES_ONE.search(text):
        return ()
    try:
        return tuple(_named(path, text))
    except (yaml.YAMLError, RecursionError):  # the target renders, so this is no manifest of it
        return ()


def _named(path: str, text: str) -> Iterator[NamedNamespace]:
    for document, node in compose_documents(text):
        keys = ("namespace",) if _is_kustomization(path) else ("metadata", "namespace")
        value = find_scalar(node, *keys)
        if value is not None and value.value and (document.name or len(keys) == 1):
            yield NamedNamespace(
                path=path,
                line=value.start_mark.line + 1,
                kind="" if len(keys) == 1 else document.kind,
                name="" if len(keys) == 1 else document.name,
                named=value.value,
            )


def _is_kustomization(path: str) -> bool:
    return path.rpartition("/")[2] in KUSTOMIZATION_FILES


def _names(objects: Iterable[RenderedObject]) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for item in objects:
        found[item.ref.kind].add(item.ref.name)
    return {kind: frozenset(names) for kind, names in found.items()}


def _is_applied(one: NamedNamespace, applied: Mapping[str, frozenset[str]]) -> bool:
    """Say whether a manifest is one of what is applied; kustomize may have added to its name."""
    if not one.kind:
        return bool(applied)
    names = applied.get(one.kind, frozenset())
    return one.name in names or any(one.name in name for name in names)
