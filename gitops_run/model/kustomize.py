"""How Flux comes from a directory to objects, and how an error of kustomize is told to a person.

Knows which file makes a directory a kustomization, what Flux makes up where there is none, and how to
find the file and line behind kustomize's nested messages. Renders nothing and reads no disk.
Source: fluxcd/pkg kustomize, the generator (Flux 2.7 to 2.9).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import yaml

from gitops_run.model.objects import parse_documents
from gitops_run.model.problem import Problem
from gitops_run.model.yaml_limits import LESS_YAML, ExcessError

KUSTOMIZATION_FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
MANIFEST_SUFFIXES = (".yaml", ".yml")

ReadText = Callable[[str], str | None]
"""Reads a file of the snapshot by its path relative to the root; None where it has no such file."""


def generated_resources(paths: Iterable[str], target: str) -> tuple[str, ...]:
    """List what a kustomization for this target has as resources, relative to the target, sorted.

    paths: every file of the snapshot. ("",) means the target has a kustomization of its own. Else every
    manifest below the target, and each directory that is a kustomization in its manifests' place.
    """
    prefix = "" if target == "." else f"{target}/"
    inside = sorted(path.removeprefix(prefix) for path in paths if path.startswith(prefix))
    kustomizations = {_parent(path) for path in inside if _name(path) in KUSTOMIZATION_FILES}
    if "" in kustomizations:
        return ("",)
    found = set()
    for path in inside:
        owner = next((d for d in _ancestors(path) if d in kustomizations), None)
        if owner is not None:
            found.add(owner)
        elif path.endswith(MANIFEST_SUFFIXES):
            found.add(path)
    return tuple(sorted(found))


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _ancestors(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: index + 1]) for index in range(len(parts))]


_SOURCE = re.compile(r"from '([^']+)'")
_WRAPPED = "//"
"""What the way from the rendering's wrapper to the snapshot's folder is replaced by."""
_NESTING = re.compile(
    r"^(error: )?((accumulating|merging) (resources|components|generators|transformers)"
    r"( from '[^']*')?: |accumulation err='|recursed accumulation of path '[^']*': "
    r"|couldn't make target for path '[^']*': |read [^:]*: is a directory': )+"
)
_TAIL = re.compile(r"': must build at directory: '.*$", re.DOTALL)
_DUPLICATE = re.compile(r"already registered id: (\w+)\.\S*/([^.\]]+)\.\[")
_LINE = re.compile(r"\bline (\d+)")


def explain_failure(message: str, *, folder: str, target: str, read: ReadText) -> Problem:
    """Turn what kustomize wrote on standard error into one problem with file and line.

    folder: the absolute folder that the snapshot was rendered from; it is taken out of the message.
    """
    here = target
    for found in re.findall(rf"{re.escape(folder)}/([^':\s]+)", message):
        here = found.rstrip("/")
    text = message.strip().replace(f"{folder}/", "").replace(folder, ".")
    text = text.replace(f"../{_name(folder)}/", _WRAPPED)
    inner = _TAIL.sub("", _NESTING.sub("", text)).strip().rstrip("'")
    path = _blamed_path(text, here, read)
    problem = _broken_yaml(path, read)
    if problem is not None:
        return problem
    if path and read(path) is None:
        return Problem(
            path=path,
            message="this file is named by a kustomization, but isn't there",
            hint="add it, or remove its entry",
        )
    return Problem(path=path, line=_line(inner, path, read), message=inner or "kustomize failed")


def _blamed_path(text: str, here: str, read: ReadText) -> str:
    base = here if read(here) is None else _parent(here)
    sources = _SOURCE.findall(text)
    if sources and read(_normal(sources[-1])) is not None and sources[-1].startswith(_WRAPPED):
        return _normal(sources[-1])
    sources = [source for source in sources if not source.startswith(_WRAPPED)]
    if sources and _name(sources[-1]) == _name(here):
        return here
    if sources:
        return _normal(f"{base}/{sources[-1]}")
    if read(here) is not None:
        return here
    return next((p for name in KUSTOMIZATION_FILES if read(p := _normal(f"{here}/{name}")) is not None), "")


def _normal(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    return "/".join(parts)


def _broken_yaml(path: str, read: ReadText) -> Problem | None:
    text = read(path) if path else None
    if text is None:
        return None
    try:
        parse_documents(text)
    except ExcessError as error:
        return Problem(path=path, line=error.line, message=f"too much YAML: {error.problem}", hint=LESS_YAML)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return Problem(
            path=path, line=mark.line + 1 if mark else None, message=f"not valid YAML: {error.problem}"
        )
    except yaml.YAMLError as error:
        return Problem(path=path, message=f"not valid YAML: {error}")
    return None


def _line(inner: str, path: str, read: ReadText) -> int | None:
    text = read(path) if path else None
    if text is None:
        return None
    documents = parse_documents(text)
    duplicate = _DUPLICATE.search(inner)
    if duplicate:
        twins = [d for d in documents if (d.kind, d.name) == duplicate.groups()]
        return twins[-1].line if twins else None
    if "missing metadata.name" in inner or "missing Resource metadata" in inner:
        nameless = [d for d in documents if not d.name]
        return nameless[0].line if nameless else None
    stated = _LINE.search(inner)
    return int(stated.group(1)) if stated else None
