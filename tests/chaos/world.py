"""The directory that is synced, and every whole state that it ever had.

The kustomization is broken while an edit of several files lasts, so that a snapshot of a half-done edit is
refused. Each state is recorded before it can be seen, so that a witness knows it in time.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import yaml

VALUES = 500
EXTRAS_MAX = 3
KUSTOMIZATION = "kustomization.yaml"
BROKEN = "resources: [an-edit-is-in-progress.yaml]\n"


class Edit(StrEnum):
    """What a save changes. EXTRA adds one object and, from the fourth on, removes the oldest."""

    ONE = "one file"
    FEW = "a few files"
    EXTRA = "an object more or less"
    ALL = "all files"


@dataclass(frozen=True, slots=True)
class Generation:
    """One whole state. files: digests by path; objects: the data of each ConfigMap by its name."""

    number: int
    files: Mapping[str, str]
    objects: Mapping[str, Mapping[str, str]]


class World:
    """Write one generation after another."""

    def __init__(self, root: Path, staging: Path) -> None:
        self.root = root
        self._staging = staging
        self._texts: dict[str, str] = {}
        self._settings = self._pair = 0
        self._values = [0] * VALUES
        self._extras: list[int] = []
        self._lock = threading.Lock()
        self._generations: list[Generation] = []
        self._known: set[frozenset[tuple[str, str]]] = set()
        (root / "values").mkdir(parents=True)
        staging.mkdir()
        self._become(self._next_texts())

    @property
    def newest(self) -> Generation:
        with self._lock:
            return self._generations[-1]

    def was(self, files: Mapping[str, str]) -> bool:
        """Say whether just these files, by path and digest, were on disk at some time."""
        with self._lock:
            return frozenset(files.items()) in self._known

    def edit(self, edit: Edit) -> int:
        """Write the next generation, and return its number."""
        number = len(self._generations)
        if edit is Edit.ONE:
            self._settings = number
        else:
            self._pair = number
        if edit is Edit.FEW:
            self._values[:5] = [number] * 5
        elif edit is Edit.ALL:
            self._values = [number] * VALUES
        elif edit is Edit.EXTRA:
            self._extras = [*self._extras, number][-EXTRAS_MAX:]
        self._become(self._next_texts())
        return number

    def _next_texts(self) -> dict[str, str]:
        objects = {"settings": self._settings, "pair-a": self._pair, "pair-b": self._pair}
        objects |= {f"extra-{extra}": extra for extra in self._extras}
        values = {f"values/v{index:03}.txt": f"{value}" for index, value in enumerate(self._values)}
        kustomization = {
            "resources": [f"{name}.yaml" for name in objects],
            "generatorOptions": {"disableNameSuffixHash": True},
            "configMapGenerator": [{"name": "values", "files": list(values)}],
        }
        return {
            **{f"{name}.yaml": _config_map(name, value) for name, value in objects.items()},
            **values,
            KUSTOMIZATION: yaml.safe_dump(kustomization),
        }

    def _become(self, texts: dict[str, str]) -> None:
        changed = {path: text for path, text in texts.items() if self._texts.get(path) != text}
        gone = self._texts.keys() - texts.keys()
        self._record(texts)
        if len(changed) + len(gone) > 1:
            self._write(KUSTOMIZATION, BROKEN)
            for path in gone:
                (self.root / path).unlink()
            for path in changed.keys() - {KUSTOMIZATION}:
                # Made anew: ext4 writes a file to the disk that replaces another, which takes longer.
                (self.root / path).unlink(missing_ok=True)
                (self.root / path).write_text(texts[path])
            self._write(KUSTOMIZATION, texts[KUSTOMIZATION])
        else:
            for path, text in changed.items():
                self._write(path, text)
        self._texts = texts

    def _record(self, texts: Mapping[str, str]) -> None:
        files = {path: digest(text.encode()) for path, text in texts.items()}
        objects: dict[str, Mapping[str, str]] = {
            path.removesuffix(".yaml"): yaml.safe_load(text)["data"]
            for path, text in texts.items()
            if path.endswith(".yaml") and path != KUSTOMIZATION
        }
        objects["values"] = {Path(path).name: text for path, text in texts.items() if path.endswith(".txt")}
        with self._lock:
            self._generations.append(Generation(len(self._generations), files, objects))
            self._known.add(frozenset(files.items()))

    def _write(self, path: str, text: str) -> None:
        """Replace a file in one step."""
        staged = self._staging / "next"
        staged.write_text(text)
        staged.replace(self.root / path)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _config_map(name: str, value: int) -> str:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"value": f"{value}"},
    }
    return yaml.safe_dump(body)
