"""The values of Secrets: in an object, and in the files of a snapshot that become one.

This module reads manifests, patches, generators' literals and files, and a chart's values as far as a
template of a Secret may use them. It errs on the side of more: what can't be parsed but speaks of a Secret
counts whole. It decrypts nothing. Source: kustomize api 0.21 (types.KvPairSources, types.Patch), Helm 4.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import yaml

from gitops_run.model.objects.identity import DEFINITION
from gitops_run.model.objects.sops import is_encrypted
from gitops_run.model.text import yaml_limits

ReadText = Callable[[str], str | None]

_YAML = (".yaml", ".yml", ".json", "Kustomization")
TEXT_MAX = 4_194_304
"""More is looked through for seconds, while somebody waits for a message."""
_ALIAS = re.compile(r"(?:^|[\s\[{,:-])\*[\w.-]+\s*(?:$|[,\]}:#])", re.MULTILINE)
_ANCHOR = re.compile(r"(?:^|[\s\[{,:-])&[\w.-]", re.MULTILINE)
_SPEAKS = re.compile(r"secret|stringdata", re.IGNORECASE)
_PUBLIC = frozenset({"apiVersion", "kind", "metadata", "type", "immutable", "sops"})
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_VARIABLE = re.compile(r"\$\{(\w+)")
_TOKEN = re.compile(r"[^\s:={}\[\],\"'|>-][^\s{}\[\]\"']*")
_PATCHED = re.compile(r"^/(?:data|stringData)\b")
_TEMPLATE_OF_SECRET = re.compile(r"kind:\s*[\"']?Secret\b")
_USED = re.compile(r"\.Values((?:\.\w+)*)")
_TELLING_KEY = re.compile(r"pass|secret|token|credential|private|api_?key|connection|dsn", re.IGNORECASE)


def of_object(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the values of a Secret, decoded; nothing for any other object.

    A key that is none, or that has no value, counts as one: kustomize makes it of a line without "=".
    """
    if body.get("kind") != "Secret" or body.get("apiVersion") not in ("v1", None) or is_encrypted(body):
        return
    for key in ("data", "stringData"):
        values = body.get(key)
        for name, value in values.items() if isinstance(values, Mapping) else ():
            yield from _both(value)
            if not value or not _KEY.fullmatch(str(name)):
                yield str(name)


def variables_in_secret(body: Mapping[str, Any]) -> frozenset[str]:
    """List the variables that a Secret's values are made of."""
    names = {
        name
        for key in ("data", "stringData")
        for value in _scalars(body.get(key) if body.get("kind") == "Secret" else None)
        for name in _VARIABLE.findall(value)
    }
    return frozenset(names)


def of_files(paths: Iterable[str], read: ReadText) -> Iterator[str]:
    """Yield what the files of a snapshot hold for Secrets, as plain text.

    Raises TooMuchText where they hold more than TEXT_MAX: then no message about them can be shown.
    """
    known = sorted(paths)
    reader = _Reader(read)
    for path in known:
        if path.endswith(_YAML):
            text = read(path) or ""
            if _SPEAKS.search(text) or _is_patch(text):
                reader.count(text)
                yield from _of_manifests(text, posixpath.dirname(path), reader)
    yield from _of_charts(known, reader)


class TooMuchText(ValueError):
    """Report that the files hold more for Secrets than can be looked through while somebody waits."""


class _Reader:
    """Read files, and count what was read."""

    def __init__(self, read: ReadText) -> None:
        self.uncounted = read
        self._left = TEXT_MAX

    def __call__(self, path: str) -> str | None:
        text = self.uncounted(path)
        self.count(text or "")
        return text

    def count(self, text: str) -> None:
        self._left -= len(text)
        if self._left < 0:
            raise TooMuchText


def _loaded(text: str) -> object:
    """Parse YAML; None for what is none, or exceeds a limit. Aliases aren't followed."""
    if _ALIAS.search(text) and _ANCHOR.search(text):
        return None
    try:
        return yaml_limits.load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _is_patch(text: str) -> bool:
    return "/data" in text or "/stringData" in text


def _of_manifests(text: str, folder: str, read: ReadText) -> Iterator[str]:
    for document in re.split(r"(?m)^---[ \t]*$", text):
        found = _loaded(document)
        if isinstance(found, dict | list):
            yield from _within(found, folder, read)
        elif _SPEAKS.search(document):
            yield from _tokens(document)


def _within(node: object, folder: str, read: ReadText) -> Iterator[str]:
    """Yield what a parsed document holds for Secrets, at any depth."""
    if isinstance(node, list):
        for item in node:
            if isinstance(item, dict) and _PATCHED.match(str(item.get("path", ""))) and "value" in item:
                yield from _values(item["value"])
            yield from _within(item, folder, read)
    elif isinstance(node, str):
        if "\n" in node and (_SPEAKS.search(node) or _is_patch(node)):
            yield from _of_manifests(node, folder, read)
    elif isinstance(node, dict):
        yield from _of_mapping(node, folder, read)


