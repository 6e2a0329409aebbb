"""Decide whether a snapshot may be pushed: build it, and ask the cluster about what it changes.

Nothing is written before this has passed, and nothing is ever rolled back. Only objects that differ from
what was pushed last are looked at in the cluster. docs/decisions/0005-preflight.md says how it asks, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from gitops_run.flows.building import Builder, Built, snapshot_size
from gitops_run.flows.departures import find_departures
from gitops_run.flows.dropped import DroppedFields, look_as_flux_applies
from gitops_run.flows.judgement import InspectionSettings, Live, Preflight, judged
from gitops_run.flows.namespaces import NamespaceFinder
from gitops_run.flows.ports import ClusterLook, Emit, Renderer
from gitops_run.flows.threads import off_the_loop
from gitops_run.model.objects.change import FieldChange
from gitops_run.model.objects.dry_run import Look, conflict_of
from gitops_run.model.objects.flux_apply import as_flux_applies
from gitops_run.model.objects.identity import RenderedObject
from gitops_run.model.objects.ownership import own_claim, owner_labels
from gitops_run.model.objects.pruning import pruned
from gitops_run.model.objects.sops_names import as_decrypted
from gitops_run.model.state.events import NamedNamespace, NamespaceOverridden
from gitops_run.model.text.masking import Masker
from gitops_run.model.tree.snapshot import Snapshot


class Inspector:
    """Inspect the snapshots of one session."""

    def __init__(
        self,
        renderer: Renderer,
        cluster: ClusterLook,
        settings: InspectionSettings,
        masker: Masker | None = None,
        emit: Emit = lambda _: None,
    ) -> None:
        """masker: learns the values of Secrets, and takes them out of everything that is reported.

        emit: is given what a person should know of a snapshot, once, whatever becomes of it.
        """
        self._masker = masker or Masker()
        self._builder = Builder(renderer, settings.target, settings.variables, self._masker)
        finder = NamespaceFinder(settings.target, settings.session.namespace)
        self._namespaces = None if settings.is_chart or settings.session.is_wide else finder
        self._dropped = None if settings.is_chart else DroppedFields(settings.target)
        self._overridden: frozenset[tuple[str, ...]] = frozenset()
        self._cluster = cluster
        self._settings = settings
        self._emit = emit

    async def inspect(self, snapshot: Snapshot, live: Live, mark: Callable[[str], None]) -> Preflight:
        """Build a snapshot and check every object of it that changed.

        mark: called with "rendered" and "checked" when these are done. Raises TransientError where the
        cluster fails.
        """
        if snapshot.problems:
            return Preflight(problems=snapshot.problems)
        built = await self._builder.build(snapshot)
        mark("rendered")
        if built.problems:
            return _masked(Preflight(problems=built.problems), self._masker)
        if built.unrendered:
            return Preflight(not_checked=(*snapshot.remarks, built.unrendered), is_rendered=False)
        overridden = await self._namespaces.find(snapshot, built.objects) if self._namespaces else ()
        self._tell_overridden(overridden)
        digests = {item.ref: item.digest for item in built.objects}
        # What was copied from a cluster is refused, or recreated, at each save, whatever changes.
        are_new = [
            live.digests.get(item.ref) != item.digest or bool(conflict_of(item.body))
            for item in built.objects
        ]
        built = await off_the_loop(partial(self._decrypted, built, live), snapshot_size(snapshot))
        changed = [
            item
            for item, is_new in zip(built.objects, are_new, strict=True)
            if is_new and not own_claim(item, self._settings.session)
        ]
        looks = await self._looks(changed, built)
        judge = partial(judged, built, live, self._settings, snapshot, looks)
        found = await off_the_loop(judge, snapshot_size(snapshot))
        found = await self._with_departures(found, built, live, looks)
        mark("checked")
        find_dropped = partial(self._dropped.find if self._dropped else _nothing, snapshot)
        dropped = await off_the_loop(find_dropped, snapshot_size(snapshot))
        lines = (*snapshot.remarks, *dropped, *built.dropped, *found.not_checked)
        found = replace(found, digests=digests, overridden=overridden, not_checked=lines)
        mask = partial(_masked, found, self._masker)
        return await off_the_loop(mask, snapshot_size(snapshot))

    def _decrypted(self, built: Built, live: Live) -> Built:
        """Separate what only Flux can read, if the session has a key for it."""
        if not self._settings.has_decryption_key:
            return built
        found = as_decrypted(built.objects, live.inventory, live.versions)
        return replace(
            built,
            objects=found.objects,
            unevaluated={**built.unevaluated, **found.hidden},
            naming_encrypted=found.naming,
        )

    async def _with_departures(
        self, found: Preflight, built: Built, live: Live, looks: Sequence[tuple[RenderedObject, Look]]
    ) -> Preflight:
        """Add what leaves the session with a save."""
        known = frozenset(live.inventory)
        departures = await find_departures(
            self._cluster,
            pruned(found.objects, live.inventory, live.versions),
            [ref for ref in found.objects if ref.inventory_id not in known],
            self._settings.session,
            is_chart=self._settings.is_chart,
        )
        reasons = built.uncertain_kinds
        departures, doubtful = departures.without(reasons)
        changes = departures.among(found.changes, looks) if self._settings.has_dry_run else ()
        doubts = (f"{ref}: it may be deleted: {reasons[ref.kind]}" for ref in doubtful)
        return replace(
            found,
            changes=changes,
            spared=departures.spared,
            not_checked=(*found.not_checked, *doubts),
        )

    def _tell_overridden(self, found: tuple[NamedNamespace, ...]) -> None:
        """Report manifests that name another namespace, but not again in each save."""
        new = tuple(one for one in found if one.identity not in self._overridden)
        self._overridden = frozenset(one.identity for one in found)
        if new:
            self._emit(NamespaceOverridden(namespace=self._settings.session.namespace, places=new))

    async def _looks(
        self, changed: Sequence[RenderedObject], built: Built
    ) -> list[tuple[RenderedObject, Look]]:
        """Ask the cluster about what changed: by a dry run if that can find something."""
        tried: list[RenderedObject] = []
        read: list[RenderedObject] = []
        for item in changed:
            is_tried = (
                self._settings.has_dry_run and not item.is_encrypted and item.ref not in built.unevaluated
            )
            (tried if is_tried and not self._settings.leaves_alone(item.body) else read).append(item)
        if self._settings.is_chart:  # its objects have Helm's marks already, and helm drops nothing
            answers = await self._cluster.look(tried, has_dry_run=True)
            looks = list(zip(tried, answers, strict=True))
        else:
            looks = await look_as_flux_applies(self._cluster, tried, self._sent)
        answers = await self._cluster.look(read, has_dry_run=False)
        return [*looks, *zip(read, answers, strict=True)]

    def _sent(self, item: RenderedObject) -> RenderedObject:
        """Write an object as kustomize-controller will apply it."""
        return replace(item, body=as_flux_applies(item.body, owner_labels(self._settings.session)))


def _nothing(_: Snapshot) -> tuple[str, ...]:
    return ()


def _masked(found: Preflight, masker: Masker) -> Preflight:
    """Take values of Secrets out of what changes: variables put them into objects of any kind."""
    return replace(
        found,
        problems=tuple(replace(one, message=masker.mask(one.message)) for one in found.problems),
        changes=tuple(
            replace(
                change,
                fields=tuple(
                    FieldChange(
                        path=masker.mask_whole(one.path),
                        before=masker.mask_whole(one.before),
                        after=masker.mask_whole(one.after),
                    )
                    for one in change.fields
                ),
            )
            for change in found.changes
        ),
    )
