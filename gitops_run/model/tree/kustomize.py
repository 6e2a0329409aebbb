"""How Flux gets from a directory to objects, and how an error of kustomize is reported to a person.

This module knows which file makes a directory a kustomization, what Flux names as resources where there is
none, and how to find the file and line behind kustomize's nested messages. It renders nothing and reads no
disk.
Source: fluxcd/pkg kustomize, the generator (Flux 2.7 to 2.9).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import yaml

from gitops_run.model.objects.identity import (
    Document,
    compose_documents,
    find_scalar,
    items_of,
    line_of_wrong_binary,
    mapping,
    parse_documents,
    second_line,
    texts_of,
)
from gitops_run.model.text.problem import Problem
from gitops_run.model.text.yaml_limits import LESS_YAML, ExcessError
from gitops_run.model.text.yaml_words import not_utf8, not_yaml

KUSTOMIZATION_FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
MANIFEST_SUFFIXES = (".yaml", ".yml")

ReadText = Callable[[str], str | None]
"""Reads a file of the snapshot by its path relative to the root; None where it has no such file."""


def generated_resources(paths: Iterable[str], target: str) -> tuple[str, ...]:
    """List the resources that Flux names for a target without a kustomization, in Flux's order.

    paths: every file of the snapshot. Returns every manifest below the target, and each directory that is a
    kustomization in its manifests' place, relative to the target. The order is that of a walk: folder by
    folder, each sorted.
    """
    prefix = "" if target == "." else f"{target}/"
    inside = [path.removeprefix(prefix) for path in paths if path.startswith(prefix)]
    kustomizations = {_parent(path) for path in inside if _name(path) in KUSTOMIZATION_FILES}
    found = set()
    for path in inside:
        owner = next((d for d in _ancestors(path) if d in kustomizations), None)
        if owner is not None:
            found.add(owner)
        elif path.endswith(MANIFEST_SUFFIXES):
            found.add(path)
    return tuple(sorted(found, key=lambda path: path.split("/")))


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _ancestors(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: index + 1]) for index in range(len(parts))]


_SOURCE = re.compile(r"from '([^']+)'")
_NESTING = re.compile(
    r"^(error: )?((accumulating|merging) (resources|components|generators|transformers)"
    r"( from '[^']*')?: |accumulation err='|recursed (accumulation of|merging from) path '[^']*': "
    r"|couldn't make target for path '[^']*': |read [^:]*: is a directory': "
    r"|accumulateDirectory: \"|merging from generator &\{[^}]*\}: )*"
)
_TAIL = re.compile(r"': must build at directory: '.*$", re.DOTALL)
_WARNING = re.compile(r"^# Warning: .*\n?", re.MULTILINE)
_CONTEXT = re.compile(r"(?:recursed [a-z]+ (?:of|from)|couldn't make target for) path '([^']*)'")
_OPENED = re.compile(r"(?:\bopen |evalsymlink failure on ')([^\n':]{1,1024})'? ?: ")
_RES_ID = re.compile(r'resid\.ResId\{[^{}]*\{[^{}]*Kind:"(\w*)"[^{}]*\}, Name:"([^"]*)"[^{}]*\}')
_NO_BASE = re.compile(rf"{_RES_ID.pattern} does not exist; cannot merge or replace")
_DUPLICATE = re.compile(r"already registered id: (\w+)\.\S*/([^.\]]+)\.\[")
_NOT_BASE64 = "!!binary value contains invalid base64 data"
_CONFLICT = "produces ID conflict: ["
_PREVIOUS = "internal.config.kubernetes.io/previous{}s"
_TWICE = re.compile(r'mapping key "([^"\n]*)" already defined at line \d+')
_UNMATCHED = re.compile(r"no resource matches strategic merge patch \\?\"(\w+)\.[^/\"]*/([^\"\]]*?)\.\[")
_UNKNOWN = re.compile(r'unknown field "([^"]+)"')
_UNREACHED = re.compile(r"Get \"[^\"]*\": ([^'\n]+)|(fatal: [^\n]+)|((?:error|status code)[: ]+\d{3}[^'\n]*)")
_USER = re.compile(r"(?<=://)[^/@\s]+@")
_MISSING = "no such file or directory"
_LINE = re.compile(r"\bline (\d+)")


def explain_failure(
    message: str, *, folder: str, target: str, read: ReadText, paths: Iterable[str] = ()
) -> Problem:
    """Turn what kustomize wrote on standard error into one problem with file and line.

    folder: the absolute folder that the snapshot was rendered from; it is taken out of the message.
    paths: its files, of which kustomize may mean one without naming it.
    """
    text = _WARNING.sub("", message).strip().replace(f"{folder}/", "").replace(folder, ".")
    inside = [context for context in _CONTEXT.findall(text) if not context.startswith("/")]
    failure = _Failure(text=text, base=inside[-1] if inside else target, read=read)
    manifests = sorted(
        (path for path in paths if path.endswith(MANIFEST_SUFFIXES)),
        key=lambda path: (not path.startswith(f"{failure.base}/"), path),
    )
    problem = failure.remote() or failure.missing() or failure.in_one_of(manifests) or failure.generator()
    if problem is not None:
        return problem
    path = _blamed_path(message, folder, target, read)
    is_manifest = read(path) is not None and _name(path) not in KUSTOMIZATION_FILES
    if not is_manifest and (problem := failure.duplicates(manifests)):
        return problem
    hint = _LEAVE_OUT.format(path) if failure.kustomization() == target and path != target else ""
    if problem := _broken_yaml(path, read, is_encoding="UTF-8" in text):
        return replace(problem, hint=problem.hint or hint)
    inner = failure.inner()
    shown = "" if path == "." else path
    return Problem(path=shown, line=_line(inner, path, read), message=inner or "kustomize failed", hint=hint)


_LEAVE_OUT = "if it isn't a Kubernetes manifest, leave it out: add the line /{} to the root's .sourceignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """Hold a message without the folder it was rendered from. base: the kustomization it is about."""

    text: str
    base: str
    read: ReadText

    def inner(self) -> str:
        """Remove the prefix that describes only kustomize's path to the error."""
        inner = _TAIL.sub("", _NESTING.sub("", self.text)).strip()
        inner = inner if inner.count("'") % 2 == 0 else inner.rstrip("'")
        if inner.count('"') % 2:
            inner = inner.rstrip('"').replace('\\"', '"')
        return _USER.sub("***@", _RES_ID.sub(r"\1 \2", inner))

    def remote(self) -> Problem | None:
        """Describe what can't be fetched; whether Flux can is another matter."""
        sources = _SOURCE.findall(self.text)
        reasons = [next(filter(None, found)) for found in _UNREACHED.findall(self.text)]
        remote = [one for one in sources if "://" in one] or (sources[-1:] if reasons else [])
        if not remote:
            return None
        reason = (
            f"can't be read from here: {reasons[-1].strip()}"
            if reasons
            else f"can't be built: {self.inner()}"
        )
        path = self.kustomization()
        return Problem(
            path=path,
            line=_line_with(remote[-1], self.read(path)),
            message=_USER.sub("***@", f"{remote[-1]} {reason}"),
            hint="make it reachable, or copy it into the root: Flux may reach it, but no save can be checked"
            if reasons
            else "",
        )

    def missing(self) -> Problem | None:
        """Name a file or folder that isn't there."""
        opened = _OPENED.findall(self.text)
        path = _normal(opened[-1].strip()) if opened and not opened[-1].startswith("/") else ""
        if not path or _MISSING not in self.text or self.read(path) is not None:
            return None
        if "evalsymlink failure" in self.text and "." not in _name(path):
            return Problem(
                path=path,
                message="a kustomization names this folder, but it isn't there or has no kustomization.yaml",
                hint="add a kustomization.yaml to it, name its files one by one, or remove the entry",
            )
        return Problem(
            path=path,
            message="this file is named by a kustomization, but isn't there",
            hint="add it, or remove its entry",
        )

    def in_one_of(self, manifests: Sequence[str]) -> Problem | None:
        """Find the file that kustomize means without naming it."""
        if found := _TWICE.search(self.text):
            files = (path for path in manifests if _name(path) not in KUSTOMIZATION_FILES)
            find = partial(second_line, key=found[1])
            path, line = _find_line(files, found[1], self.read, find) or (self.base, None)
            return Problem(path=path, line=line, message=f"the key {found[1]} occurs twice")
        if _NOT_BASE64 in self.text and (
            place := _find_line(manifests, "!!binary", self.read, line_of_wrong_binary)
        ):
            return Problem(path=place[0], line=place[1], message="a value that is !!binary is not base64")
        if found := _UNMATCHED.search(self.text):
            if place := _find_line(manifests, "", self.read, second_line):  # kustomize then matches nothing
                return Problem(path=place[0], line=place[1], message="a key occurs twice")
            path, line = self._patch(found[1], found[2], manifests)
            return Problem(
                path=path,
                line=line,
                message=f"this patch matches nothing: there is no {found[1]} {found[2]} among the resources",
                hint="correct its kind, name and namespace, or remove it",
            )
        return None

    def duplicates(self, manifests: Sequence[str]) -> Problem | None:
        """Find the files of two objects of one name; None where they are of one place, or had two names."""
        named = {_as_written(body) for body in _conflicting(self.text)} | {*_DUPLICATE.findall(self.text)}
        places = [
            (path, document.line)
            for path in manifests
            for kind, name in named
            for document in _documents(path, name, self.read)
            if (document.kind, document.name) == (kind, name)
        ]
        if len(named) != 1 or len(places) < 2:
            return None
        (path, line), (kind, name) = places[-1], named.pop()
        others = ", ".join(f"{other}:{number}" for other, number in places[:-1])
        return Problem(
            path=path,
            line=line,
            message=f"{kind} {name} is defined more than once: see {others}",
            hint="rename one of them, or remove it",
        )

    def generator(self) -> Problem | None:
        """Explain a generator that adds to an object that isn't there."""
        found = _NO_BASE.search(self.text)
        if found is None:
            return None
        path = self.kustomization()
        return Problem(
            path=path,
            line=_line_with(f"name: {found[2]}", self.read(path)),
            message=f"this generator merges into {found[1]} {found[2]} or replaces it, but there is none",
            hint="add it to the resources or to a base, or remove the generator's behavior",
        )

    def _patch(self, kind: str, name: str, manifests: Sequence[str]) -> tuple[str, int | None]:
        """Find a patch: in the files that are named as such, in the kustomization, or else in any file."""
        kustomization = self.kustomization()
        inline = _line_with(f"name: {name}", self.read(kustomization))
        named = [_normal(f"{self.base}/{path}") for path in _patch_files(self.read(kustomization) or "")]
        for path in named if named or inline else manifests:
            for document in _documents(path, name, self.read):
                if (document.kind, document.name) == (kind, name):
                    return path, document.line
        return kustomization, inline

    def kustomization(self) -> str:
        """Name the kustomization that it is about; its folder where Flux adds one."""
        inside = (_normal(f"{self.base}/{name}") for name in KUSTOMIZATION_FILES)
        return next((path for path in inside if self.read(path) is not None), self.base)


