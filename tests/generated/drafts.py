"""A tree in the making: its kustomizations and manifests as values, until all of it is written."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.generated.objects import PREFIXES, Body, bodies, with_anchor
from tests.generated.texts import Draw, written

KUSTOMIZATION_NAMES = ("kustomization.yaml", "kustomization.yaml", "kustomization.yml", "Kustomization")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Say what is broken. places: the files of which each may be reported as the one to fix.

    error: what Flux's error says, where the fault may bring about another one before it is found itself.
    """

    name: str
    places: frozenset[str]
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedTree:
    """Hold one root. links: where they lead, by path. variables: what the session substitutes.

    sound: its files before the fault was planted.
    """

    target: str
    files: Mapping[str, bytes]
    sound: Mapping[str, bytes] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    values_files: tuple[str, ...] = ()
    fault: Fault | None = None

    def write(self, root: Path) -> None:
        """Write it into a folder."""
        for path, content in self.files.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        for path, leads_to in self.links.items():
            link = root / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(leads_to)

    def real(self, path: str) -> str:
        """Follow the links in a path."""
        for link, leads_to in self.links.items():
            if path == link or path.startswith(f"{link}/"):
                folder = f"{link.rpartition('/')[0]}/{leads_to}"
                return self.real(posixpath.normpath(folder + path.removeprefix(link)))
        return path


@cache
def _below(limit: int) -> st.SearchStrategy[int]:
    return st.integers(0, limit - 1)


@dataclass
class Draft:
    """Gather a tree.

    is_valid: whether the API server takes all of it. visible: the manifests below the kustomization that is
    being made.
    """

    draw: Draw
    is_valid: bool = False
    kustomizations: dict[str, Body] = field(default_factory=dict)
    manifests: dict[str, list[Any]] = field(default_factory=dict)
    texts: dict[str, str | bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    fault: Fault | None = None
    visible: frozenset[str] = frozenset()
    _count: int = 0
    _known: dict[str, tuple[str, str]] = field(default_factory=dict)

    def number(self) -> int:
        """Count up, for names that are there once."""
        self._count += 1
        return self._count

    def one_of(self, values: Any) -> Any:
        return values[self.draw(_below(len(values)))]

    def happens(self, one_in: int) -> bool:
        return bool(self.draw(_below(one_in)) == one_in - 1)

    def object(self, kind: str) -> Body:
        """Make an object whose name others may refer to where it is the first of its kind."""
        taken = {
            one["metadata"]["name"] for found in self.manifests.values() for one in found if "metadata" in one
        }
        first = f"{PREFIXES.get(kind, kind[0].lower())}0"
        name = first if first not in taken else f"{first}-{self.number()}"
        body: Body = self.draw(bodies(kind, name, is_valid=self.is_valid))
        return with_anchor(body) if kind == "ConfigMap" and not self.is_valid and self.happens(12) else body

    def add_text(self, folder: str, suffix: str, text: str | bytes) -> str:
        """Add a file with a name of its own. Returns its path."""
        path = f"{folder}/{self.one_of(_NAMES).format(self.number())}{suffix}"
        self.texts[path] = text
        return path

    def finished(self, target: str, variables: Mapping[str, str], plant: Callable[[], None]) -> GeneratedTree:
        """Write all of it, and once more what planting a fault changes."""
        sound = self._all_written()
        plant()
        return GeneratedTree(
            target=target,
            files=self._all_written(),
            sound=sound,
            links=self.links,
            variables=variables,
            fault=self.fault,
        )

    def _all_written(self) -> dict[str, bytes]:
        documents = {path: [body] for path, body in self.kustomizations.items()} | self.manifests
        for path, found in documents.items():
            if self._known.get(path, ("", ""))[0] != repr(found):
                is_odd = path in self.manifests or self.happens(12)
                self._known[path] = (repr(found), self.draw(written(found, is_odd=is_odd)))
        texts = {path: self._known[path][1] for path in documents} | self.texts
        return {path: text.encode() if isinstance(text, str) else text for path, text in texts.items()}


_NAMES = ("f{}", "f{}", "f{}", "file {}", "ü{}", "f.{}", "UP{}", "f#{}", "100%{}")
