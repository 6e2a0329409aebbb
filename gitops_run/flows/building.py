"""From a snapshot to the objects that Flux would apply: rendered, substituted, identified.

What a save doesn't change isn't parsed again: documents are known by their text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol, runtime_checkable

import yaml

from gitops_run.flows.ports import Renderer
from gitops_run.flows.threads import give_up_if_cancelled, off_the_loop
from gitops_run.model.charts.build import NotRenderableError
from gitops_run.model.objects.identity import (
    IncompleteError,
    ObjectRef,
    RenderedObject,
    has_exact_mark,
    is_kustomization,
    parse_document,
    split_documents,
    template_path,
    text_digest,
)
from gitops_run.model.objects.secret_values import of_object, variables_in_secret
from gitops_run.model.objects.substitution import (
    DISABLED_MARK,
    NotEvaluable,
    SubstitutionError,
    Variables,
    substitute,
)
from gitops_run.model.text.go_yaml import UnreadableError
from gitops_run.model.text.masking import Masker
from gitops_run.model.text.problem import Problem
from gitops_run.model.text.yaml_limits import LESS_YAML, ExcessError, may_expand, refuse_excess
from gitops_run.model.tree.kustomize import MANIFEST_SUFFIXES
from gitops_run.model.tree.places import Sources, line_of_key, locate_incomplete, locate_last, locate_text
from gitops_run.model.tree.snapshot import Snapshot
from gitops_run.model.tree.tree import FileEntry

_ANY_VARIABLE = "${"
_QUOTE_IT = 'put it in quotes ("${NAME}"), or check the value that the setting substitute has for it'
_SET_IT = "set it (setting substitute), give it a default (${NAME:=x}), or escape it ($${NAME})"

SOURCES_BYTES_MAX: Final = 4 * 1024 * 1024
"""How much YAML is searched for the place of a fault: nodes with lines take fifty times their text.

