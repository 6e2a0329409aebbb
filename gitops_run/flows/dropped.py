"""What Flux leaves out of a target's own kustomization without a word, for a person to see."""

from __future__ import annotations

from gitops_run.flows.ports import Snapshot
from gitops_run.model.flux_generator import dropped_fields, kustomization_file


class DroppedFields:
    """Find the fields that Flux drops; a file that stays isn't parsed again."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._known: tuple[str, tuple[str, ...]] = ("", ())

    def find(self, snapshot: Snapshot) -> tuple[str, ...]:
        """List them, a line for each. Raises yaml.YAMLError where the kustomization is not valid YAML."""
        path = kustomization_file(snapshot.tree.files, self._target)
        entry = snapshot.tree.files.get(path)
        if entry is None:
            return ()
        if self._known[0] != entry.digest:
            found = dropped_fields(snapshot.read_bytes(path))
            self._known = (entry.digest, tuple(_line(path, one.line, one.name) for one in found))
        return self._known[1]


def _line(path: str, line: int, name: str) -> str:
    return f"{path}:{line}: Flux drops the field {name}: a kustomization has none of this name there"
