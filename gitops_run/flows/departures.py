"""What a save removes from the cluster: deleted, replaced under a new name, or left in place."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gitops_run.flows.ports import ClusterLook
from gitops_run.model.objects.change import Change, FieldChange
from gitops_run.model.objects.changes import find_change
from gitops_run.model.objects.dry_run import Look
from gitops_run.model.objects.identity import ObjectRef, RenderedObject
from gitops_run.model.objects.ownership import SessionPlace
from gitops_run.model.objects.pruning import is_kept, replacements


@dataclass(frozen=True, slots=True, kw_only=True)
class Departures:
    """Hold what leaves the session. replaced: what comes instead, by what goes. live: what was seen."""

    deleted: tuple[ObjectRef, ...] = ()
    replaced: Mapping[ObjectRef, ObjectRef] = field(default_factory=dict)
    kept: frozenset[ObjectRef] = frozenset()
    live: Mapping[ObjectRef, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def spared(self) -> frozenset[str]:
        """Name the inventory entries that leave the session without a loss."""
        return frozenset(ref.inventory_id for ref in (*self.kept, *self.replaced))

    def without(self, kinds: Container[str]) -> tuple[Departures, tuple[ObjectRef, ...]]:
        """Take out the deletions of these kinds, which may not happen, and list them."""
        doubtful = tuple(ref for ref in self.deleted if ref.kind in kinds)
        deleted = tuple(ref for ref in self.deleted if ref not in doubtful)
        return replace(self, deleted=deleted, kept=self.kept | frozenset(doubtful)), doubtful

    def among(
        self, changes: Sequence[Change], looks: Sequence[tuple[RenderedObject, Look]]
    ) -> tuple[Change, ...]:
        """Add to the changes of a save what leaves with it; what replaces an object isn't new then."""
        results = {item.ref: look.result for item, look in looks}
        come = set(self.replaced.values())
        return (
            *(change for change in changes if change.ref not in come),
            *(self._replacement(old, new, results.get(new)) for old, new in self.replaced.items()),
            *(Change(ref=ref, action="delete") for ref in self.deleted),
        )

    def _replacement(self, old: ObjectRef, new: ObjectRef, result: Mapping[str, Any] | None) -> Change:
        live = self.live.get(old)
        change = find_change(new, live, result) if live is not None and result is not None else None
        renamed = FieldChange(path="metadata.name", before=f'"{old.name}"', after=f'"{new.name}"')
        return Change(ref=new, action="replace", fields=change.fields if change else (renamed,))


async def find_departures(
    cluster: ClusterLook,
    gone: Sequence[ObjectRef],
    added: Sequence[ObjectRef],
    session: SessionPlace,
    *,
    is_chart: bool,
) -> Departures:
    """Look at what leaves the session. Raises TransientError where the cluster fails.

    added: what the save has and the session had not. What nobody may read counts as deleted.
    """
    if not gone:
        return Departures()
    looks = await cluster.look(
        [RenderedObject(ref=ref, digest="", body={}) for ref in gone], has_dry_run=False
    )
    live = {ref: look.live for ref, look in zip(gone, looks, strict=True) if look.live is not None}
    kept = frozenset(ref for ref, body in live.items() if is_kept(body, session, is_chart=is_chart))
    leaving = [ref for ref in gone if ref not in kept]
    replaced = replacements(leaving, added)
    return Departures(
        deleted=tuple(ref for ref in leaving if ref not in replaced), replaced=replaced, kept=kept, live=live
    )