What a larger file expands to is left to the limits of the renderer.
"""


@runtime_checkable
class Completing(Protocol):
    """A renderer of charts, whose YAML leaves out what Flux fills in as it applies."""

    async def complete(self, item: RenderedObject) -> RenderedObject:
        """Fill in what Flux will. Raises TransientError where the cluster fails."""
        ...

    @property
    def uncertain_kinds(self) -> Mapping[str, str]:
        """Map kinds of which Flux may render an object that the last rendering lacks to the reasons."""
        ...

    def origin(self, path: str, target: str) -> str:
        """Name the file of the root that a template is in. path: as if the chart's own folder had it."""
        ...

    def doubt(self, digest: str) -> str:
        """Explain why Flux may render a document differently, or "". digest: of its text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Hold what a snapshot renders to. unevaluated: objects whose final form only Flux knows, and why.

    uncertain_kinds: kinds of which Flux may render an object that is not here, and why. naming_encrypted:
    objects that name one whose name only Flux knows, and what that means for them. dropped: lines about
    objects that Flux doesn't apply. unrendered: why only Flux can render any of it, or "".
    """

    objects: tuple[RenderedObject, ...] = ()
    problems: tuple[Problem, ...] = ()
    unevaluated: Mapping[ObjectRef, str] = field(default_factory=dict)
    uncertain_kinds: Mapping[str, str] = field(default_factory=dict)
    naming_encrypted: Mapping[ObjectRef, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    unrendered: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """Hold what one rendered document came to. token: what to look for in the sources where it failed.

    template: the file of the chart that a failed one is from, in the chart. key: what it has twice, and text.
    incomplete: what is known of one that is no object. dropped: why Flux drops such a one, or "".
    """

    objects: tuple[RenderedObject, ...] = ()
    failure: str = ""
    token: str = ""
    unevaluated: str = ""
    template: str = ""
    key: str = ""
    text: str = field(default="", repr=False)
    incomplete: ObjectRef | None = None
    dropped: str = ""


class Builder:
    """Build one target, save after save."""

    def __init__(
        self, renderer: Renderer, target: str, variables: Variables | None, masker: Masker | None = None
    ) -> None:
        """variables: None for a session that substitutes nothing. masker: learns the values of Secrets."""
        self._renderer = renderer
        self._target = target
        self._variables = variables if variables is not None and variables.is_used else None
        self._masker = masker or Masker()
        self._known: dict[str, _Document] = {}
        self._harmless: frozenset[str] = frozenset()

    async def build(self, snapshot: Snapshot) -> Built:
        """Render a snapshot's target, or say what is wrong with it.

        Raises TransientError if a renderer must ask the cluster and that fails.
        """
        if problem := await self._find_excess(snapshot):
            return Built(problems=(problem,))
        try:
            rendered = await self._renderer.render(snapshot, self._target)
        except NotRenderableError as reason:
            return Built(unrendered=f"{self._target}: {reason}")
        if isinstance(rendered, Problem):
            named = replace(rendered, path=snapshot.meant_by(rendered.path))
            return Built(problems=(_with_ignore_rule(named, snapshot),))
        documents = [await self._completed(*read) for read in await self._read(rendered)]
        objects = tuple(item for document in documents for item in document.objects)
        lost, duplicates = [one for one in documents if one.failure or one.dropped], _duplicates(objects)
        problems: tuple[Problem, ...] = ()
        dropped: tuple[str, ...] = ()
        if lost or duplicates:
            located = partial(self._located, snapshot, lost, duplicates)
            problems, dropped = await off_the_loop(located, snapshot_size(snapshot))
        unevaluated = {
            item.ref: document.unevaluated
            for document in documents
            if document.unevaluated
            for item in document.objects
        }
        uncertain = self._renderer.uncertain_kinds if isinstance(self._renderer, Completing) else {}
        return Built(
            objects=objects,
            problems=problems,
            unevaluated=unevaluated,
            uncertain_kinds=uncertain,
            dropped=dropped,
        )

    async def _find_excess(self, snapshot: Snapshot) -> Problem | None:
        """Refuse sources whose anchors expand to too much, before a renderer does expand them."""
        suspects = [
            entry
            for entry in snapshot.tree.files.values()
            if _may_be_parsed(entry.path)
            and entry.digest not in self._harmless
            and entry.size <= SOURCES_BYTES_MAX
        ]
        search = partial(_excess_in, snapshot, suspects)
        problem = await off_the_loop(search, sum(entry.size for entry in suspects))
        if problem is None:
            self._harmless = frozenset(entry.digest for entry in snapshot.tree.files.values())
        return problem

    def _located(
        self, snapshot: Snapshot, lost: Sequence[_Document], duplicates: Sequence[ObjectRef]
    ) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
        """Find the places of what is wrong, and of what Flux drops."""
        sources = sources_of(snapshot, self._target)
        found = [self._problem(document, sources) for document in lost if document.failure]
        dropped = tuple(
            _line_of_dropped(document.incomplete, document.dropped, sources)
            for document in lost
            if document.incomplete is not None and document.dropped
        )
        return (*found, *(_duplicate(ref, sources) for ref in duplicates)), dropped

    async def _read(self, rendered: str) -> list[tuple[str, _Document]]:
        """Read what is new, by the digests of the texts; forget what isn't rendered any more."""
        keyed = [(text_digest(text), text) for text in split_documents(rendered)]
        texts = dict(keyed)
        news = [text for key, text in texts.items() if key not in self._known]
        read = await off_the_loop(partial(self._all_parsed, news), sum(map(len, news)))
        self._known = {key: self._known.get(key) or read[key] for key in texts}
        return [(key, self._known[key]) for key, _ in keyed]

    def _all_parsed(self, texts: Sequence[str]) -> dict[str, _Document]:
        found = {}
        for text in texts:
            give_up_if_cancelled()
            document = self._parsed(text)
            self._learn(document.objects)
            found[text_digest(text)] = document
        return found

    def _learn(self, objects: tuple[RenderedObject, ...]) -> None:
        """Learn the values of Secrets, and of the variables that they are made of."""
        known = self._variables.values if self._variables is not None else {}
        for item in objects:
            self._masker.learn(of_object(item.body))
            self._masker.learn(known[name] for name in variables_in_secret(item.body) if name in known)

    async def _completed(self, digest: str, document: _Document) -> _Document:
        """Fill in again each time: the cluster may have learned a kind since."""
        if not isinstance(self._renderer, Completing):
            return document
        objects = [await self._renderer.complete(item) for item in document.objects]
        return replace(document, objects=tuple(objects), unevaluated=self._renderer.doubt(digest))

    def _parsed(self, text: str) -> _Document:
        try:
            document = self._as_flux_reads(text, is_substituted=False)
        except ValueError as error:
            return _unreadable(text, error)
        self._learn(document.objects)
        objects = document.objects
        if self._variables is None or any(has_exact_mark(i.body, DISABLED_MARK, "disabled") for i in objects):
            return document
        try:
            found = self._as_flux_reads(substitute(text, self._variables), is_substituted=True)
            return replace(found, incomplete=objects[0].ref) if found.dropped and objects else found
        except SubstitutionError as error:
            return replace(document, dropped="", failure=_told(document, str(error)), token=error.token)
        except ValueError as error:
            failure = f"after substitution: {error}"
            return replace(document, dropped="", failure=failure, token=_ANY_VARIABLE)
        except NotEvaluable as reason:
            return replace(document, unevaluated=_told(document, str(reason)))

    def _as_flux_reads(self, text: str, *, is_substituted: bool) -> _Document:
        """Read a document without what Flux passes over. Raises ValueError on one that Flux refuses."""
        if isinstance(self._renderer, Completing):
            return _Document(objects=parse_document(text))
        try:
            objects = parse_document(text)
        except IncompleteError as error:
            if not error.is_dropped(is_substituted=is_substituted):
                raise
            return _Document(incomplete=error.ref, dropped=str(error))
        return _Document(objects=tuple(item for item in objects if not is_kustomization(item.ref)))

    def _problem(self, document: _Document, sources: Sources) -> Problem:
        if document.template:
            path = document.template if self._target == "." else f"{self._target}/{document.template}"
            if isinstance(self._renderer, Completing):
                path = self._renderer.origin(path, self._target)
            line = line_of_key(document.key, document.text, sources.text(path)) if document.key else None
            return Problem(
                path=path, line=line, message=f"the rendered output can't be applied: {document.failure}"
            )
        if document.incomplete is not None:
            path, line = locate_incomplete(document.incomplete, sources)
            message = f"Flux can't apply this object: {document.failure}"
            return Problem(path=path or self._target, line=line, message=message)
        if not document.objects:
            return Problem(path=self._target, message=document.failure)
        ref = document.objects[0].ref
        path, line = locate_text(ref, sources, document.token)
        return Problem(
            path=path,
            line=line,
            message=f"{ref}: {document.failure}",
            hint=_QUOTE_IT if document.token == _ANY_VARIABLE else _SET_IT,
        )


def _line_of_dropped(ref: ObjectRef, reason: str, sources: Sources) -> str:
    path, line = locate_incomplete(ref, sources)
    place = f"{path}:{line}" if line else path or sources.target
    return f"{place}: Flux drops this {ref.kind}: {reason}"


def _unreadable(text: str, error: ValueError) -> _Document:
    template = (template_path(text) or "").partition("/")[2]
    key = error.key if isinstance(error, UnreadableError) else ""
    return _Document(
        failure=str(error),
        template=template,
        key=key,
        text=text if key else "",
        incomplete=error.ref if isinstance(error, IncompleteError) else None,
    )


def _told(document: _Document, text: str) -> str:
    """Keep what stands around a variable to ourselves where it could be part of a secret."""
    kinds = {item.ref.kind for item in document.objects}
    if "Secret" in kinds or (document.incomplete is not None and document.incomplete.kind == "Secret"):
        return "a ${…} in it can't be substituted here, and is not shown"
    return text


def _excess_in(snapshot: Snapshot, entries: Sequence[FileEntry]) -> Problem | None:
    """Find the first of these files that exceeds a limit; what is no YAML is left to the renderer."""
    for entry in sorted(entries, key=lambda entry: entry.path):
        give_up_if_cancelled()
        content = snapshot.read_bytes(entry.path)
        if b"&" not in content or b"*" not in content:
            continue
        text = content.decode("utf-8", "replace")
        if not may_expand(text):
            continue
        try:
            refuse_excess(text)
        except ExcessError as error:
            return Problem(
                path=entry.path, line=error.line, message=f"too much YAML: {error.problem}", hint=LESS_YAML
            )
        except yaml.YAMLError:
            continue
    return None


def _may_be_parsed(path: str) -> bool:
    """Report whether renderers may read a file as YAML: by its suffix, or without one (Kustomization)."""
    return path.endswith(MANIFEST_SUFFIXES) or "." not in path.rpartition("/")[2]


def snapshot_size(snapshot: Snapshot) -> int:
    """Sum up the bytes of a snapshot's files."""
    return sum(entry.size for entry in snapshot.tree.files.values())


def sources_of(snapshot: Snapshot, target: str) -> Sources:
    """Read the manifests of a snapshot, to find where something came from: as many as are searched."""
    files, size = [], 0
    for path, entry in sorted(snapshot.tree.files.items()):
        if not path.endswith(MANIFEST_SUFFIXES) or size + entry.size > SOURCES_BYTES_MAX:
            continue
        if (text := snapshot.read_text(path)) is not None:
            files.append((path, text))
            size += entry.size
    return Sources(files=tuple(files), target=target)


def _duplicates(objects: tuple[RenderedObject, ...]) -> list[ObjectRef]:
    """List what occurs more than once in one version: Flux would apply one over the other.

    In two versions it does so too, but kustomize and helm call these two objects.
    """
    seen: set[ObjectRef] = set()
    found: dict[ObjectRef, None] = {}
    for item in objects:
        if item.ref in seen:
            found[item.ref] = None
        seen.add(item.ref)
    return list(found)


def _duplicate(ref: ObjectRef, sources: Sources) -> Problem:
    path, line = locate_last(ref, sources)
    return Problem(
        path=path, line=line, message=f"{ref} is defined more than once", hint="remove one of them"
    )


def _with_ignore_rule(problem: Problem, snapshot: Snapshot) -> Problem:
    rule = snapshot.hidden_by(problem.path) if problem.path else None
    if rule is None:
        return problem
    return replace(
        problem,
        message=f"the target needs this file, but an ignore rule hides it: {rule}",
        hint=f"change the rule, or include the file again with: !{problem.path.rpartition('/')[2]}",
    )