def _of_mapping(node: Mapping[Any, Any], folder: str, read: ReadText) -> Iterator[str]:
    kind = str(node.get("kind", ""))
    if kind == DEFINITION:
        return  # its descriptions speak of Secrets, and it has none
    if kind == "Secret" and not is_encrypted(node):
        yield from _values({key: value for key, value in node.items() if key not in _PUBLIC})
    if kind == "SecretGenerator":
        yield from _generated(node, folder, read)
    for key, value in node.items():
        if key == "secretGenerator" and isinstance(value, list):
            for one in value:
                if isinstance(one, dict):
                    yield from _generated(one, folder, read)
        else:
            yield from _within(value, folder, read)
    target = node.get("target")
    if isinstance(target, dict) and str(target.get("kind", "Secret")) == "Secret":
        yield from _of_patch(node.get("patch"))


def _of_patch(patch: object) -> Iterator[str]:
    """Yield what a patch of a Secret sets; one that can't be parsed counts whole."""
    if not isinstance(patch, str):
        return
    found = _loaded(patch)
    if isinstance(found, dict):
        yield from _values({key: value for key, value in found.items() if key not in _PUBLIC})
    elif isinstance(found, list):
        for item in found:
            yield from _values(item.get("value") if isinstance(item, dict) else item)
    else:
        yield from _tokens(patch)


def _generated(generator: Mapping[Any, Any], folder: str, read: ReadText) -> Iterator[str]:
    """Yield the values of one generator: its literals, and the files that it names."""
    for literal in _scalars(generator.get("literals")):
        yield literal
        yield literal.partition("=")[2].strip("\"'")
    envs = [*_scalars(generator.get("envs")), *_scalars(generator.get("env"))]
    for name in envs:
        for line in (read(_joined(folder, name)) or "").splitlines():
            yield line
            yield line.partition("=")[2].strip("\"'")
    for source in _scalars(generator.get("files")):
        yield read(_joined(folder, source.rpartition("=")[2])) or ""


def _joined(folder: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(folder, name))


def _of_charts(paths: Iterable[str], read: _Reader) -> Iterator[str]:
    """Yield values of charts that a Secret's template may use, or whose keys look like secrets."""
    known = list(paths)
    used: set[str] = set()
    has_chart = False
    for path in known:
        if path.rpartition("/")[2] == "Chart.yaml":
            has_chart = True
        if "templates/" in path and _TEMPLATE_OF_SECRET.search(text := read.uncounted(path) or ""):
            used |= {name.removeprefix(".") for name in _USED.findall(text)}
    if not has_chart:
        return
    for path in known:
        name = path.rpartition("/")[2]
        is_other = "templates/" in path or "crds/" in path or name == "Chart.yaml"
        if name.endswith((".yaml", ".yml")) and not is_other:
            yield from _of_chart_values(read(path) or "", used)


def _of_chart_values(text: str, used: set[str]) -> Iterator[str]:
    found = _loaded(text)
    if found is None:
        yield from (token for token in _tokens(text) if used)
    for place, value in _leaves(found, ()):
        named = ".".join(place)
        is_used = any(named == one or named.startswith(f"{one}.") or one == "" for one in used)
        if is_used or any(_TELLING_KEY.search(step) for step in place):
            yield from _both(value)


def _leaves(node: object, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, (*place, str(key)))
    elif isinstance(node, list):
        for value in node:
            yield from _leaves(value, place)
    elif node is not None and not isinstance(node, bool):
        yield place, node


def _values(node: object) -> Iterator[str]:
    for _, value in _leaves(node, ()):
        yield from _both(value)


def _scalars(node: object) -> Iterator[str]:
    for _, value in _leaves(node, ()):
        yield str(value)


def _both(value: object) -> Iterator[str]:
    """Yield a value, and what it is in base64 of."""
    text = str(value)
    yield text
    try:
        yield base64.b64decode(text.encode(), validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        return


def _tokens(text: str) -> Iterator[str]:
    """Yield what may be a value in text that is no YAML: the rest of each line, and its words."""
    for line in text.splitlines():
        rest = re.split(r"[:=]\s*", line, maxsplit=1)[-1].strip(" \"'")
        if rest and rest not in _PUBLIC and not _SPEAKS.fullmatch(rest):
            yield from _both(rest)
        for token in _TOKEN.findall(rest):
            if token not in _PUBLIC and not _SPEAKS.fullmatch(token):
                yield from _both(token)
