"""How Flux comes from a directory to objects, and how an error of kustomize is told to a person.

Knows which file makes a directory a kustomization, what Flux names as resources where there is none, and how
to find the file and line behind kustomize's nested messages. Renders nothing and reads no disk.
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
    r"|couldn't make target for path '[^']*': |read [^:]*: is a directory': )*"
)
_TAIL = re.compile(r"': must build at directory: '.*$", re.DOTALL)
_DUPLICATE = re.compile(r"already registered id: (\w+)\.\S*/([^.\]]+)\.\[")
_MISSING = "no such file or directory"
_LINE = re.compile(r"\bline (\d+)")


def explain_failure(message: str, *, folder: str, target: str, read: ReadText) -> Problem:
    """Turn what kustomize wrote on standard error into one problem with file and line.

    folder: the absolute folder that the snapshot was rendered from; it is taken out of the message.
    """
    here = target
    for found in re.findall(rf"{re.escape(folder)}/([^':\s]+)", message):
        here = found.rstrip("/")
    text = message.strip().replace(f"{folder}/", "").replace(folder, ".")
    inner = _TAIL.sub("", _NESTING.sub("", text)).strip()
    inner = inner if inner.count("'") % 2 == 0 else inner.rstrip("'")
    path = _blamed_path(text, here, read)
    problem = _broken_yaml(path, read)
    if problem is not None:
        return problem
    if path and read(path) is None and _MISSING in text:
        return Problem(
            path=path,
            message="this file is named by a kustomization, but isn't there",
            hint="add it, or remove its entry",
        )
    shown = "" if path == "." else path
    return Problem(path=shown, line=_line(inner, path, read), message=inner or "kustomize failed")


def _blamed_path(text: str, here: str, read: ReadText) -> str:
    base = here if read(here) is None else _parent(here)
    sources = _SOURCE.findall(text)
    is_here = not sources or _name(sources[-1]) in (_name(here), ".")
    path = here if is_here else _normal(f"{base}/{sources[-1]}")
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


def _broken_yaml(path: str, read: ReadText) -> Problem | None:
    text = read(path) if path else None
    if text is None:
        return None
    try:
        parse_documents(text)
    except yaml.YAMLError as error:
        return yaml_problem(path, error)
    return None


def yaml_problem(path: str, error: yaml.YAMLError) -> Problem:
    """Say where a file is not valid YAML, or too much of it."""
    if isinstance(error, ExcessError):
        return Problem(path=path, line=error.line, message=f"too much YAML: {error.problem}", hint=LESS_YAML)
    if not isinstance(error, yaml.MarkedYAMLError):
        return Problem(path=path, message=f"not valid YAML: {str(error).splitlines()[0]}")
    mark = error.problem_mark or error.context_mark
    return Problem(
        path=path, line=mark.line + 1 if mark else None, message=f"not valid YAML: {error.problem}"
    )


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
