"""What Flux drops without a word: fields of a target's own kustomization, and of objects of native kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce

from gitops_run.flows.ports import ClusterLook
from gitops_run.model.objects.dry_run import Look
from gitops_run.model.objects.flux_apply import drops_unknown_fields
from gitops_run.model.objects.identity import RenderedObject
from gitops_run.model.text.field_paths import without_field
from gitops_run.model.tree.flux_generator import dropped_fields, kustomization_file
from gitops_run.model.tree.snapshot import Snapshot


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
    return f"{path}:{line}: Flux drops the field {name}: a kustomization has no such field there"


async def look_as_flux_applies(
    cluster: ClusterLook,
    items: Sequence[RenderedObject],
    sent: Callable[[RenderedObject], RenderedObject],
) -> list[tuple[RenderedObject, Look]]:
    """Try objects out, and those with fields that Flux drops once more without these.

    sent: writes an object as Flux sends it. Each object is returned without what Flux drops.
    """
    answers = await cluster.look([sent(item) for item in items], has_dry_run=True)
    looks = list(zip(items, answers, strict=True))
    while again := {
        number: smaller
        for number, (item, look) in enumerate(looks)
        if (smaller := _without_dropped(item, look)) is not item
    }:
        answers = await cluster.look([sent(item) for item in again.values()], has_dry_run=True)
        for (number, item), look in zip(again.items(), answers, strict=True):
            earlier = looks[number][1]
            looks[number] = item, replace(look, dropped=(*earlier.dropped, *earlier.unknown_fields))
    return looks


def _without_dropped(item: RenderedObject, look: Look) -> RenderedObject:
    """Take out of an object what Flux drops. Returns the very same where that is nothing."""
    if not drops_unknown_fields(item.ref):
        return item
    body = reduce(without_field, look.unknown_fields, item.body)
    return item if body is item.body else replace(item, body=body)
