"""Which templates of a chart use what only the cluster, the clock or chance decides.

This module knows where templates name functions, each other, and values that are templates themselves. It
errs on the side of more: a name in a string that equals a named template's counts as its use.
Source: Helm 4, pkg/engine; Sprig.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_REASONS: Final = {
    "lookup": "it depends on lookup, which reads the cluster when Flux applies",
    "Release.Revision": "it contains the release number, which only Helm knows",
    "now": "it depends on now, the time at which Flux applies",
    "ago": "it depends on ago, the time at which Flux applies",
}
"""What a second rendering here doesn't show."""
_GIVEN: Final = "gitops-run.api-versions"
_HAS: Final = re.compile(r"[$\w.]*APIVersions\.Has(?!\w)")
_IS_AMONG: Final = re.compile(
    r"""\bhas\s+("[^"]*"|`[^`]*`|\([^()]*\)|[$\w.]+)\s+[$\w.]*APIVersions(?![\w.])"""
)
_ALL: Final = f'(keys (fromJson (include "{_GIVEN}" "")))'
_FOUND: Final = f'hasKey (fromJson (include "{_GIVEN}" ""))'
_KIND: Final = re.compile(r"""^kind:[ \t]*["']?(\w+)""", re.MULTILINE)
_COMMENT: Final = re.compile(r"\{\{-?\s*/\*")
_STRING: Final = re.compile(r'"((?:[^"\\\n]|\\.)*)"|`([^`]*)`')
_USE: Final = re.compile(
    r"(?<![\w.$])(lookup|tpl|now|ago|rand\w+|uuidv4|shuffle|bcrypt|htpasswd|encryptAES|"
    r"gen(?:PrivateKey|CA|CAWithKey|SelfSignedCert|SelfSignedCertWithKey|SignedCert|SignedCertWithKey))(?!\w)"
    r"|\.(Release\.Revision)(?!\w)"
)
_DEFINED: Final = re.compile(r'\{\{-?\s*(?:define|block)\s+"([^"]+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartTexts:
    """Hold what a chart renders. templates: by path. values: of all values files, since tpl renders those."""

    templates: Mapping[str, str]
    values: str = ""

    @property
    def has_chance(self) -> bool:
        """Report whether a function occurs that may give something else each time."""
        uses = set().union(*(_uses(text) for text in (*self.templates.values(), self.values)))
        return bool(uses - _REASONS.keys() - {"tpl"})

    @property
    def asks_for_kinds(self) -> bool:
        """Report whether a template may ask which kinds the cluster has."""
        return any("APIVersions" in text for text in (*self.templates.values(), self.values))


def asking_for_given_kinds(template: str) -> str:
    """Let a template look kinds up in what `given_kinds` defines; helm template adds all that Helm knows."""
    kept = 0
    parts = []
    for start, end in _actions(template):
        action = _IS_AMONG.sub(lambda found: f"has {found[1]} {_ALL}", template[start:end])
        parts += [template[kept:start], _HAS.sub(_FOUND, action)]
        kept = end
    return "".join((*parts, template[kept:]))


def given_kinds(api_versions: Iterable[str]) -> str:
    """Write the named template that holds the cluster's kinds."""
    kinds = json.dumps(dict.fromkeys(sorted(api_versions), 1))
    return f'{{{{ define "{_GIVEN}" }}}}{kinds}{{{{ end }}}}\n'


def unknown_templates(texts: ChartTexts) -> dict[str, str]:
    """Map each template that depends on what can't be known to the function that decides it."""
    parts = _parts(texts.templates)
    of_values = _worst(_uses(texts.values))
    found: dict[str, str] = {}
    for key, text in parts.items():
        uses = _uses(text)
        if function := _worst(uses | {of_values} if "tpl" in uses else uses):
            found[key] = function
    names = {key: _names(text) for key, text in parts.items()}
    while news := {
        key: function
        for key, used in names.items()
        if (function := _worst({found.get(key, ""), *_of_named(used, found)})) != found.get(key, "")
    }:
        found |= news
    return {path: found[path] for path in texts.templates if path in found}


def of_source(unknown: Mapping[str, str], source: str) -> str:
    """Find the function that decides what a template renders to; "" where none does.

    source: as helm names it, "chart/charts/dep/templates/x.yaml". A dependency that is packed, or has an
    alias, has another path there than in the chart's files.
    """
    path = source.partition("/")[2]
    if path in unknown:
        return unknown[path]
    _, separator, within = path.rpartition("/templates/")
    alike = {one for key, one in unknown.items() if separator and key.endswith(f"/templates/{within}")}
    return _worst(alike)


def kinds_of_unrendered(
    unknown: Mapping[str, str], texts: ChartTexts, sources: Iterable[str]
) -> dict[str, str]:
    """Map the kinds in templates that rendered to nothing, but might have, to the deciding functions.

    sources: of what was rendered.
    """
    rendered = {_within(source) for source in sources}
    return {
        kind: function
        for path, function in unknown.items()
        if _within(path) not in rendered
        for kind in _KIND.findall(texts.templates[path])
    }


def _within(path: str) -> str:
    """Take the part of a path that is the same for a packed dependency, or one that has an alias."""
    return path.rpartition("/templates/")[2]


def is_certain(function: str) -> bool:
    """Report whether rendering twice can't show what a function decides."""
    return function in _REASONS


def why_unknown(function: str) -> str:
    """Explain why an object can't be known before Flux applies it."""
    chance = f"it depends on {function}, which returns a different value each time"
    return _REASONS.get(function) or (chance if function else "it renders differently each time")


def _parts(texts: Mapping[str, str]) -> dict[str, str]:
    """Cut files of helpers into their named templates: who uses one doesn't use all of them."""
    parts: dict[str, str] = {}
    for path, text in texts.items():
        starts = [*_DEFINED.finditer(text)]
        ends = [*(start.start() for start in starts[1:]), len(text)]
        for start, end in zip(starts, ends, strict=False):
            key = f'"{start[1]}"'
            parts[key] = parts.get(key, "") + text[start.end() : end]
        if not path.rpartition("/")[2].startswith("_"):
            parts[path] = text
    return parts


def _actions(text: str) -> Iterator[tuple[int, int]]:
    """Yield where actions begin and end, but for comments."""
    end = 0
    while (start := text.find("{{", end)) >= 0:
        closed = text.find("}}", start)
        if closed < 0:
            return
        end = closed + 2
        if not _COMMENT.match(text, start):
            yield start, end


def _code(text: str) -> str:
    return "\n".join(text[start + 2 : end - 2] for start, end in _actions(text))


def _uses(text: str) -> set[str]:
    """List which of the functions a text calls."""
    without_strings = _STRING.sub('""', _code(text))
    return {found[1] or found[2] for found in _USE.finditer(without_strings)}


def _names(text: str) -> set[str]:
    """List what may name a template: each string; of a path, its last part, as in the sum of a Secret."""
    strings = {found[1] or found[2] or "" for found in _STRING.finditer(_code(text))}
    return {f'"{one}"' for one in strings} | {one[one.rindex("/") :] for one in strings if "/" in one}


def _worst(functions: set[str]) -> str:
    """Choose the function to name: first of those that a second rendering doesn't show."""
    found = functions - {"tpl", ""}
    return next((one for one in _REASONS if one in found), min(found, default=""))


def _of_named(names: set[str], found: Mapping[str, str]) -> set[str]:
    return {
        function
        for key, function in found.items()
        if key in names or (not key.startswith('"') and f"/{key.rpartition('/')[2]}" in names)
    }