def _conflicting(text: str) -> Iterator[Mapping[str, Any]]:
    """Read the objects that kustomize writes out where two have become one."""
    decoder, at = json.JSONDecoder(), text.find(_CONFLICT) + len(_CONFLICT)
    while at >= len(_CONFLICT) and text[at : at + 1] == "{":
        try:
            found, end = decoder.raw_decode(text, at)
        except ValueError:
            return
        yield found
        at = end + 1


def _as_written(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return the kind and name that an object has in its file, before kustomize changed them."""
    metadata = mapping(body.get("metadata"))
    notes = mapping(metadata.get("annotations"))
    kind = str(notes.get(_PREVIOUS.format("Kind")) or body.get("kind"))
    name = str(notes.get(_PREVIOUS.format("Name")) or metadata.get("name"))
    return kind.partition(",")[0], name.partition(",")[0]


def _find_line(
    paths: Iterable[str], token: str, read: ReadText, find: Callable[[str], int | None]
) -> tuple[str, int] | None:
    """Find the first file that holds a token and has what is looked for. find: returns the line."""
    for path in paths:
        text = read(path) or ""
        with suppress(yaml.YAMLError, RecursionError):
            if token in text and (line := find(text)):
                return path, line
    return None


def _patch_files(kustomization: str) -> Iterator[str]:
    """List the files of patches that a kustomization names."""
    try:
        nodes = [node for _, node in compose_documents(kustomization)]
    except (yaml.YAMLError, RecursionError):
        return
    for node in nodes:
        yield from texts_of(node, "patchesStrategicMerge")
        for entry in items_of(node, "patches"):
            if path := find_scalar(entry, "path"):
                yield path.value


def _documents(path: str, token: str, read: ReadText) -> Iterable[Document]:
    text = read(path) or ""
    try:
        return parse_documents(text) if token in text else ()
    except (yaml.YAMLError, RecursionError):
        return ()


def _line_with(token: str, text: str | None) -> int | None:
    return next((n for n, line in enumerate((text or "").splitlines(), 1) if token in line), None)


def _blamed_path(message: str, folder: str, target: str, read: ReadText) -> str:
    """Find what a message is about: the last path in it, and the entry that it names after that.

    kustomize writes paths of its own with the rendered folder in front, and entries as they stand in a file.
    """
    escaped = re.escape(folder)
    places = [*re.finditer(rf"(?<='){escaped}/([^'\"\n\\]+)(?=')|{escaped}/([^':\"\s\\]+)", message)]
    here = (places[-1][1] or places[-1][2]).rstrip("/") if places else target
    later = _SOURCE.findall(message, places[-1].end() if places else 0)
    base = here if read(here) is None else _parent(here)
    path = _normal(f"{base}/{later[-1]}") if later else here
    if read(path) is not None:
        return path
    inside = (_normal(f"{path}/{name}") for name in KUSTOMIZATION_FILES)
    return next((file for file in inside if read(file) is not None), path)


def _normal(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    return "/".join(parts)


def _broken_yaml(path: str, read: ReadText, *, is_encoding: bool) -> Problem | None:
    """Explain why a file can't be read. is_encoding: kustomize says that bytes of it are not UTF-8."""
    text = read(path) if path else None
    if text is None:
        return None
    if is_encoding and (found := not_utf8(text)):
        return _problem(path, found)
    try:
        parse_documents(text)
    except yaml.YAMLError as error:
        return yaml_problem(path, error, text)
    return None


def yaml_problem(path: str, error: yaml.YAMLError, text: str) -> Problem:
    """Report where a file is not valid YAML, or too much of it. text: of the file."""
    if isinstance(error, ExcessError):
        return Problem(path=path, line=error.line, message=f"too much YAML: {error.problem}", hint=LESS_YAML)
    if not isinstance(error, yaml.MarkedYAMLError):
        reason = str(error).splitlines()[0]
        return _problem(path, not_utf8(text) or (f"not valid YAML: {reason}", None, ""))
    mark = error.problem_mark or error.context_mark
    return _problem(path, not_yaml(text, str(error.problem), mark.line + 1 if mark else None))


def _problem(path: str, found: tuple[str, int | None, str]) -> Problem:
    message, line, hint = found
    return Problem(path=path, line=line, message=message, hint=hint)


def _line(inner: str, path: str, read: ReadText) -> int | None:
    text = read(path) if path else None
    if text is None:
        return None
    documents = parse_documents(text)
    duplicate = _DUPLICATE.search(inner)
    if duplicate:
        duplicates = [d for d in documents if (d.kind, d.name) == duplicate.groups()]
        return duplicates[-1].line if duplicates else None
    if "missing metadata.name" in inner or "missing Resource metadata" in inner:
        return next((d.line for d in documents if not d.name), None)
    if "missing kind in object" in inner:
        return next((d.line for d in documents if not d.kind), None)
    unknown = _UNKNOWN.search(inner)
    if unknown:
        return _line_with(unknown[1], text)
    stated = _LINE.search(inner)
    return int(stated.group(1)) if stated else None
