"""Which manifests name a namespace other than the session's: Flux applies them in the session's all the same.

Flux's targetNamespace replaces what a manifest or a kustomization names. It leaves charts alone: what a
template names stays as it is, and preflight refuses it. A file that a save doesn't change isn't parsed again,
and one that is too large to be searched for the place of a fault isn't searched for this either.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import yaml

from gitops_run.flows.building import SOURCES_BYTES_MAX
from gitops_run.flows.threads import give_up_if_cancelled, off_the_loop
from gitops_run.model.objects.identity import RenderedObject, compose_documents, find_scalar
from gitops_run.model.state.events import NamedNamespace
from gitops_run.model.tree.kustomize import KUSTOMIZATION_FILES, MANIFEST_SUFFIXES
from gitops_run.model.tree.snapshot import Snapshot
from gitops_run.model.tree.tree import FileEntry

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
        entries = [
            entry
            for path, entry in sorted(snapshot.tree.files.items())
            if self._may_belong(path, snapshot) and entry.size <= SOURCES_BYTES_MAX
        ]
        news = [entry for entry in entries if (entry.path, entry.digest) not in self._known]
        read = await off_the_loop(partial(_read_all, snapshot, news), sum(entry.size for entry in news))
        keys = [(entry.path, entry.digest) for entry in entries]
        known = {key: self._known[key] if key in self._known else read[key] for key in keys}
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


def _read_all(snapshot: Snapshot, entries: Iterable[FileEntry]) -> dict[_Key, tuple[NamedNamespace, ...]]:
    found = {}
    for entry in entries:
        give_up_if_cancelled()
        found[entry.path, entry.digest] = _read(entry.path, snapshot)
    return found


def _read(path: str, snapshot: Snapshot) -> tuple[NamedNamespace, ...]:
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


def _names(objects: Iterable[RenderedObject]) -> Mapping[str, str]:
    """Write the names of each kind, one a line: searching one text for each manifest takes little time."""
    found: dict[str, list[str]] = defaultdict(list)
    for item in objects:
        found[item.ref.kind].append(item.ref.name)
    return {kind: "\n".join(names) for kind, names in found.items()}


def _is_applied(one: NamedNamespace, applied: Mapping[str, str]) -> bool:
    """Report whether a manifest is one of what is applied; kustomize may have added to its name."""
    return one.name in applied.get(one.kind, "") if one.kind else bool(applied)
